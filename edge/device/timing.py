"""The timing loops, closed and open: the one place in the limited child that reads a clock.

Part of the device slice: Python 3.8, standard library only.
"""

import functools
import time
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Optional

Progress = Callable[[float], None]
if TYPE_CHECKING:
    Times = array[int]
else:  # Old Pythons cannot subscript it.
    Times = array

_NS = 1_000_000_000
# 5 million latencies are an answer of some 50 MB; a model that fast needs no more.
_MOST_QUERIES = 5_000_000
_OVERHEAD_QUERIES = 5001
# A sleeping process is woken up to this much late, by the kernel's timer slack, a processor that
# leaves its idle state, and the scheduler. What is left until an arrival is spent looking at the
# clock: a query that begins late would count that lateness as the model's.
_SPIN_NS = 500_000
# Falling this far behind, in part of the whole schedule and in queries, no steady load does.
_LAG_PART = 4
_LAG_QUERIES = 64


@dataclass(frozen=True)
class Limits:
    """When a loop stops: both minima are reached, or the maximum is."""

    min_queries: int
    min_ns: int
    max_ns: int

    def part(self, part: int, min_queries: int) -> "Limits":
        """Return limits of so many queries, and one part of the times."""
        return Limits(min_queries, self.min_ns // part, self.max_ns // part)


@dataclass(frozen=True)
class Timed:
    """What a loop saw: each query's latency in ns, in order, and the time from first to last.

    `duration_ns` is from the first query's start, or its scheduled arrival, to the end of the last.
    `overloaded`: the queries came faster than they were served.
    """

    latencies: Times
    duration_ns: int
    overloaded: bool = False


def clock_ns() -> int:
    """Return the monotonic clock, for the parts that happen once; in ns."""
    return time.perf_counter_ns()


def unix_ns() -> int:
    """Return the time of day, in ns since 1970."""
    return time.time_ns()


def closed_loop(
    run: Callable[[], object], limits: Limits, progress: Optional[Progress] = None
) -> Timed:
    """Run query after query until the limits say stop.

    Between the two clock reads of a query stands the inference and nothing else. The limits are
    held against the sum of the latencies, so that they need no further clock read. Progress is
    told a hundred times at most.
    """
    clock = time.perf_counter_ns
    min_queries, min_ns, max_ns = limits.min_queries, limits.min_ns, limits.max_ns
    latencies = array("q")
    keep = latencies.append
    total = count = first = end = 0
    step = max(min_ns // 10, max_ns // 100, 1)
    tell_at = max_ns if progress is None else step
    while (count < min_queries or total < min_ns) and total < max_ns and count < _MOST_QUERIES:
        start = clock()
        run()
        end = clock()
        keep(end - start)
        total += end - start
        first = first or start
        count += 1
        if total >= tell_at and progress is not None:
            tell_at = total + step
            minima = min(total / max(min_ns, 1), count / max(min_queries, 1))
            progress(min(1.0, max(minima, total / max_ns)))
    return Timed(latencies, end - first)


def arrivals_ns(per_s: float, seed: int, limits: Limits) -> Times:
    """Return when the queries arrive: a Poisson process, the same for the same seed; in ns.

    The first arrives at 0, as in MLPerf's loadgen (GenerateQueries, loadgen/loadgen.cc), and none
    arrives once both minima are reached, or the maximum is.
    """
    import random  # Only the scenario server needs it.

    gap_s = random.Random(seed).expovariate  # noqa: S311 - no secret
    arrivals = array("q")
    at, at_s = 0, 0.0
    while (
        (len(arrivals) < limits.min_queries or at < limits.min_ns)
        and at < limits.max_ns
        and len(arrivals) < _MOST_QUERIES
    ):
        arrivals.append(at)
        at_s += gap_s(per_s)
        # Where queries are rare, the next may be years away.
        at = int(min(at_s * _NS, limits.max_ns))
    return arrivals


def open_loop(
    run: Callable[[], object], arrivals: Times, max_ns: int, progress: Optional[Progress] = None
) -> Timed:
    """Serve queries that arrive on a schedule, first come first served, one at a time.

    A latency is from the scheduled arrival to the end, so that waiting counts. It ends before the
    schedule does where `max_ns` has passed, or where it is hopelessly behind; either is overload,
    as is more work than the schedule, if it is of 64 queries or more, has time for. Progress is
    told only while nobody waits.
    """
    clock, sleep = time.perf_counter_ns, time.sleep
    latencies = array("q")
    keep = latencies.append
    span = arrivals[-1] if arrivals else 0
    hopeless = max(span // _LAG_PART, span * _LAG_QUERIES // max(len(arrivals), 1), 1)
    step = max(span // 100, 1)
    tell_at = step
    busy = lag = passed = 0
    begun = clock()
    for arrival in arrivals:
        if passed >= max_ns or (lag > hopeless and len(latencies) >= _LAG_QUERIES):
            break
        due = begun + arrival
        start = clock()
        if start < due:
            if progress is not None and arrival >= tell_at:
                tell_at = arrival + step
                progress(arrival / span)
                start = clock()
            if due - start > _SPIN_NS:
                sleep((due - start - _SPIN_NS) / _NS)
            while start < due:
                start = clock()
        run()
        end = clock()
        lag = end - due
        keep(lag)
        busy += end - start
        passed = end - begun
    unserved = len(latencies) < len(arrivals)
    return Timed(
        latencies, passed, unserved or (len(arrivals) >= _LAG_QUERIES and busy >= max(span, 1))
    )


def loop_overhead_ns() -> int:
    """Return what the closed loop reports of a query that does nothing, in ns: the median.

    The callable is a partial of a C function, which is what a bound inference looks like.
    """
    limits = Limits(_OVERHEAD_QUERIES, 0, _NS)
    latencies = closed_loop(functools.partial(len, ()), limits).latencies
    return sorted(latencies)[len(latencies) // 2]
