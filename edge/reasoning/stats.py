"""What a list of latencies supports, and what it does not. Pure; device slice: Python 3.8."""

import math
from fractions import Fraction
from typing import Optional, Sequence, Tuple

from edge.records.measurement import Measurement
from edge.records.scenario import OFFLINE, SERVER
from edge.records.search import Throughput

# MLPerf's early stopping: with 99 % confidence no more queries are over the latency than the
# percentile allows (mlcommons/inference, loadgen/early_stopping.cc; arXiv:1911.02549).
_RULE_RISK = 0.01
# The medians of the first and the last quarter are compared when each has the queries of a p50.
_WINDOWS = 4
# Student's t for 95 % with 4 to 9 degrees of freedom (Abramowitz and Stegun, table 26.10).
_STUDENT = {4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
_NS = 1e9


def queries_needed(percentile: float) -> int:
    """Return how many queries a percentile needs before it may be quoted.

    It is MLPerf's rule for SingleStream with one query left over the quoted latency: the smallest
    n with P(at most one of n is over the true percentile) <= 1 %. p50 11, p90 64, p95 130,
    p97 219, p99 662, p99.9 6636.
    """
    return queries_for(1, percentile)


def queries_for(over: int, percentile: float) -> int:
    """Return how many queries support a limit that `over` of them do not keep (MLPerf's rule).

    It is the smallest n with P(at most `over` of n are over the true percentile) <= 1 %; in
    loadgen's words h_min(t) + t. p99: 459 for none over, 662 for one.
    """
    few, enough = over, 2 * over + 1
    while _over_allowed(enough, percentile) < over:
        few, enough = enough, 2 * enough
    while enough - few > 1:
        middle = (few + enough) // 2
        if _over_allowed(middle, percentile) < over:
            few = middle
        else:
            enough = middle
    return enough


def supports_limit(count: int, over: int, percentile: float) -> bool:
    """Return whether `over` of `count` queries above a limit show that the percentile keeps it.

    MLPerf's rule for the scenario Server, at 99 % confidence.
    """
    return over <= _over_allowed(count, percentile)


def refutes_limit(count: int, over: int, percentile: float) -> bool:
    """Return whether so many are over that the percentile is above the limit: 99 % confidence."""
    if count == 0:
        return False
    return over >= _ranks(count, float(1 - _fraction(percentile)), _RULE_RISK)[1]


def claimed_latency(latencies: Sequence[int], percentile: float) -> Optional[int]:
    """Return the latency that MLPerf lets one claim for a percentile; None: too few queries.

    loadgen's estimate for SingleStream and MultiStream: with t the most queries that may be over
    (`queries_for(t)` are there), the t-th from the top. With 99 % confidence the true percentile
    is not above it.
    """
    allowed = _over_allowed(len(latencies), percentile)
    return None if allowed < 1 else sorted(latencies)[-allowed]


def _over_allowed(count: int, percentile: float) -> int:
    """Return the largest t with P(at most t of `count` are over) <= 1 %; -1: not even none."""
    outside = float(1 - _fraction(percentile))
    return -1 if count == 0 else _ranks(count, outside, _RULE_RISK)[0] - 1


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

    B, binomial, is how many of `count` latencies stay below the true percentile (or, with the
    share of the others for `inside`, above it).
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


def throughput_per_s(measurement: Measurement) -> Optional[Throughput]:
    """Return samples a second of the scenario offline, queries a second of server; else None.

    All samples over the whole duration. The interval is of batch means offline: up to ten windows
    of batches in a row, so that batches that resemble their neighbours do not narrow it (Law,
    Simulation Modeling and Analysis, section 9.5.3); in server it is that of a Poisson count.
    """
    scenario, times = measurement.scenario, measurement.latencies_ns
    duration_ns = measurement.duration_ns
    if scenario.kind == OFFLINE:
        duration_ns = sum(times) if duration_ns is None else duration_ns
    if scenario.kind not in (OFFLINE, SERVER) or not duration_ns:
        return None
    per_s = len(times) * scenario.samples_per_query / duration_ns * _NS
    if scenario.kind == SERVER:
        half = 1.96 / math.sqrt(len(times))
        return Throughput(per_s, per_s * max(0.0, 1 - half), per_s * (1 + half))
    width = _relative_half_width(times)
    if width is None or width >= 1:
        return Throughput(per_s, None, None)
    return Throughput(per_s, per_s / (1 + width), per_s / (1 - width))


def _relative_half_width(times: Sequence[int]) -> Optional[float]:
    """Return the half width of the mean's 95 % interval over the mean, from windows in a row."""
    windows = min(10, len(times))
    if windows - 1 not in _STUDENT or not any(times):
        return None
    each = len(times) // windows
    first = len(times) - each * windows
    means = [sum(times[k : k + each]) / each for k in range(first, len(times), each)]
    middle = sum(means) / windows
    variance = sum((mean - middle) ** 2 for mean in means) / (windows - 1)
    return _STUDENT[windows - 1] * math.sqrt(variance / windows) / middle if middle else None


def _fraction(percentile: float) -> Fraction:
    """Return the percentile as an exact fraction: 99.9 is 999/1000.

    Raises:
        ValueError: it does not lie between 0 and 100.
    """
    if not 0 < percentile < 100:
        raise ValueError("a percentile lies between 0 and 100, got {}".format(percentile))
    return Fraction(str(percentile)) / 100
