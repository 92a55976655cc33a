"""One target for an inference workload: fits, does not fit, or undecided, and the binding limit.

It fits only if the upper ends are within every limit, and does not fit if a lower end is above
one. Everything in between is undecided: there a measurement decides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.reasoning.economics import (
    Offer,
    cost_per_million,
    most_machines,
    unit_cost_per_month,
)
from edge.reasoning.evidence import Evidence
from edge.reasoning.limits import (
    SEVERITY,
    Binding,
    Sizes,
    check_budget,
    check_memory,
    check_time,
    limit_ns,
    peak_load,
    sizes_of,
)
from edge.reasoning.queueing import ServiceTime, response_ns
from edge.records.model import RuntimeSupport
from edge.records.target import Target
from edge.records.verdict import Candidate, Fit
from edge.records.workload import Workload
from edge.units import format_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A candidate, the cost it may have at best, and what it offers where it fits."""

    candidate: Candidate
    lowest_cost: float | None
    offer: Offer | None


def judge(
    target: Target,
    workload: Workload,
    supports: Sequence[RuntimeSupport],
    evidence: Evidence | None,
    *,
    on_gpu: bool,
    next_command: str | None,
) -> Judged:
    """Judge one target; `supports` are its runtimes, `evidence` None if none can run the model.

    `next_command` is what measures it, None where edgekit cannot.
    """
    if evidence is None or not any(s.supported for s in supports):
        reasons = [f"{s.runtime} {s.runtime_version}: {r}" for s in supports for r in s.reasons]
        reason = "; ".join(dict.fromkeys(reasons)) or "no runtime of it reads this format"
        return _without_times(target, "operators", reason)
    power = workload.power_limit_w
    if power is not None and target.power is not None and target.power.load_w.value > power:
        reason = f"draws {target.power.load_w.value:g} W, the limit is {power:g} W"
        return _without_times(target, "power", reason)
    sizes = sizes_of(workload, evidence)
    unit = unit_cost_per_month(target, workload)
    findings = [
        check_memory(target, workload, evidence, on_gpu=on_gpu),
        check_time(target, workload, evidence, sizes),
        check_budget(workload, sizes, unit),
    ]
    worst = min(findings, key=lambda f: SEVERITY[f.fit])
    candidate = _candidate(target, workload, evidence, sizes, unit)
    if worst.fit != "fits":
        kept = candidate if worst.binding == "budget" else _uncosted(candidate)
        command = next_command if worst.fit == "undecided" else None
        return Judged(
            candidate=replace(
                kept,
                fit=worst.fit,
                binding=worst.binding,
                reason=worst.reason,
                next_command=command,
            ),
            lowest_cost=None if sizes.fewest is None else sizes.fewest * unit,
            offer=None,
        )
    offer = Offer(
        name=target.name,
        capacity_per_s=sizes.safe_capacity,
        unit_cost_per_month=unit,
        most_machines=most_machines(target, workload),
    )
    lowest = None if sizes.fewest is None else sizes.fewest * unit
    # What was predicted can be confirmed.
    command = next_command if evidence.provenance == "predicted" else None
    confirmed = replace(candidate, next_command=command)
    return Judged(candidate=confirmed, lowest_cost=lowest, offer=offer)


def _candidate(
    target: Target, workload: Workload, evidence: Evidence, sizes: Sizes, unit: float
) -> Candidate:
    machines = sizes.enough if sizes.enough is not None else sizes.fewest
    share = peak_load(workload) / machines if machines else 0.0
    percentile = workload.percentile
    low = response_ns(evidence.low, share, percentile)
    high = None if evidence.high is None else response_ns(evidence.high, share, percentile)
    typical = None
    if evidence.typical_ns is not None:
        at_typical = ServiceTime(points_ns=(evidence.typical_ns,))
        typical = response_ns(at_typical, share, percentile)
    limit = limit_ns(workload)
    cost = None if sizes.enough is None else sizes.enough * unit
    mean_high = None if evidence.high is None else evidence.high.mean_ns * 1e-9
    average = workload.load_per_s or workload.peak_load_per_s
    return Candidate(
        target=target.name,
        title=target.title,
        kind=target.kind,
        fit="fits",
        binding="none",
        reason=_why_it_fits(workload, high, evidence),
        provenance=evidence.provenance,
        basis=evidence.basis,
        service_low_ns=round(_service(evidence.low, percentile)),
        service_typical_ns=None if evidence.typical_ns is None else round(evidence.typical_ns),
        service_high_ns=None
        if evidence.high is None
        else round(_service(evidence.high, percentile)),
        low_ns=None if low is None else round(low),
        typical_ns=None if typical is None else round(typical),
        high_ns=None if high is None else round(high),
        replicas=sizes.enough,
        utilisation=share * mean_high if mean_high and share and sizes.enough else None,
        headroom=None if limit is None or not high else limit / high,
        capacity_per_s=_finite(sizes.safe_capacity),
        cost_per_month=cost,
        cost_per_million=None if cost is None else cost_per_million(cost, workload, average),
        next_command=None,
    )


def _service(service: ServiceTime, percentile: float) -> float:
    return response_ns(service, 0.0, percentile) or 0.0


def _finite(capacity: float) -> float | None:
    return capacity if 0 < capacity < math.inf else None


def _why_it_fits(workload: Workload, high: float | None, evidence: Evidence) -> str:
    how = "measured" if evidence.provenance == "measured" else "predicted"
    answer = f"{how} to answer within {format_ns(high)} at p{workload.percentile:g}"
    if workload.latency_limit_ms is None:
        return answer
    return f"{answer}, the limit is {workload.latency_limit_ms:g} ms"


def _uncosted(candidate: Candidate) -> Candidate:
    # The load of a machine that may be too slow is not known, so its response is that to a
    # single query.
    return replace(
        candidate,
        low_ns=candidate.service_low_ns,
        typical_ns=candidate.service_typical_ns,
        high_ns=candidate.service_high_ns,
        replicas=None,
        utilisation=None,
        headroom=None,
        capacity_per_s=None,
        cost_per_month=None,
        cost_per_million=None,
    )


def _without_times(target: Target, binding: Binding, reason: str) -> Judged:
    return Judged(
        candidate=bare_candidate(target, "does-not-fit", binding, reason),
        lowest_cost=None,
        offer=None,
    )


def bare_candidate(target: Target, fit: Fit, binding: Binding, reason: str) -> Candidate:
    """Return a candidate of which no time or cost is known."""
    return Candidate(
        target=target.name,
        title=target.title,
        kind=target.kind,
        fit=fit,
        binding=binding,
        reason=reason,
        provenance="none",
        basis="",
        service_low_ns=None,
        service_typical_ns=None,
        service_high_ns=None,
        low_ns=None,
        typical_ns=None,
        high_ns=None,
        replicas=None,
        utilisation=None,
        headroom=None,
        capacity_per_s=None,
        cost_per_month=None,
        cost_per_million=None,
        next_command=None,
    )
