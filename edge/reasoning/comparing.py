"""Is B slower than A? Rank tests on what may be taken as independent, with an absolute floor.

Latencies of one process are correlated: a rank test on all of them calls every tiny shift
significant. The unit of the test is a round, a process of its own, where there are rounds
(Georges, Buytaert and Eeckhout, OOPSLA 2007; Kalibera and Jones, ISMM 2013: the process is what
varies); otherwise a block of consecutive queries, about 20 of them, because 10 to 30 long batches
are nearly independent and few enough to lose little (Schmeiser, Operations Research 30(3), 1982).
Blocks of two processes tell these two processes apart and no more.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge.reasoning.rank_tests import (
    Interval,
    rank_sum_interval,
    rank_sum_p,
    signed_rank_interval,
    signed_rank_p,
)
from edge.reasoning.stats import quantile
from edge.records.comparison import Answer, Test
from edge.records.measurement import Measurement

_BLOCKS = 20
_LEAST_BLOCK = 10
# Beyond so many times the data more of it is no advice: the difference lies at the threshold.
_MOST_TIMES = 100
_LEAST_FLOOR_NS = 5_000.0
_LOOP_OVERHEADS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Percentiles of rounds or of blocks of queries, in nanoseconds; `unit` queries are in each."""

    test: Test
    a_ns: tuple[float, ...]
    b_ns: tuple[float, ...]
    unit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """B minus A with its interval, and what follows; `more` rounds or queries would decide it.

    `interval` None: too few samples for one; `more` None: nothing is missing, or no reasonable
    number would do.
    """

    answer: Answer
    shift_ns: float | None
    interval: Interval | None
    p_value: float | None
    more: int | None = None
    more_of: Literal["rounds", "queries"] = "queries"


def floor_ns(a: Measurement, b: Measurement) -> float:
    """Return the least difference that counts: 3 times the loop's own cost, or 5 µs if more."""
    overheads = [m.loop_overhead_ns or 0 for m in (a, b)]
    return max(float(_LOOP_OVERHEADS * max(overheads)), _LEAST_FLOOR_NS)


def samples_of(a: Measurement, b: Measurement, percentile: float) -> Samples:
    """Cut two measurements into what is compared.

    As many rounds in both are pairs: interleaved, they saw the same moments of the machine. Unlike
    numbers of rounds are two samples. Without rounds it is blocks of one length in both, since a
    percentile of few queries is biased by their number; of more than 20, 20 that lie evenly.
    """
    if len(a.rounds) > 1 and len(b.rounds) > 1:
        first, second = (_of_rounds(m, percentile) for m in (a, b))
        paired = len(first) == len(second)
        return Samples(
            test="signed-rank of rounds" if paired else "rank-sum of rounds",
            a_ns=first,
            b_ns=second,
            unit=1,
        )
    # A block shorter than this has nothing above its percentile.
    least = max(_LEAST_BLOCK, math.ceil(100 / (100 - percentile)))
    shorter = min(len(a.latencies_ns), len(b.latencies_ns))
    length = max(least, shorter // _BLOCKS)
    return Samples(
        test="rank-sum of blocks",
        a_ns=_of_blocks(a.latencies_ns, length, percentile),
        b_ns=_of_blocks(b.latencies_ns, length, percentile),
        unit=length,
    )


def _of_rounds(measurement: Measurement, percentile: float) -> tuple[float, ...]:
    found, start = [], 0
    for count in measurement.rounds:
        if count > 0:
            part = measurement.latencies_ns[start : start + count]
            found.append(float(quantile(part, percentile)))
        start += count
    return tuple(found)


def _of_blocks(latencies: Sequence[int], length: int, percentile: float) -> tuple[float, ...]:
    count = len(latencies) // length
    taken = min(count, _BLOCKS)
    starts = [index * count // taken * length for index in range(taken)]
    return tuple(float(quantile(latencies[s : s + length], percentile)) for s in starts)


def find(samples: Samples, threshold_ns: float, confidence: float) -> Finding:
    """Decide: a change counts if it is significant and larger than the threshold.

    faster, slower: the test finds a difference at that confidence, and the Hodges-Lehmann estimate
    of it is above the threshold; same: the whole interval is within the threshold; otherwise
    undecided, and the data that is missing grows with the square of the interval's width.

    Raises:
        ValueError: the confidence does not lie between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, got {confidence}")
    a, b = samples.a_ns, samples.b_ns
    if samples.test == "signed-rank of rounds":
        differences = [y - x for x, y in zip(a, b, strict=True)]
        shift, interval = signed_rank_interval(differences, confidence)
        p_value = signed_rank_p(differences)
    else:
        shift, interval = rank_sum_interval(a, b, confidence)
        p_value = rank_sum_p(a, b)
    more_of: Literal["rounds", "queries"] = "queries" if "blocks" in samples.test else "rounds"
    # Two against many may reach the level as well, but two rounds show no spread.
    missing = least_samples(samples.test, confidence) - min(len(a), len(b))
    if shift is None or interval is None or missing > 0:
        return Finding(
            answer="undecided",
            shift_ns=shift,
            interval=None,
            p_value=None,
            more=max(missing, 1) * samples.unit,
            more_of=more_of,
        )
    answer: Answer = "undecided"
    more = None
    if abs(shift) > threshold_ns and p_value <= 1 - confidence:
        answer = "slower" if shift > 0 else "faster"
    elif -threshold_ns <= interval[0] and interval[1] <= threshold_ns:
        answer = "same"
    else:
        times = _times(shift, interval, threshold_ns)
        count = min(len(a), len(b)) * samples.unit
        more = None if times > _MOST_TIMES else max(math.ceil(count * (times - 1)), 1)
    return Finding(
        answer=answer,
        shift_ns=shift,
        interval=interval,
        p_value=p_value,
        more=more,
        more_of=more_of,
    )


def _times(shift: float, interval: Interval, threshold_ns: float) -> float:
    """Return how many times the data narrows the interval enough: its width goes with 1/√n."""
    half = max(interval[1] - shift, shift - interval[0])
    room = abs(shift) if abs(shift) > threshold_ns else threshold_ns - abs(shift)
    return math.inf if room <= 0 else (half / room) ** 2


def least_samples(test: Test, confidence: float) -> int:
    """Return how many samples of each the test needs before it can find anything at all."""
    count = 1
    while True:
        ways = 2**count if test == "signed-rank of rounds" else math.comb(2 * count, count)
        # A half away from the boundary of floats: 1 - 0.95 is a little more than 0.05.
        if 2 / ways <= (1 - confidence) * (1 + 1e-9):
            return count
        count += 1


def typical_ns(samples: Sequence[float]) -> float | None:
    """Return the median of the samples; None if there are none."""
    return statistics.median(samples) if samples else None
