"""How `edgekit emulate` shows what it found: on the terminal, or in the form a CI system reads."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from edge.cli.checks_text import Format, written
from edge.cli.output import note, print_json, print_rich
from edge.errors import printable
from edge.records.emulation import CostChange, Emulation, EmulationMatrix, Finding
from edge.units import format_count

if TYPE_CHECKING:
    from rich.table import Table

_STYLES: Final = {
    "passed": "green",
    "nothing found": "bold green",
    "failed": "bold red",
    "skipped": "yellow",
    "not emulated": "bold yellow",
}


def print_emulation(
    found: Emulation | EmulationMatrix,
    form: Format = "text",
    report: Path | None = None,
    output: Path | None = None,
    *,
    as_json: bool = False,
) -> None:
    """Print what was found in `form`; with `report` that goes into the file, and text to stdout.

    `output` gets the record as JSON: a baseline for later. `as_json`: the record is what goes to
    stdout.

    Raises:
        HostError: a file cannot be written.
    """
    # Saved first: a reader of the output may go away in the middle of it.
    if output is not None:
        _save(output, written(found, "json", emulation_text))
    if report is not None:
        _save(report, written(found, form, emulation_text))
        form = "text"
    if as_json or form == "json":
        print_json(found)
    elif form == "text":
        print_rich(*emulation_text(found))
    else:
        click.echo(written(found, form, emulation_text), nl=False)


def emulation_text(found: Emulation | EmulationMatrix) -> list[object]:
    """Return what to print of one target or of several, with every finding in full."""
    return list(_matrix(found) if isinstance(found, EmulationMatrix) else _single(found))


def _save(path: Path, text: str) -> None:
    from edge.adapters.files import write_text

    write_text(path, text)
    note(f"saved: {path}")


def _single(found: Emulation) -> Iterator[object]:
    from rich.text import Text

    from edge.report.emulation_words import memory_text, outputs_text, place_texts, result_text

    what = f"{printable(found.bundle)} on {printable(found.target)}: "
    result = result_text(found)
    yield Text.assemble((what, "bold"), (result, _STYLES.get(result, "bold red")))
    yield _grid(
        (
            ("model", f"{printable(found.model)}, {printable(found.runtime)}"),
            *place_texts(found.place),
            ("outputs", outputs_text(found.outputs)),
            ("memory", memory_text(found.memory)),
        )
    )
    if found.steps:
        yield _steps(found)
    if found.counts is not None:
        yield _counts(found)
        yield Text("counted with one thread; no time follows from it", style="dim")
    yield from _findings([("", finding) for finding in found.findings])
    differences = [printable(one, 500) for one in found.place.differences]
    yield from _list("In what this differs from the board", differences)


def _matrix(found: EmulationMatrix) -> Iterator[object]:
    from rich.table import Table
    from rich.text import Text

    from edge.report.emulation_rows import emulation_rows
    from edge.report.emulation_words import failure_text

    rows = emulation_rows(found)
    yield Text(f"{printable(found.model)} on emulated targets", style="bold")
    table = Table(box=None, pad_edge=False)
    last = len(rows.columns) - 1
    for index, name in enumerate(rows.columns):
        right = 2 < index < last
        table.add_column(
            name.replace("largest ", "largest\n").replace(" against ", "\nagainst "),
            justify="right" if right else "left",
            vertical="bottom",
            no_wrap=True,
        )
    for row in rows.rows:
        cells = [Text(cell, style=_STYLES.get(cell, "")) for cell in row.cells]
        cells[-1].stylize({"ok": "bold green", "failed": "bold red"}.get(row.mark, "bold yellow"))
        table.add_row(*cells)
    yield table
    yield Text(rows.remarks[0], style="dim")
    told = [(f"{printable(e.target)}: ", f) for e in found.emulations for f in e.findings]
    yield from _findings(told)
    failed = [f"{printable(one.target)}: {failure_text(one)}" for one in found.not_emulated]
    yield from _list("Not emulated", failed)
    yield from _list("In what this differs from the boards", rows.remarks[1:])


def _grid(rows: Iterable[tuple[str, str]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def _steps(found: Emulation) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("\nstep", no_wrap=True)
    table.add_column("\noutcome", no_wrap=True)
    table.add_column("\nwhat it showed", overflow="fold")
    for step in found.steps:
        outcome = Text(step.outcome, style=_STYLES[step.outcome])
        table.add_row(step.name, outcome, Text(printable(step.note, 500)))
    return table


def _counts(found: Emulation) -> "Table":
    """Return one row a phase, beside the baseline's where there is one."""
    from rich.table import Table
    from rich.text import Text

    from edge.report.emulation_words import increase_text, spread_text

    table = Table(box=None, pad_edge=False)
    table.add_column("\nphase", no_wrap=True)
    changes: dict[str, CostChange] = {change.phase: change for change in found.cost_changes}
    more = ("baseline", "increase", "allowed") if changes else ()
    for name in ("instructions", "spread", *more):
        table.add_column(name, justify="right", no_wrap=True, vertical="bottom")
    counts = found.counts
    if counts is None:
        return table
    phases = {"load": counts.load_count, "first": counts.first_count, "steady": counts.steady}
    table.add_row("import", format_count(counts.import_count))
    for name, number in phases.items():
        spread = spread_text(counts.spread) if name == "steady" else ""
        cells = [Text(name), Text(format_count(number)), Text(spread)]
        change = changes.get(name)
        if change is not None:
            style = "bold red" if change.exceeded else "green"
            cells.append(Text(format_count(change.baseline)))
            cells.append(Text(increase_text(change), style=style))
            cells.append(Text(f"{100 * change.allowed:.3g} %"))
        table.add_row(*cells)
    return table


def _findings(told: Sequence[tuple[str, Finding]]) -> Iterator[object]:
    """Tell each finding, and under it what to do."""
    from rich.table import Table
    from rich.text import Text

    if not told:
        return
    yield Text("\nFindings", style="bold")
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    for target, finding in told:
        what = f"{target}{finding.step}: {printable(finding.what, 500)} ({finding.kind})"
        table.add_row(Text("✗", style="bold red"), Text(what))
        table.add_row("", Text(f"→ {printable(finding.remedy, 500)}"))
    yield table


def _list(title: str, sentences: Sequence[str]) -> Iterator[object]:
    from rich.table import Table
    from rich.text import Text

    if not sentences:
        return
    yield Text(f"\n{title}", style="bold")
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    for sentence in sentences:
        table.add_row("·", Text(sentence))
    yield table
