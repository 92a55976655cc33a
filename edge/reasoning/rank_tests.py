"""Two rank tests and the intervals that go with them; exact for few values, else normal.

After Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd edition (2014), sections
3.1 to 3.3 (Wilcoxon signed rank) and 4.1 to 4.3 (rank sum). Values that tie get the mean of their
ranks, and exact p-values are those of the permutations of just these ranks.
"""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

Interval = tuple[float, float]
# Up to here every arrangement is counted, which takes milliseconds.
_EXACT_PAIRS = 25
_EXACT_BOTH = 24
_STANDARD = statistics.NormalDist()
# Sums of exact probabilities; 1 - 0.95 is a little more than 0.05.
_ROUNDING = 1e-12


def signed_rank_p(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of no shift; differences of 0 are left out (Wilcoxon's rule)."""
    moved = [d for d in differences if d != 0]
    if not moved:
        return 1.0
    ranks = _doubled_ranks([abs(d) for d in moved])
    above = sum(rank for rank, d in zip(ranks, moved, strict=True) if d > 0)
    if len(moved) <= _EXACT_PAIRS:
        return _two_sided(_subset_sums(ranks), above)
    # Doubled ranks: their sum has twice the mean and four times the variance.
    variance = sum(rank * rank for rank in ranks) / 4
    return _normal_p(above - sum(ranks) / 2, variance)


def signed_rank_interval(
    differences: Sequence[float], confidence: float
) -> tuple[float | None, Interval | None]:
    """Return the Hodges-Lehmann estimate of the shift and its interval.

    The estimate is the median of the means of all pairs; None where the values are too few.
    """
    count = len(differences)
    pairs = itertools.combinations_with_replacement(differences, 2)
    means = sorted((x + y) / 2 for x, y in pairs)
    if not means:
        return None, None
    if count <= _EXACT_PAIRS:
        cut = _cut(_subset_sums(range(1, count + 1)), (1 - confidence) / 2)
    else:
        mean = count * (count + 1) / 4
        cut = _normal_cut(mean, mean * (2 * count + 1) / 6, confidence)
    return statistics.median(means), _between(means, cut)


def rank_sum_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the two-sided p-value of no shift between two samples (Mann-Whitney's U)."""
    if not a or not b:
        return 1.0
    ranks = _doubled_ranks([*a, *b])
    above = sum(ranks[len(a) :])
    both = len(ranks)
    if both <= _EXACT_BOTH:
        return _two_sided(_subset_sums(ranks, len(b)), above)
    middle = sum(ranks) / both
    spread = sum((rank - middle) ** 2 for rank in ranks) / (both - 1)
    return _normal_p(above - len(b) * middle, len(a) * len(b) / both * spread)


def rank_sum_interval(
    a: Sequence[float], b: Sequence[float], confidence: float
) -> tuple[float | None, Interval | None]:
    """Return the Hodges-Lehmann estimate of b minus a and its interval.

    The estimate is the median of all differences; None where the values are too few.
    """
    differences = sorted(y - x for x in a for y in b)
    if not differences:
        return None, None
    first, second = len(a), len(b)
    if first + second <= _EXACT_BOTH:
        sums = _subset_sums(range(1, first + second + 1), second)
        least = second * (second + 1) // 2
        cut = _cut({s - least: ways for s, ways in sums.items()}, (1 - confidence) / 2)
    else:
        mean = first * second / 2
        cut = _normal_cut(mean, mean * (first + second + 1) / 6, confidence)
    return statistics.median(differences), _between(differences, cut)


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Return twice the rank of each value, so that a mean of two ranks is a whole number."""
    counts = Counter(values)
    ranks, below = {}, 0
    for value in sorted(counts):
        ranks[value] = 2 * below + counts[value] + 1
        below += counts[value]
    return [ranks[value] for value in values]


def _subset_sums(ranks: Iterable[int], size: int | None = None) -> dict[int, int]:
    """Return in how many ways each sum comes of some of the ranks, of just `size` of them if given."""
    ways: dict[tuple[int, int], int] = {(0, 0): 1}
    for rank in ranks:
        longer = dict(ways)
        for (taken, total), count in ways.items():
            if taken != size:
                key = (0 if size is None else taken + 1, total + rank)
                longer[key] = longer.get(key, 0) + count
        ways = longer
    wanted = 0 if size is None else size
    return {total: count for (taken, total), count in ways.items() if taken == wanted}


def _two_sided(ways: dict[int, int], value: int) -> float:
    every = sum(ways.values())
    low = sum(count for total, count in ways.items() if total <= value)
    high = sum(count for total, count in ways.items() if total >= value)
    return min(1.0, 2 * min(low, high) / every)


def _normal_p(distance: float, variance: float) -> float:
    """Return the two-sided p-value of a doubled statistic: its continuity correction is 1."""
    if variance <= 0:
        return 1.0
    z = max(abs(distance) - 1, 0.0) / math.sqrt(variance)
    return 2 * _STANDARD.cdf(-z)


def _cut(ways: dict[int, int], risk: float) -> int:
    """Return how many values may be cut off at each end: the most with P(fewer) <= risk."""
    every, total, value = sum(ways.values()), 0, 0
    while True:
        total += ways.get(value, 0)
        if total / every > risk + _ROUNDING:
            return value
        value += 1


def _normal_cut(mean: float, variance: float, confidence: float) -> int:
    z = _STANDARD.inv_cdf((1 + confidence) / 2)
    return max(math.floor(mean + 0.5 - z * math.sqrt(variance)), 0)


def _between(ordered: Sequence[float], cut: int) -> Interval | None:
    return None if cut < 1 else (ordered[cut - 1], ordered[-cut])
