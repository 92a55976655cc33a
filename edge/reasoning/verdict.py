"""From judged candidates to the answer: the cheapest that fits, unless doubt could change it."""

from collections.abc import Sequence

from edge.reasoning.candidates import Judged
from edge.reasoning.economics import cost_points, crossovers
from edge.reasoning.limits import load_text, peak_load
from edge.records.model import ModelInfo
from edge.records.target import TargetKind
from edge.records.verdict import Answer, Assumption, Candidate, Verdict
from edge.records.workload import Workload
from edge.units import format_money

_KINDS: tuple[TargetKind, ...] = ("edge", "cloud-cpu", "cloud-gpu")
# The plot and the crossovers look this far to both sides of the load.
_DECADES = 1000.0


def decide(
    info: ModelInfo,
    workload: Workload,
    judged: Sequence[Judged],
    assumptions: Sequence[Assumption],
    edgekit_version: str,
) -> Verdict:
    """Return the verdict.

    The answer is the kind of the cheapest target that fits. It is `undecided` if nothing is known
    to fit but something may, or if a target of another kind may turn out to fit and be cheaper:
    then `chosen` is what is safe meanwhile.
    """
    ordered = sorted(judged, key=_order)
    fitting = [j for j in ordered if j.candidate.fits]
    rivals = _rivals(workload, ordered, fitting[0] if fitting else None)
    offers = [j.offer for j in sorted(fitting, key=_kind_and_price) if j.offer is not None]
    lowest, highest = _range(workload)
    answer, reason = _answer(info, workload, ordered, fitting, rivals)
    asked = rivals or fitting[:1]
    commands = [j.candidate.next_command for j in asked]
    return Verdict(
        answer=answer,
        chosen=fitting[0].candidate.target if fitting else None,
        reason=reason,
        model=info.name,
        model_sha256=info.sha256,
        workload=workload,
        candidates=tuple(j.candidate for j in ordered),
        crossovers=crossovers(offers, lowest, highest),
        plotted_targets=tuple(o.name for o in offers),
        cost_points=cost_points(offers, lowest, highest) if offers else (),
        assumptions=tuple(assumptions),
        next_command=next((c for c in commands if c is not None), None),
        edgekit_version=edgekit_version,
    )


def _order(judged: Judged) -> tuple[int, float, int, str]:
    """Order candidates: what fits by its cost, then what may, then what does not."""
    one = judged.candidate
    fits = ("fits", "undecided", "does-not-fit").index(one.fit)
    cost = one.cost_per_month if one.fits else judged.lowest_cost
    if cost is None:
        cost = judged.lowest_cost
    missing = float("inf")
    return fits, missing if cost is None else cost, _KINDS.index(one.kind), one.target


def _kind_and_price(judged: Judged) -> tuple[int, float, str]:
    """Order offers for the plot; where two cost the same, the first one counts as the cheaper."""
    unit = 0.0 if judged.offer is None else judged.offer.unit_cost_per_month
    return _KINDS.index(judged.candidate.kind), unit, judged.candidate.target


def _rivals(workload: Workload, ordered: Sequence[Judged], chosen: Judged | None) -> list[Judged]:
    """Return the undecided candidates that could change the answer, the cheapest first."""
    undecided = [j for j in ordered if j.candidate.fit == "undecided"]
    if chosen is None:
        return undecided
    if workload.task == "training":
        # A CPU that is computed to fit the time budget is enough.
        return []
    known = chosen.candidate.cost_per_month
    cost = chosen.lowest_cost if known is None else known
    return [
        j
        for j in undecided
        if j.candidate.kind != chosen.candidate.kind
        and (j.lowest_cost is None or cost is None or j.lowest_cost < cost)
    ]


def _answer(
    info: ModelInfo,
    workload: Workload,
    ordered: Sequence[Judged],
    fitting: Sequence[Judged],
    rivals: Sequence[Judged],
) -> tuple[Answer, str]:
    if rivals:
        return "undecided", _undecided(workload, fitting, rivals[0])
    if fitting:
        return fitting[0].candidate.kind, _fits(info, workload, fitting[0].candidate)
    return "nothing-fits", _nothing(ordered)


def _fits(info: ModelInfo, workload: Workload, one: Candidate) -> str:
    if workload.task == "training":
        text = f"Training {info.name}: {one.reason}"
        if one.cost_per_month is None:
            return f"{text}."
        return f"{text}; it costs {format_money(one.cost_per_month, workload.currency)} a month."
    load = peak_load(workload)
    carries = "a machine for one query at a time costs"
    if load and one.replicas:
        machines = "one machine carries" if one.replicas == 1 else f"{one.replicas} machines carry"
        carries = f"{machines} {load_text(workload)} queries/s for"
    return (
        f"{info.name} is {one.reason}; {carries} "
        f"{format_money(one.cost_per_month, workload.currency)} a month."
    )


def _for_cost(workload: Workload, one: Candidate) -> str:
    if one.cost_per_month is None:
        return ""
    return f" for {format_money(one.cost_per_month, workload.currency)} a month"


def _undecided(workload: Workload, fitting: Sequence[Judged], rival: Judged) -> str:
    one = rival.candidate
    price = ""
    if rival.lowest_cost is not None and workload.task == "inference":
        price = f" might do from {format_money(rival.lowest_cost, workload.currency)} a month, but"
    ask = ": probe it" if one.next_command is not None else ""
    text = f"{one.title}{price} {one.reason}{ask}."
    if not fitting:
        return f"Nothing is known to fit. {text}"
    safe = fitting[0].candidate
    return f"{text} Safe meanwhile: {safe.title}{_for_cost(workload, safe)}."


def _nothing(ordered: Sequence[Judged]) -> str:
    if not ordered:
        return "There is no candidate."
    nearest = min(ordered, key=_distance).candidate
    return f"No candidate meets the limits. The nearest, {nearest.title}, {nearest.reason}."


def _distance(judged: Judged) -> tuple[int, float]:
    """Order what does not fit: by cost what only costs too much, then by time."""
    one = judged.candidate
    if one.binding == "budget" and judged.lowest_cost is not None:
        return 0, judged.lowest_cost
    if one.low_ns is not None and one.binding in ("latency", "load"):
        return 1, float(one.low_ns)
    return 2, 0.0


def _range(workload: Workload) -> tuple[float, float]:
    load = peak_load(workload) or 1.0
    return load / _DECADES, load * _DECADES
