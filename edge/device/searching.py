"""Runs one measurement after another to find the best batch or the highest load.

Part of the device slice: Python 3.8. How a scenario is measured is the caller's business.
"""

from dataclasses import replace
from typing import Callable, List, Optional, Tuple

from edge.errors import RuntimeFailure, UsageError
from edge.reasoning.load_search import (
    bracket,
    contradictions,
    expected_load_per_s,
    most_load_per_s,
    next_load,
)
from edge.reasoning.stats import quantile, refutes_limit, throughput_per_s
from edge.records.measurement import Measurement
from edge.records.scenario import OFFLINE, SERVER, Scenario
from edge.records.search import BatchCurve, BatchPoint, LoadRun, LoadSearch

Measure = Callable[[Scenario], Measurement]
Tell = Callable[[str], None]

# Less growth than this is none; a batch this close to the best one is as good.
_GROWTH = 1.03
_LARGEST_BATCH = 1024


def measure_batched(measure: Measure, scenario: Scenario) -> Measurement:
    """Measure a scenario, with the samples of a query as one batch if the model takes one.

    Raises:
        EdgekitError: it cannot be measured.
    """
    if scenario.samples_per_query == 1 or scenario.batched:
        return measure(scenario)
    try:
        return measure(replace(scenario, batched=True))
    except UsageError:
        # Its batch is fixed: one sample after the other, then.
        return measure(scenario)


def offline_scenario(curve: BatchCurve) -> Scenario:
    """Return the scenario of the full offline run: the batch that the curve chose.

    Raises:
        RuntimeFailure: no batch could be measured, or none within the memory.
    """
    if curve.chosen is None:
        raise RuntimeFailure("no batch can be run offline: {}".format(curve.ended))
    return Scenario(OFFLINE, curve.chosen, batched=curve.batchable and curve.chosen > 1)


def batch_curve(
    measure: Measure,
    most_batch: int = _LARGEST_BATCH,
    most_bytes: Optional[int] = None,
    progress: Optional[Tell] = None,
) -> BatchCurve:
    """Measure batches of 1, 2, 4, 8 and so on until more bring nothing, and choose one.

    It ends when the throughput grew by less than 3 % twice, when the next batch would need more
    than `most_bytes` (peak memory, extended in a line), after `most_batch`, or with a failure,
    which stays in the curve.

    Raises:
        EdgekitError: not even one sample at a time can be measured, other than by a failure of
            the runtime.
    """
    points: List[BatchPoint] = []
    batchable, ended, best, idle, batch = True, "", 0.0, 0, 1
    while not ended:
        _tell(progress, "batch {}".format(batch))
        try:
            point = _batch_point(measure(Scenario(OFFLINE, batch, batched=batch > 1)), batch)
        except UsageError as error:
            if batch == 1:
                raise
            batchable, ended = False, "the model takes no batch: {}".format(error.what)
            break
        except RuntimeFailure as error:
            points.append(BatchPoint(batch, None, None, None, failure=str(error)))
            ended = "a batch of {} failed".format(batch)
            break
        points.append(point)
        grown = 0.0 if point.throughput is None else point.throughput.per_s
        idle = idle + 1 if grown < best * _GROWTH else 0
        best = max(best, grown)
        batch *= 2
        if idle == 2:
            ended = "the throughput no longer grows by 3 %"
        elif batch > most_batch:
            ended = "a batch of {} is the largest asked for".format(most_batch)
        elif most_bytes is not None and _next_bytes(points) > most_bytes:
            ended = "a batch of {} would need more memory than there is".format(batch)
    return BatchCurve(tuple(points), _chosen(points, most_bytes), batchable, ended)


def _batch_point(measurement: Measurement, batch: int) -> BatchPoint:
    return BatchPoint(
        samples=batch,
        throughput=throughput_per_s(measurement),
        batch_ns=quantile(measurement.latencies_ns, 50),
        peak_memory_bytes=measurement.peak_memory_bytes,
        flaws=measurement.flaws,
    )


def _next_bytes(points: List[BatchPoint]) -> int:
    """Return the memory of twice the last batch: what the last doubling added, twice more."""
    known = [p.peak_memory_bytes for p in points if p.peak_memory_bytes is not None]
    if not known:
        return 0
    return known[-1] + (2 * max(0, known[-1] - known[-2]) if len(known) > 1 else 0)


def _chosen(points: List[BatchPoint], most_bytes: Optional[int]) -> Optional[int]:
    """Return the smallest batch within 3 % of the best of those that fit in memory."""
    fitting = [
        (p.throughput.per_s, p.samples)
        for p in points
        if p.throughput is not None
        and (most_bytes is None or (p.peak_memory_bytes or 0) <= most_bytes)
    ]
    best = max(fitting, default=(0.0, 0))[0]
    return min((samples for per_s, samples in fitting if per_s * _GROWTH >= best), default=None)


def highest_load(
    measure: Measure,
    limit_ns: int,
    percentile: float = 99,
    progress: Optional[Tell] = None,
    seed: int = 0,
) -> LoadSearch:
    """Find the highest Poisson load at which the percentile keeps the limit, within 5 %.

    A single-stream run and a queue's formula say where to start; server runs decide. Each run has
    another seed, so that one odd sequence of arrivals does not decide.

    Raises:
        EdgekitError: the single-stream run fails, or a load does other than by a failure of the
            runtime, which counts as not met.
    """
    _tell(progress, "single queries")
    alone = measure(Scenario())
    latencies = alone.latencies_ns
    over = sum(latency > limit_ns for latency in latencies)
    expected = expected_load_per_s(latencies, limit_ns, percentile)
    most = most_load_per_s(latencies, limit_ns, percentile)
    runs: List[LoadRun] = []
    if refutes_limit(len(latencies), over, percentile):
        ended = "single queries, without any load, are over the limit already"
    else:
        # The formula knows no noise: where single queries are near the limit, look far below.
        start = most / 10 if expected is None else max(expected, most / 100)
        load, ended = next_load(runs, start, most, percentile)
        while load is not None:
            _tell(progress, "run {}: {:.4g} queries/s".format(len(runs) + 1, load))
            runs.append(_load_run(measure, load, limit_ns, percentile, seed + len(runs)))
            load, ended = next_load(runs, start, most, percentile)
    low, high = bracket(runs, percentile)
    # A run over the load fell behind, as it had to; what speaks against the answer is the others'.
    kept = [run for run in runs if low is not None and run.target_qps <= low]
    every: Tuple[str, ...] = alone.flaws + tuple(flaw for run in kept for flaw in run.flaws)
    return LoadSearch(
        limit_ns=limit_ns,
        percentile=percentile,
        expected_qps=expected,
        highest_met_qps=low,
        lowest_not_met_qps=high,
        runs=tuple(runs),
        unlike=contradictions(runs, percentile),
        flaws=tuple(dict.fromkeys(every)),
        ended=ended,
    )


def _load_run(
    measure: Measure, load: float, limit_ns: int, percentile: float, seed: int
) -> LoadRun:
    scenario = Scenario(SERVER, target_qps=load, limit_ns=limit_ns, seed=seed)
    try:
        found = measure(scenario)
    except RuntimeFailure as error:
        return LoadRun(load, seed, 0, 0, None, failure=str(error))
    reached = throughput_per_s(found)
    return LoadRun(
        target_qps=load,
        seed=seed,
        count=len(found.latencies_ns),
        over=sum(latency > limit_ns for latency in found.latencies_ns),
        percentile_ns=quantile(found.latencies_ns, percentile),
        reached_per_s=None if reached is None else reached.per_s,
        flaws=found.flaws,
    )


def _tell(progress: Optional[Tell], text: str) -> None:
    if progress is not None:
        progress(text)
