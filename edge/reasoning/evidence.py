"""What is known of the time and memory of one inference on a target: measured, else predicted.

A measurement counts for a target if it was made for it, on a machine that plausibly is it, of the
same model, without flaws, and of a scenario that tells the time of a query: single-stream, or server
at the load that is asked for. What is not used is named, with the reason.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from edge.reasoning.queueing import (
    ServiceTime,
    service_from_samples,
    service_with_variation,
)
from edge.reasoning.same_machine import why_another_machine, why_another_processor
from edge.reasoning.stats import (
    percentile_interval,
    quantile,
    queries_needed,
    supports_limit,
)
from edge.records.estimate import Estimate
from edge.records.measurement import Measurement
from edge.records.scenario import MULTI_STREAM, OFFLINE, SERVER, SINGLE_STREAM, Scenario
from edge.records.target import Target
from edge.records.verdict import Provenance

# The spread between queries of a predicted service time, as the sigma of a log-normal one: with
# 0.25 a p90 is 1.38 and a p99 1.79 times the median, which 86 % and 72 % of MLPerf's 2,441
# single-stream rows on CPUs stayed within (rounds v2.0 to v3.0).
PREDICTED_VARIATION = 0.25
_CONFIDENCE = 0.90
# Processes of the same model drift by 2 to 5 %, sometimes by 20 %, however many queries each has:
# what a percentile is widened by for one process, for two, and for more.
_PROCESS_SPREAD = (1.20, 1.10, 1.05)
# Scenarios whose latencies are those of single samples.
_TELLING = (SINGLE_STREAM, SERVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The shortest and the longest service time that one may believe in, and the memory.

    `high` None: no upper bound is known. `queries_missing` is how many queries a measurement
    lacks for the percentile. `served_per_s` is the load under which a machine was seen to keep the
    limit that `from_measurements` was given, waiting included.
    """

    provenance: Provenance
    basis: str
    low: ServiceTime
    typical_ns: float | None
    high: ServiceTime | None
    memory_low_bytes: int | None
    memory_high_bytes: int | None
    queries_missing: int | None = None
    served_per_s: float | None = None


def from_estimate(estimate: Estimate) -> Evidence:
    """Take a prediction as evidence; only a calibrated one has an upper end."""
    high_ns = estimate.high_ns
    return Evidence(
        provenance="predicted" if estimate.calibrated else "none",
        basis=estimate.basis,
        low=service_with_variation(float(estimate.low_ns), 0.0),
        typical_ns=None if estimate.typical_ns is None else float(estimate.typical_ns),
        high=None if high_ns is None else service_with_variation(high_ns, PREDICTED_VARIATION),
        memory_low_bytes=estimate.memory_low_bytes,
        memory_high_bytes=estimate.memory_bytes,
    )


def from_measurements(
    measurements: Sequence[Measurement], percentile: float, limit_ns: float | None = None
) -> Evidence | None:
    """Take the fastest configuration that was measured with enough queries; None without any.

    All measurements are of one model on one target; those with flaws, and those of a scenario that
    tells no time of a query, are left out. `limit_ns` is what server runs are held against.
    """
    sound = [m for m in measurements if not m.flaws and m.scenario.kind in _TELLING]
    alone = [m for m in sound if m.scenario.kind == SINGLE_STREAM]
    served = _served_per_s(sound, percentile, limit_ns)
    # A response holds the wait too: as a service time it is an upper end, for want of a better.
    found = _fastest(alone, percentile) or _fastest(sound, percentile)
    if found is not None:
        return replace(found, served_per_s=served)
    if not sound:
        return None
    needed = queries_needed(percentile)
    most = max(sound, key=lambda m: len(m.latencies_ns))
    latencies = most.latencies_ns
    return Evidence(
        provenance="measured",
        basis=f"{len(latencies)} queries measured, p{percentile:g} needs {needed}",
        low=ServiceTime(points_ns=(float(min(latencies)),)),
        typical_ns=float(quantile(latencies, 50)),
        high=None,
        memory_low_bytes=None,
        memory_high_bytes=most.peak_memory_bytes,
        queries_missing=max(1, needed - len(latencies)),
    )


def _fastest(measurements: Sequence[Measurement], percentile: float) -> Evidence | None:
    groups: dict[tuple[str, str, int, str], list[Measurement]] = {}
    for one in measurements:
        runtime = (one.runtime.distribution, one.runtime.version, one.runtime.threads)
        groups.setdefault((*runtime, one.scenario.kind), []).append(one)
    found = [_pooled(group, percentile) for group in groups.values()]
    best = [e for e in found if e is not None and e.high is not None]
    return min(
        best, key=lambda e: math.inf if e.high is None else e.high.points_ns[-1], default=None
    )


def _pooled(group: Sequence[Measurement], percentile: float) -> Evidence | None:
    needed = queries_needed(percentile)
    enough = [m for m in group if len(m.latencies_ns) >= needed]
    parts = [m.latencies_ns for m in enough] + [r for m in enough for r in _rounds(m)]
    bounds = [percentile_interval(part, percentile, _CONFIDENCE) for part in parts]
    ends = [b for b in bounds if b is not None]
    if not ends:
        return None
    pooled = [ns for m in enough for ns in m.latencies_ns]
    shape = service_from_samples(pooled)
    middle = quantile(pooled, percentile)
    count = sum(_process_count(m) for m in enough)
    spread = _spread(count)
    low, high = min(b[0] for b in ends) / spread, max(b[1] for b in ends) * spread
    first = enough[0]
    peaks = [m.peak_memory_bytes for m in enough]
    known = [p for p in peaks if p is not None]
    least = shape.scaled(low / middle) if middle else shape
    if first.scenario.kind == SERVER:
        # How much of a response is waiting is not known, but none is shorter than its service.
        least = ServiceTime(points_ns=(min(pooled) / spread,))
    return Evidence(
        provenance="measured",
        basis=f"{len(pooled)} queries in {count} process{'es' if count > 1 else ''}, "
        f"{first.runtime.distribution} {first.runtime.version}, {first.runtime.threads} threads"
        + _under_load(enough),
        low=least,
        typical_ns=float(quantile(pooled, 50)),
        high=shape.scaled(high / middle) if middle else shape,
        memory_low_bytes=min(known) if known else None,
        memory_high_bytes=max(known) if known else None,
    )


def _rounds(measurement: Measurement) -> list[tuple[int, ...]]:
    """Return the latencies of each process, where several were put together."""
    ends = accumulate(measurement.rounds)
    return [
        measurement.latencies_ns[end - count : end]
        for count, end in zip(measurement.rounds, ends, strict=True)
    ]


def _process_count(measurement: Measurement) -> int:
    return max(1, len(measurement.rounds))


def _spread(processes: int) -> float:
    return _PROCESS_SPREAD[min(processes, len(_PROCESS_SPREAD)) - 1]


def _under_load(group: Sequence[Measurement]) -> str:
    loads = [m.scenario.target_qps for m in group if m.scenario.target_qps is not None]
    return f", under {min(loads):.4g} queries/s" if loads else ""


def _served_per_s(
    measurements: Sequence[Measurement], percentile: float, limit_ns: float | None
) -> float | None:
    """Return the highest load at which MLPerf's rule says that the limit is kept, with room.

    The room is what processes differ by; latencies include the wait.
    """
    kept = []
    for one in measurements:
        load, latencies = one.scenario.target_qps, one.latencies_ns
        if load is None or limit_ns is None:
            continue
        within = limit_ns / _spread(_process_count(one))
        if supports_limit(len(latencies), sum(ns > within for ns in latencies), percentile):
            kept.append(load)
    return max(kept, default=None)


def why_not_used(
    measurement: Measurement,
    target: Target | None,
    sha256: str,
    load_per_s: float | None = None,
) -> str | None:
    """Return why a measurement is no evidence for the model on the target, None if it is.

    `load_per_s` is the load that is asked for; a server run counts at that load or a higher one.
    """
    if measurement.provenance != "measured":
        return "emulated time is no time"
    if measurement.model.sha256 != sha256:
        return f"it is of another model, {measurement.model.name}"
    if measurement.target is None:
        return "it was made for no target (probe with --target)"
    if target is None:
        return f"its target {measurement.target} is not among the candidates"
    if measurement.flaws:
        return "; ".join(measurement.flaws)
    return (
        _why_another_scenario(measurement.scenario, load_per_s)
        or why_another_machine(measurement.host, target)
        or why_another_processor(measurement, target)
    )


def _why_another_scenario(scenario: Scenario, load_per_s: float | None) -> str | None:
    if scenario.kind == OFFLINE:
        return "it is of the scenario offline: a throughput, not the time of a query"
    if scenario.kind == MULTI_STREAM:
        count = scenario.samples_per_query
        return f"it is of the scenario multi-stream: {count} samples a query"
    if scenario.target_qps is None:
        return None
    if load_per_s is None or scenario.target_qps < load_per_s:
        asked = "not known" if load_per_s is None else f"{load_per_s:.4g}"
        return (
            f"it was measured under {scenario.target_qps:.4g} queries/s, what is asked is {asked}"
        )
    return None
