"""What is known of the time and memory of one inference on a target: measured, else predicted.

A measurement counts for a target if it was made for it, on a machine that plausibly is it, of the
same model, and without flaws. What is not used is named, with the reason.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.reasoning.queueing import (
    ServiceTime,
    service_from_samples,
    service_with_variation,
)
from edge.reasoning.stats import percentile_interval, quantile, queries_needed
from edge.records.estimate import Estimate
from edge.records.measurement import HostFacts, Measurement
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
_OLD_ARM = ("armv6l", "armv7l", "aarch64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The shortest and the longest service time that one may believe in, and the memory.

    `high` None: no upper bound is known. `queries_missing` is how many queries a measurement
    lacks for the percentile.
    """

    provenance: Provenance
    basis: str
    low: ServiceTime
    typical_ns: float | None
    high: ServiceTime | None
    memory_low_bytes: int | None
    memory_high_bytes: int | None
    queries_missing: int | None = None


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


def from_measurements(measurements: Sequence[Measurement], percentile: float) -> Evidence | None:
    """Take the fastest configuration that was measured with enough queries; None without any.

    All measurements are of one model on one target, and without flaws.
    """
    groups: dict[tuple[str, str, int], list[Measurement]] = {}
    for one in measurements:
        runtime = (one.runtime.distribution, one.runtime.version, one.runtime.threads)
        groups.setdefault(runtime, []).append(one)
    needed = queries_needed(percentile)
    found = [_pooled(group, percentile) for group in groups.values()]
    best = [e for e in found if e is not None and e.high is not None]
    if best:
        return min(best, key=lambda e: math.inf if e.high is None else e.high.points_ns[-1])
    if not measurements:
        return None
    most = max(measurements, key=lambda m: len(m.latencies_ns))
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


def _pooled(group: Sequence[Measurement], percentile: float) -> Evidence | None:
    needed = queries_needed(percentile)
    enough = [m for m in group if len(m.latencies_ns) >= needed]
    bounds = [percentile_interval(m.latencies_ns, percentile, _CONFIDENCE) for m in enough]
    ends = [b for b in bounds if b is not None]
    if not ends:
        return None
    pooled = [ns for m in enough for ns in m.latencies_ns]
    shape = service_from_samples(pooled)
    middle = quantile(pooled, percentile)
    spread = _PROCESS_SPREAD[min(len(enough), len(_PROCESS_SPREAD)) - 1]
    low, high = min(b[0] for b in ends) / spread, max(b[1] for b in ends) * spread
    first = enough[0]
    peaks = [m.peak_memory_bytes for m in enough]
    known = [p for p in peaks if p is not None]
    processes = f"{len(enough)} process{'es' if len(enough) > 1 else ''}"
    return Evidence(
        provenance="measured",
        basis=f"{len(pooled)} queries in {processes}, {first.runtime.distribution} "
        f"{first.runtime.version}, {first.runtime.threads} threads",
        low=shape.scaled(low / middle) if middle else shape,
        typical_ns=float(quantile(pooled, 50)),
        high=shape.scaled(high / middle) if middle else shape,
        memory_low_bytes=min(known) if known else None,
        memory_high_bytes=max(known) if known else None,
    )


def why_not_used(measurement: Measurement, target: Target | None, sha256: str) -> str | None:
    """Return why a measurement is no evidence for the model on the target, None if it is."""
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
    return _why_another_machine(measurement.host, target) or _why_another_processor(
        measurement, target
    )


def _why_another_machine(host: HostFacts, target: Target) -> str | None:
    wanted = target.cpu.architecture
    if host.machine != wanted and not (wanted == "armv7l" and host.machine in _OLD_ARM):
        return f"its machine is {host.machine}, {target.name} is {wanted}"
    cores = int(target.cpu.cores.value)
    if target.kind != "edge":
        allowed = host.cores_allowed
        if host.cpu_quota is not None and host.cpu_quota < allowed:
            return f"its CPU quota is {host.cpu_quota:g} cores, {target.name} has {cores}"
        if allowed != cores:
            return f"its machine allowed {allowed} cores, {target.name} has {cores}"
        return None
    if host.board is not None:
        if _words(target.title.split(",")[0]) <= _words(host.board):
            return None
        return f"its machine is a {host.board}"
    core = host.cpu_model
    if core is not None and core in target.cpu.model and host.cores_online == cores:
        return None
    return f"its machine ({core or 'unknown CPU'}) is not known to be a {target.title}"


def _why_another_processor(measurement: Measurement, target: Target) -> str | None:
    used_gpu = any("CUDA" in p or "Tensorrt" in p for p in measurement.runtime.providers)
    if target.kind == "cloud-gpu" and not used_gpu:
        return "it ran on the CPU, not on the GPU"
    return None


def _words(text: str) -> set[str]:
    # Linux writes "3 Model B Plus Rev 1.3" where the maker writes "3 Model B+".
    return set(re.findall(r"[a-z0-9]+", text.lower().replace("+", " plus")))
