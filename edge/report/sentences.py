"""The verdict in sentences that a manager reads: what to use, for what, at what cost, until when."""

from edge.records.verdict import Answer, Candidate, Verdict
from edge.records.workload import Workload
from edge.report.text import KIND_NAMES, load_text, number_text, percentile_name
from edge.units import format_duration_s, format_money, format_ns

HEADINGS: dict[Answer, str] = {
    "edge": "Run it on an edge device",
    "cloud-cpu": "Rent a plain cloud CPU",
    "cloud-gpu": "Rent a cloud GPU",
    "undecided": "Undecided: measure it first",
    "nothing-fits": "Nothing fits",
}


def chosen_candidate(verdict: Verdict) -> Candidate | None:
    """Return the candidate that the verdict chose."""
    return next((c for c in verdict.candidates if c.target == verdict.chosen), None)


def verdict_sentence(verdict: Verdict) -> str:
    """Say in one sentence which target does what at which cost a month."""
    chosen = chosen_candidate(verdict)
    task = demand_phrase(verdict.workload)
    if chosen is not None:
        sentence = _chosen_sentence(chosen, task, verdict.workload.currency)
        if verdict.answer == "undecided":
            return f"{sentence} A cheaper target may do it too; a measurement will tell."
        return sentence
    tried = verdict.candidates
    if verdict.answer == "nothing-fits":
        if len(tried) == 1:
            return f"{tried[0].title} cannot {task}."
        return f"None of the {len(tried)} targets can {task}."
    if verdict.answer == "undecided":
        which = (
            f"whether {tried[0].title}" if len(tried) == 1 else f"which of the {len(tried)} targets"
        )
        return f"The evidence does not say yet {which} can {task}."
    return f"To {task}, {_KIND_PHRASES[verdict.answer]} is needed."


_KIND_PHRASES: dict[Answer, str] = {
    "edge": "an edge device",
    "cloud-cpu": "a cloud CPU",
    "cloud-gpu": "a cloud GPU",
}


def _chosen_sentence(chosen: Candidate, task: str, currency: str) -> str:
    several = chosen.replicas is not None and chosen.replicas > 1
    who = f"{chosen.replicas} × {chosen.title}" if several else chosen.title
    cost = (
        "at a cost that is not known"
        if chosen.cost_per_month is None
        else f"for {format_money(chosen.cost_per_month, currency)} a month"
    )
    return f"{who} can {task}, {cost}."


def demand_phrase(workload: Workload) -> str:
    """Say what is asked: `answer 10 queries a second, 90 % of them within 100 ms`."""
    if workload.task == "training":
        return _training_phrase(workload)
    load = workload.peak_load_per_s or workload.load_per_s
    phrase = "answer the queries" if load is None else f"answer {_queries(load)} a second"
    if load is not None and workload.load_per_s is not None and load > workload.load_per_s:
        phrase += " at the peak"
    if workload.latency_limit_ms is not None:
        limit = format_ns(workload.latency_limit_ms * 1e6)
        phrase += f", {workload.percentile:g} % of them within {limit}"
    return phrase


def _queries(load: float) -> str:
    return f"{number_text(load)} {'query' if load == 1 else 'queries'}"


def _training_phrase(workload: Workload) -> str:
    phrase = "train it"
    if workload.training_samples is not None:
        phrase += f" on {workload.training_samples:,} samples"
    if workload.training_epochs is not None:
        epochs = number_text(workload.training_epochs)
        phrase += f" for {epochs} {'epoch' if workload.training_epochs == 1 else 'epochs'}"
    if workload.time_budget_s is not None:
        phrase += f" within {format_duration_s(workload.time_budget_s)}"
    return phrase


def flip_sentence(verdict: Verdict) -> str | None:
    """Say at which higher load another kind of machine is the cheapest; None if it is not known."""
    chosen = chosen_candidate(verdict)
    load = verdict.workload.peak_load_per_s or verdict.workload.load_per_s
    if chosen is None or load is None or not verdict.cost_points:
        return None
    kinds = {c.target: c.kind for c in verdict.candidates}
    flips = sorted(verdict.crossovers, key=lambda c: c.load_per_s)
    for flip in flips:
        kind = kinds.get(flip.above, chosen.kind)
        if flip.load_per_s > load and kind != chosen.kind:
            return f"above {load_text(flip.load_per_s)}: {KIND_NAMES[kind]}"
    return f"not up to {load_text(max(p.load_per_s for p in verdict.cost_points))}"


def percentile_heading(workload: Workload) -> str:
    """Name the time that the limit speaks of: `Response time, p90`, or `Time of a run`."""
    if workload.task == "training":
        return "Time of a run"
    return f"Response time, {percentile_name(workload.percentile)}"
