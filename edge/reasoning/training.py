"""One target for a training workload: on a GPU, unless it is computed to fit a budget on a CPU.

A training step is counted as three inferences: one forward, two backward (a gradient for the
activations and one for the weights; Kaplan et al., Scaling Laws, 2020, section 2.1).
"""

from dataclasses import dataclass, replace

from edge.reasoning.candidates import Judged, bare_candidate
from edge.reasoning.economics import exchange_rate
from edge.reasoning.limits import Binding
from edge.records.estimate import Estimate
from edge.records.model import ModelInfo
from edge.records.target import Target
from edge.records.verdict import Candidate, Fit
from edge.records.workload import Workload
from edge.units import format_bytes, format_duration_s

FORWARDS_PER_STEP = 3
# The smallest usual batch; its samples share the fixed costs (assumed).
TRAINING_BATCH = 32
# A training framework reaches at least half of the rate of an inference runtime (assumed); on a
# GPU it may compute in fp16 on tensor cores, at eight times the fp32 rate (T4: 65 against 8.1).
_FRAMEWORK_SLOWER = 2.0
_MIXED_PRECISION_FASTER = 8.0
# Weights, gradients and Adam's two moments.
_COPIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Duration:
    """How long one training run takes, in seconds; `high_s` None: no upper bound is known."""

    low_s: float
    high_s: float | None


def judge_training(
    target: Target, workload: Workload, info: ModelInfo, estimate: Estimate | None
) -> Judged:
    """Judge one target for a training run."""
    if target.kind == "edge":
        return _judged(target, "does-not-fit", "task", "boards are for inference, not for training")
    if workload.training_method == "classical":
        return _classical(target)
    memory = _memory_reason(target, info)
    if memory is not None:
        return _judged(target, "does-not-fit", "memory", memory)
    duration = None if estimate is None else _duration(target, workload, estimate)
    if duration is None:
        return _without_duration(target)
    return _with_duration(target, workload, duration)


def _classical(target: Target) -> Judged:
    if target.kind == "cloud-gpu":
        reason = "a classical method has no use for a GPU"
        return _judged(target, "does-not-fit", "task", reason)
    return _judged(target, "fits", "none", "classical methods train on a CPU")


def _without_duration(target: Target) -> Judged:
    if target.kind == "cloud-gpu":
        return _judged(target, "fits", "none", "gradient training goes to a GPU")
    reason = (
        "gradient training goes to a GPU unless it is computed to fit a time budget on a CPU "
        "(give --samples, --epochs and --time-budget-s)"
    )
    return _judged(target, "does-not-fit", "task", reason)


def _with_duration(target: Target, workload: Workload, duration: _Duration) -> Judged:
    budget = workload.time_budget_s
    assert budget is not None
    low, high = duration.low_s, duration.high_s
    least = format_duration_s(low)
    most = "unknown" if high is None else format_duration_s(high)
    limit = format_duration_s(budget)
    if low > budget:
        reason = f"takes at least {least} a run, the time budget is {limit}"
        judged = _judged(target, "does-not-fit", "latency", reason)
    elif high is not None and high <= budget:
        reason = f"computed to take at most {most} a run, the time budget is {limit}"
        judged = _judged(target, "fits", "none", reason)
    elif target.kind == "cloud-gpu":
        reason = f"may take from {least} to {most} a run, the time budget is {limit}"
        judged = _judged(target, "undecided", "latency", reason)
    else:
        reason = (
            f"may take from {least} to {most} a run: gradient training goes to a GPU unless it is "
            f"computed to fit the time budget of {limit}"
        )
        judged = _judged(target, "does-not-fit", "task", reason)
    return _costed(judged, target, workload, duration)


def _costed(judged: Judged, target: Target, workload: Workload, duration: _Duration) -> Judged:
    price = target.price.hourly_usd
    assert price is not None
    a_second = price.value / 3600 * workload.training_runs_per_month * exchange_rate(workload)
    low_ns = round(duration.low_s * 1e9)
    high_ns = None if duration.high_s is None else round(duration.high_s * 1e9)
    cost = None if duration.high_s is None else duration.high_s * a_second
    budget = workload.time_budget_s
    fits = judged.candidate.fits
    candidate = replace(
        judged.candidate,
        provenance="none" if high_ns is None else "predicted",
        basis="three inferences a sample and epoch, at half to eight times the inference rate"
        if target.kind == "cloud-gpu"
        else "three inferences a sample and epoch, at half to once the inference rate",
        service_low_ns=low_ns,
        service_high_ns=high_ns,
        low_ns=low_ns,
        high_ns=high_ns,
        replicas=1 if fits else None,
        headroom=budget / duration.high_s if fits and budget and duration.high_s else None,
        cost_per_month=cost if fits else None,
    )
    candidate, lowest = _within_budget(candidate, workload, duration.low_s * a_second)
    return Judged(candidate=candidate, lowest_cost=lowest, offer=None)


def _within_budget(
    candidate: Candidate, workload: Workload, lowest: float
) -> tuple[Candidate, float]:
    budget, cost = workload.budget_per_month, candidate.cost_per_month
    if budget is not None and candidate.fits and cost is not None and cost > budget:
        fit: Fit = "does-not-fit" if lowest > budget else "undecided"
        reason = (
            f"may cost from {lowest:,.2f} to {cost:,.2f} {workload.currency} a month, "
            f"the budget is {budget:,.2f}"
        )
        candidate = replace(candidate, fit=fit, binding="budget", reason=reason)
    return candidate, lowest


def _duration(target: Target, workload: Workload, estimate: Estimate) -> _Duration | None:
    samples, epochs = workload.training_samples, workload.training_epochs
    if samples is None or epochs is None or workload.time_budget_s is None or not estimate.low_ns:
        return None
    inferences = FORWARDS_PER_STEP * samples * epochs
    faster = _MIXED_PRECISION_FASTER if target.kind == "cloud-gpu" else 1.0
    high_ns = estimate.high_ns
    return _Duration(
        low_s=inferences * estimate.low_ns * 1e-9 / faster,
        high_s=None if high_ns is None else inferences * high_ns * 1e-9 * _FRAMEWORK_SLOWER,
    )


def _memory_reason(target: Target, info: ModelInfo) -> str | None:
    usable = target.memory.usable_bytes.value
    if target.kind == "cloud-gpu" and target.accelerator is not None:
        usable = target.accelerator.memory_bytes.value
    needed = _COPIES * info.weights_bytes
    if needed <= usable:
        return None
    return (
        f"weights, gradients and optimiser need {format_bytes(needed)}, "
        f"{format_bytes(usable)} are usable"
    )


def _judged(target: Target, fit: Fit, binding: Binding, reason: str) -> Judged:
    hourly = target.price.hourly_usd
    # Where no duration is known the cheaper machine by the hour is taken.
    order = None if hourly is None else hourly.value
    return Judged(
        candidate=bare_candidate(target, fit, binding, reason), lowest_cost=order, offer=None
    )
