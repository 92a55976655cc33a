"""GitHub flavoured Markdown for checks, comparisons and emulations, for the summary of a CI job."""

import re

from edge.records.check import Check
from edge.records.comparison import Comparisons
from edge.records.emulation import Emulation, EmulationMatrix
from edge.report.emulation_rows import emulation_rows
from edge.report.gate_rows import rows_of

_SIGNS = {"ok": "✅", "failed": "❌", "open": "❔", "void": "⚠️", "skipped": "➖"}
# Whatever begins markup, HTML, a mention or a table's cell (GitHub Flavored Markdown, 2.4, 4.10).
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~!&@])")


def markdown_table(report: Check | Comparisons | Emulation | EmulationMatrix) -> str:
    """Return a heading, a table with a row for each limit, pair or target, and remarks under it."""
    if isinstance(report, Emulation | EmulationMatrix):
        rows = emulation_rows(report)
    else:
        rows = rows_of(report)
    lines = [f"### {_escape(rows.title)}", ""]
    if rows.rows:
        lines.append(_line(rows.columns))
        # Names are to the left, everything else is a figure.
        figures = len(rows.columns) - 2
        lines.append(_line((":---", *["---:"] * figures, ":---"), escaped=False))
        for row in rows.rows:
            cells = [_escape(cell) for cell in row.cells]
            cells[-1] = f"{_SIGNS[row.mark]} {cells[-1]}"
            lines.append(_line(cells, escaped=False))
        lines.append("")
    lines += [f"- ⚠️ not trustworthy: {_escape(flaw)}" for flaw in rows.flaws]
    lines += [f"- ❌ {_escape(finding)}" for finding in rows.findings]
    lines += [f"- {_escape(remark)}" for remark in rows.remarks]
    if rows.flaws or rows.findings or rows.remarks:
        lines.append("")
    lines.append("; ".join(f"{_escape(name)}: {_escape(value)}" for name, value in rows.facts))
    return "\n".join(lines) + "\n"


def _line(cells: "tuple[str, ...] | list[str]", *, escaped: bool = True) -> str:
    return "| " + " | ".join(_escape(cell) if escaped else cell for cell in cells) + " |"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
