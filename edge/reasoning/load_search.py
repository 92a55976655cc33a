"""Where to look next for the highest load that keeps a limit. Pure; device slice: Python 3.8.

The runs so far are all that decides, so the same runs give the same next load. The queries of a
backlog resemble each other, which MLPerf's rule leaves out of account; hence a queue's formula
bounds the loads, and the load that is found is measured once more: only both together count.
"""

import math
from typing import Dict, List, Optional, Sequence, Tuple

from edge.reasoning.stats import quantile, refutes_limit, supports_limit
from edge.records.search import FAILED, MET, NOT_MET, UNDECIDED, LoadRun
from edge.units import three_digits

# The search is over when the bracket is this narrow.
CLOSE = 1.05
# As much as the load changes at once while the bracket is open on a side; then twice as much.
_STEP = 1.25
# Below this share of the expected load nothing useful is left to find.
_LEAST_SHARE = 1 / 64
_MOST_RUNS = 32
_BISECTIONS = 50


def expected_load_per_s(
    latencies: Sequence[int], limit_ns: int, percentile: float
) -> Optional[float]:
    """Return the load at which to start; None: one query alone is over.

    `latencies` are of single queries; the room for the wait is what their percentile leaves.
    """
    room = limit_ns - quantile(latencies, percentile)
    return _load_per_s(latencies, room, percentile) if room >= 0 else None


def most_load_per_s(latencies: Sequence[int], limit_ns: int, percentile: float) -> float:
    """Return the load above which no queue of such queries keeps the limit for long.

    Of all services of this mean a constant one waits least. A short run may well keep the limit
    above it: near the full load a queue needs thousands of queries until it has its length.
    """
    room = max(0.0, limit_ns - sum(latencies) / len(latencies))
    return _load_per_s(latencies, room, percentile) or 1e9


def _load_per_s(latencies: Sequence[int], room_ns: float, percentile: float) -> Optional[float]:
    """Return the load at which so many have to wait longer than `room_ns`."""
    service = sum(latencies) / len(latencies)
    if service <= 0:
        return None
    late = 1 - percentile / 100
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if late_share(middle, room_ns / service) <= late:
            low = middle
        else:
            high = middle
    return low / service * 1e9


def late_share(busy: float, services: float) -> float:
    """Return P(wait > so many services) in an M/D/1 queue at utilisation `busy`, between 0 and 1.

    Exact up to two services (Erlang, 1909); beyond by the asymptote, which has come within 2 %
    of it by then (Tijms, A First Course in Stochastic Models, section 9.2).
    """
    if services <= 2:
        after = max(0.0, services - 1)
        soon = math.exp(busy * services) - busy * after * math.exp(busy * after)
        return 1 - (1 - busy) * soon
    low, high = -math.log(busy), 2 - 2 * math.log(busy)
    for _ in range(_BISECTIONS):
        decay = (low + high) / 2
        if busy * math.expm1(decay) > decay:
            high = decay
        else:
            low = decay
    return (1 - busy) / (busy * math.exp(low) - 1) * math.exp(-low * services)


def outcome(runs: Sequence[LoadRun], percentile: float) -> str:
    """Judge all runs of one load together: met, not-met, undecided or failed."""
    if any(run.failure is not None for run in runs):
        return FAILED
    count, over = sum(run.count for run in runs), sum(run.over for run in runs)
    if supports_limit(count, over, percentile):
        return MET
    return NOT_MET if refutes_limit(count, over, percentile) else UNDECIDED


def loads_by_outcome(runs: Sequence[LoadRun], percentile: float) -> Dict[float, str]:
    """Return each load that was tried, ascending, with its outcome."""
    by_load: Dict[float, List[LoadRun]] = {}
    for run in runs:
        by_load.setdefault(run.target_qps, []).append(run)
    return {load: outcome(by_load[load], percentile) for load in sorted(by_load)}


def bracket(runs: Sequence[LoadRun], percentile: float) -> Tuple[Optional[float], Optional[float]]:
    """Return the highest load met below all that were not, and the lowest that was not."""
    loads = loads_by_outcome(runs, percentile)
    high = min((load for load, what in loads.items() if what != MET), default=None)
    met = [load for load, what in loads.items() if what == MET and (high is None or load < high)]
    return max(met, default=None), high


def next_load(
    runs: Sequence[LoadRun], expected: float, most: float, percentile: float
) -> Tuple[Optional[float], str]:
    """Return the load to run next, or None and why the search is over.

    `expected` is where it starts, `most` what it never goes above. A load comes again when it is
    undecided, and once more when it turns out to be the highest.
    """
    if len(runs) >= _MOST_RUNS:
        return None, "after {} runs, the bracket is not within 5 % yet".format(len(runs))
    if not runs:
        return min(expected, most), ""
    last = runs[-1].target_qps
    tried = [run for run in runs if run.target_qps == last]
    if len(tried) == 1 and outcome(tried, percentile) == UNDECIDED:
        return last, ""
    low, high = bracket(runs, percentile)
    if low is None:
        return _further_down(runs, high, expected)
    if high is None and low < most:
        return min(most, low * _stepped(runs, percentile)), ""
    if high is not None and high > low * CLOSE:
        return math.sqrt(low * high), ""
    if sum(run.target_qps == low for run in runs) == 1:
        return low, ""
    if high is None:
        return None, "it keeps the limit at all that a queue of such queries can carry"
    return None, "the bracket is within 5 %"


def _further_down(
    runs: Sequence[LoadRun], high: Optional[float], expected: float
) -> Tuple[Optional[float], str]:
    lowest, least = expected if high is None else high, expected * _LEAST_SHARE
    if lowest <= least:
        return None, "no load keeps the limit, down to {} queries/s".format(three_digits(lowest))
    down = len({run.target_qps for run in runs})
    return max(least, lowest / _STEP ** (2 ** min(down - 1, 3))), ""


def _stepped(runs: Sequence[LoadRun], percentile: float) -> float:
    met = sum(what == MET for what in loads_by_outcome(runs, percentile).values())
    return float(_STEP ** (2 ** min(met - 1, 3)))


def contradictions(runs: Sequence[LoadRun], percentile: float) -> Tuple[str, ...]:
    """Return in words what does not go together: a higher load met, or runs of one that differ."""
    loads = loads_by_outcome(runs, percentile)
    told = []
    for load, what in loads.items():
        higher = [other for other in loads if other > load and loads[other] == MET]
        if what == NOT_MET and higher:
            text = "{:.4g} queries/s did not keep the limit, {:.4g} did"
            told.append(text.format(load, max(higher)))
        alone = {outcome([run], percentile) for run in runs if run.target_qps == load}
        if {MET, NOT_MET} <= alone:
            told.append("{:.4g} queries/s kept the limit in one run, not in another".format(load))
    return tuple(told)
