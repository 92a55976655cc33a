"""What a list of latencies supports, and what it does not. Pure; device slice: Python 3.8."""

import math
from fractions import Fraction
from typing import Optional, Sequence, Tuple

# MLPerf's early stopping: with 99 % confidence no more queries are over the latency than the
# percentile allows (mlcommons/inference, loadgen/early_stopping.cc; arXiv:1911.02549).
_RULE_RISK = 0.01
# The medians of the first and the last quarter are compared when each has the queries of a p50.
_WINDOWS = 4


def queries_needed(percentile: float) -> int:
    """Return how many queries a percentile needs before it may be quoted.

    It is MLPerf's rule for SingleStream with one query left over the quoted latency: the smallest
    n with P(at most one of n is over the true percentile) <= 1 %. p50 11, p90 64, p95 130,
    p97 219, p99 662, p99.9 6636.
    """
    inside = float(_fraction(percentile))
    few, enough = 1, 2
    while _at_most_one_over(enough, inside) > _RULE_RISK:
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        if _at_most_one_over(middle, inside) > _RULE_RISK:
            few = middle
        else:
            enough = middle
    return enough


def _at_most_one_over(count: int, inside: float) -> float:
    """Return P(at most one of `count` is over a latency that `inside` of all stay below)."""
    none: float = inside**count
    one: float = count * (1 - inside) * inside ** (count - 1)
    return none + one


def quantile(latencies: Sequence[int], percentile: float) -> int:
    """Return the percentile by nearest rank: the least latency that so many are not above."""
    # As a fraction, so that 99.9 % of 1000 is 999 and not a little more.
    rank = math.ceil(_fraction(percentile) * len(latencies))
    return sorted(latencies)[rank - 1]


def percentile_interval(
    latencies: Sequence[int], percentile: float, confidence: float = 0.95
) -> Optional[Tuple[int, int]]:
    """Return two latencies that hold the true percentile between them with that confidence.

    They are order statistics, so nothing is assumed of the distribution but independence; each
    side misses with at most half of the risk. None: the queries are too few for both bounds.
    """
    count = len(latencies)
    if count == 0:
        return None
    low, high = _ranks(count, float(_fraction(percentile)), (1 - confidence) / 2)
    if low < 1 or high > count:
        return None
    ordered = sorted(latencies)
    return ordered[low - 1], ordered[high - 1]


def _ranks(count: int, inside: float, risk: float) -> Tuple[int, int]:
    """Return the largest l with P(B < l) <= risk and the smallest u with P(B >= u) <= risk.

    B, binomial, is how many of `count` latencies stay below the true percentile.
    """
    mean, deviation = count * inside, math.sqrt(count * inside * (1 - inside))
    # What lies further down weighs nothing (below 1e-9 even for the most skewed B).
    below = max(0, math.floor(mean - 10 * deviation - 30))
    weight = math.exp(
        math.lgamma(count + 1)
        - math.lgamma(below + 1)
        - math.lgamma(count - below + 1)
        + below * math.log(inside)
        + (count - below) * math.log1p(-inside)
    )
    low, total = 0, 0.0
    while True:
        total += weight  # Now P(B <= below).
        if total <= risk:
            low = below + 1
        if total >= 1 - risk or below >= count:
            return low, below + 1
        weight *= (count - below) / (below + 1) * inside / (1 - inside)
        below += 1


def drift(latencies: Sequence[int]) -> Optional[float]:
    """Return the median of the last quarter over that of the first: 1.1 is 10 % slower at the end.

    None: too few queries to tell.
    """
    window = len(latencies) // _WINDOWS
    if window < queries_needed(50):
        return None
    first, last = quantile(latencies[:window], 50), quantile(latencies[-window:], 50)
    return last / max(first, 1)


def _fraction(percentile: float) -> Fraction:
    """Return the percentile as an exact fraction: 99.9 is 999/1000.

    Raises:
        ValueError: it does not lie between 0 and 100.
    """
    if not 0 < percentile < 100:
        raise ValueError("a percentile lies between 0 and 100, got {}".format(percentile))
    return Fraction(str(percentile)) / 100
