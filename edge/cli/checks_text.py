"""A check or a comparison on the terminal, or in the form that a CI system reads."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import click

from edge.cli.output import note, print_json, print_rich
from edge.records.check import Check
from edge.records.codec import to_dict
from edge.records.comparison import Comparisons
from edge.records.emulation import Emulation, EmulationMatrix

if TYPE_CHECKING:
    from edge.report.gate_rows import Rows

R = TypeVar("R", Check, Comparisons, Check | Comparisons, Emulation | EmulationMatrix)
Format = Literal["text", "json", "junit", "markdown"]
FORMATS: Final[tuple[Format, ...]] = ("text", "json", "junit", "markdown")
_STYLES: Final = {"ok": "green", "failed": "bold red", "open": "yellow", "void": "bold yellow"}


def print_check(check: Check, format: Format = "text", output: Path | None = None) -> None:  # noqa: A002
    """Print a check; with `output` it goes into that file in `format`, and text to stdout.

    Raises:
        HostError: the file cannot be written.
    """
    _deliver(check, format, output)


def print_comparisons(
    found: Comparisons,
    format: Format = "text",  # noqa: A002
    output: Path | None = None,
    *,
    as_json: bool = False,
) -> None:
    """Print comparisons; with `output` they go into that file in `format`, and text to stdout.

    `as_json`: the one JSON document is what goes to stdout.

    Raises:
        HostError: the file cannot be written.
    """
    _deliver(found, format, output, as_json=as_json)


def _deliver(
    report: Check | Comparisons,
    form: Format,
    output: Path | None,
    *,
    as_json: bool = False,
) -> None:
    if output is not None:
        from edge.adapters.files import write_text

        # Saved first: a reader of the output may go away in the middle of it.
        write_text(output, written(report, form, _renderables))
        form = "text"
    if as_json or form == "json":
        print_json(report)
    elif form == "text":
        print_rich(*_renderables(report))
    else:
        click.echo(written(report, form, _renderables), nl=False)
    if output is not None:
        note(f"saved: {output}")


def written(report: R, form: Format, renderables: Callable[[R], list[object]]) -> str:
    """Return a report in a form; `renderables` gives what makes the text of it."""
    if form == "json":
        return json.dumps(to_dict(report), indent=1, ensure_ascii=False) + "\n"
    if form == "junit":
        from edge.report.junit import junit_xml

        return junit_xml(report)
    if form == "markdown":
        from edge.report.markdown import markdown_table

        return markdown_table(report)
    from rich.console import Console

    text = io.StringIO()
    console = Console(file=text, width=160, highlight=False, color_system=None)
    for renderable in renderables(report):
        console.print(renderable)
    return text.getvalue()


def _renderables(report: Check | Comparisons) -> list[object]:
    from rich.table import Table
    from rich.text import Text

    from edge.report.gate_rows import rows_of

    rows: Rows = rows_of(report)
    table = Table()
    last = len(rows.columns) - 1
    for index, column in enumerate(rows.columns):
        table.add_column(column, justify="left" if index in (0, last) else "right")
    for row in rows.rows:
        cells = [Text(cell) for cell in row.cells]
        cells[-1].stylize(_STYLES[row.mark])
        table.add_row(*cells)
    flaws = [Text(f"not trustworthy: {flaw}", style="bold yellow") for flaw in rows.flaws]
    told = [table] if rows.rows else []
    return [Text(rows.title), *told, *flaws, *(Text(remark) for remark in rows.remarks)]
