"""A verdict on the terminal: the headline, why, the candidates, where it flips, what is assumed."""

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Final

from edge.cli.output import print_rich
from edge.errors import printable
from edge.records.verdict import Candidate, Verdict
from edge.units import format_duration_s, format_money, format_ns, three_digits

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_HEADLINES: Final = {
    "edge": ("EDGE", "bold green"),
    "cloud-cpu": ("CLOUD CPU", "bold cyan"),
    "cloud-gpu": ("CLOUD GPU", "bold magenta"),
    "undecided": ("UNDECIDED", "bold yellow"),
    "nothing-fits": ("NOTHING FITS", "bold red"),
}
_FITS: Final = {
    "fits": ("fits", "green"),
    "undecided": ("undecided", "yellow"),
    "does-not-fit": ("no", "red"),
}
_MOST_CROSSOVERS = 4


def print_verdict(verdict: Verdict) -> None:
    """Print the verdict on stdout."""
    from rich.text import Text

    print_rich(_headline(verdict), Text(printable(verdict.reason, 1000)), Text())
    print_rich(_table(verdict))
    for line in _notes(verdict):
        print_rich(Text(line))


def _headline(verdict: Verdict) -> "Text":
    from rich.text import Text

    word, style = _HEADLINES[verdict.answer]
    titles = {c.target: c.title for c in verdict.candidates}
    machine = ""
    if verdict.chosen is not None and verdict.answer != "undecided":
        machine = f" – {printable(titles[verdict.chosen])}"
    return Text.assemble((word, style), machine)


def _table(verdict: Verdict) -> "Table":
    from rich.table import Table
    from rich.text import Text

    training = verdict.workload.task == "training"
    time = "time of a run" if training else f"response at p{verdict.workload.percentile:g}"
    table = Table()
    for name in ("target", "fits", time, "evidence"):
        table.add_column(name)
    for name in ("machines", "busy", "a month", "a million"):
        table.add_column(name, justify="right")
    for one in verdict.candidates:
        word, style = _FITS[one.fit]
        limit = "" if one.binding == "none" else f" ({one.binding})"
        mark = "bold" if one.target == verdict.chosen else ""
        table.add_row(
            Text(printable(one.target), mark),
            Text(word + limit, style),
            _run_times(one) if training else _times(one),
            "–" if one.provenance == "none" else one.provenance,
            "–" if one.replicas is None else str(one.replicas),
            "–" if one.utilisation is None else f"{one.utilisation:.0%}",
            _money(one.cost_per_month, verdict.workload.currency),
            _money(one.cost_per_million, verdict.workload.currency),
        )
    return table


def _times(one: Candidate) -> str:
    if one.low_ns is None:
        return "–"
    if one.high_ns is None:
        return f"at least {format_ns(one.low_ns)}" if one.low_ns else "–"
    return f"{format_ns(one.low_ns)} … {format_ns(one.high_ns)}"


def _run_times(one: Candidate) -> str:
    if one.low_ns is None:
        return "–"
    low = format_duration_s(one.low_ns * 1e-9)
    return (
        f"at least {low}"
        if one.high_ns is None
        else f"{low} … {format_duration_s(one.high_ns * 1e-9)}"
    )


def _money(amount: float | None, currency: str) -> str:
    return "–" if amount is None else format_money(amount, currency)


def _notes(verdict: Verdict) -> Iterator[str]:
    yield from _why_not(verdict)
    yield from _crossovers(verdict)
    if verdict.assumptions:
        yield "\nAssumed"
        for one in verdict.assumptions:
            yield f"  {printable(one.name)}: {printable(one.value, 300)} [{printable(one.source)}]"
    if verdict.next_command is not None:
        undecided = verdict.answer == "undecided"
        yield "\nTo decide, measure it:" if undecided else "\nTo confirm it, measure it:"
        for line in verdict.next_command.splitlines():
            yield f"  {printable(line, 500)}"
        yield "and give the results to this command with --results results"


def _why_not(verdict: Verdict) -> Iterator[str]:
    others = [c for c in verdict.candidates if not c.fits]
    if others:
        yield "\nWhy not"
    for reason, group in groupby(others, key=lambda c: c.reason):
        names = ", ".join(c.target for c in group)
        yield f"  {printable(names)}: {printable(reason, 500)}"


def _crossovers(verdict: Verdict) -> Iterator[str]:
    kinds = {c.target: c.kind for c in verdict.candidates}
    flips = [c for c in verdict.crossovers if kinds[c.below] != kinds[c.above]]
    shown = (flips or list(verdict.crossovers))[:_MOST_CROSSOVERS]
    if shown:
        yield "\nWhere the cheapest changes"
    for one in shown:
        load = three_digits(one.load_per_s)
        yield f"  above {load} queries/s: {printable(one.above)} instead of {printable(one.below)}"
