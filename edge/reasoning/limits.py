"""The limits of an inference workload, each held against the ends of what is known.

A limit is kept if the pessimistic end is within it, missed if the optimistic end is above it, and
otherwise undecided.
"""

from dataclasses import dataclass
from typing import Final, Literal

from edge.reasoning.economics import most_machines, replicas
from edge.reasoning.evidence import Evidence
from edge.reasoning.queueing import capacity_per_s, response_ns
from edge.records.target import Target
from edge.records.verdict import Fit
from edge.records.workload import Workload
from edge.units import format_bytes, format_money, format_ns, three_digits

Binding = Literal[
    "none", "latency", "load", "memory", "operators", "power", "budget", "task", "measurement"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Whether a limit is kept, which one it is, and why not."""

    fit: Fit
    binding: Binding
    reason: str


SEVERITY: Final[dict[Fit, int]] = {"does-not-fit": 0, "undecided": 1, "fits": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What one machine carries at best and for sure, and how many the load needs."""

    best_capacity: float
    safe_capacity: float
    fewest: int | None
    enough: int | None


def peak_load(workload: Workload) -> float:
    """Return the load to be carried, 0 if the workload states none: one query at a time."""
    return workload.peak_load_per_s or workload.load_per_s or 0.0


def load_text(workload: Workload) -> str:
    """Return the load to be carried in words."""
    load = peak_load(workload)
    return three_digits(load) if load < 1e9 else f"{load:.3g}"


def limit_ns(workload: Workload) -> float | None:
    """Return the latency limit in nanoseconds."""
    return None if workload.latency_limit_ms is None else workload.latency_limit_ms * 1e6


def sizes_of(workload: Workload, evidence: Evidence) -> Sizes:
    """Return what one machine carries within the latency limit, and how many are needed."""
    limit, load = limit_ns(workload), peak_load(workload)
    best = capacity_per_s(evidence.low, limit, workload.percentile)
    safe = 0.0
    if evidence.high is not None:
        safe = min(best, capacity_per_s(evidence.high, limit, workload.percentile))
    if evidence.served_per_s is not None:
        # Seen under load, waiting and all: worth more than what a queue's formula says.
        safe = max(safe, min(best, evidence.served_per_s))
    return Sizes(
        best_capacity=best,
        safe_capacity=safe,
        fewest=replicas(load, best) if best > 0 else None,
        enough=replicas(load, safe) if safe > 0 else None,
    )


def check_time(target: Target, workload: Workload, evidence: Evidence, sizes: Sizes) -> Finding:
    """Hold the response time, and the number of boards, against the limits."""
    most = most_machines(target, workload)
    machines = "boards" if target.kind == "edge" else "machines"
    limit = f"{workload.latency_limit_ms:g} ms" if workload.latency_limit_ms is not None else ""
    percentile = f"p{workload.percentile:g}"
    alone = response_ns(evidence.low, 0.0, workload.percentile)
    if sizes.fewest is None:
        reason = f"takes at least {format_ns(alone)} at {percentile}, the limit is {limit}"
        return Finding(fit="does-not-fit", binding="latency", reason=reason)
    load = load_text(workload)
    if sizes.fewest > most:
        reason = (
            f"needs at least {sizes.fewest} {machines} for {load} queries/s, "
            f"at most {most} are allowed"
        )
        return Finding(fit="does-not-fit", binding="load", reason=reason)
    if evidence.queries_missing is not None:
        reason = f"{evidence.basis}: {evidence.queries_missing} more queries are needed"
        return Finding(fit="undecided", binding="measurement", reason=reason)
    if evidence.high is None:
        reason = f"no upper bound of its latency is known: {evidence.basis}"
        return Finding(fit="undecided", binding="measurement", reason=reason)
    if sizes.enough is None:
        slowest = response_ns(evidence.high, 0.0, workload.percentile)
        reason = (
            f"may take from {format_ns(alone)} to {format_ns(slowest)} at {percentile}, "
            f"the limit of {limit} lies between"
        )
        return Finding(fit="undecided", binding="latency", reason=reason)
    if sizes.enough > most:
        reason = (
            f"needs from {sizes.fewest} to {sizes.enough} {machines} for {load} queries/s, "
            f"at most {most} are allowed"
        )
        return Finding(fit="undecided", binding="load", reason=reason)
    return Finding(fit="fits", binding="none", reason="")


def check_memory(
    target: Target, workload: Workload, evidence: Evidence, *, on_gpu: bool
) -> Finding:
    """Hold the memory against what is usable on the target, or on its GPU."""
    usable = target.memory.usable_bytes.value
    if on_gpu and target.accelerator is not None:
        usable = min(usable, target.accelerator.memory_bytes.value)
    if workload.memory_limit_mib is not None:
        usable = min(usable, workload.memory_limit_mib * 2**20)
    low, high = evidence.memory_low_bytes, evidence.memory_high_bytes
    if low is not None and low > usable:
        reason = f"needs at least {format_bytes(low)} of memory, {format_bytes(usable)} are usable"
        return Finding(fit="does-not-fit", binding="memory", reason=reason)
    if high is None:
        reason = "the memory that it needs is not known: not all shapes are (give --shape)"
        return Finding(fit="undecided", binding="memory", reason=reason)
    if high > usable:
        reason = f"may need {format_bytes(high)} of memory, {format_bytes(usable)} are usable"
        return Finding(fit="undecided", binding="memory", reason=reason)
    return Finding(fit="fits", binding="none", reason="")


def check_budget(workload: Workload, sizes: Sizes, unit: float) -> Finding:
    """Hold the cost a month against the budget; `unit` is that of one machine."""
    budget = workload.budget_per_month
    fine = Finding(fit="fits", binding="none", reason="")
    if budget is None or sizes.fewest is None:
        return fine
    least = sizes.fewest * unit
    if least > budget:
        reason = (
            f"costs at least {format_money(least, workload.currency)} a month, "
            f"the budget is {format_money(budget, workload.currency)}"
        )
        return Finding(fit="does-not-fit", binding="budget", reason=reason)
    if sizes.enough is not None and sizes.enough * unit > budget:
        reason = (
            f"may cost up to {format_money(sizes.enough * unit, workload.currency)} a month, "
            f"the budget is {format_money(budget, workload.currency)}"
        )
        return Finding(fit="undecided", binding="budget", reason=reason)
    return fine
