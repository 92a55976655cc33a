"""What a machine has, on the terminal: one table, a group after the other."""

from itertools import groupby
from typing import Final

from edge.cli.output import print_rich
from edge.errors import printable
from edge.records.doctor import HostReport

_STATES: Final = {
    "ok": ("ok", "green"),
    "on-first-use": ("on first use", "yellow"),
    "missing": ("missing", "red"),
}
_LONGEST_CELL: Final = 200


def print_report(report: HostReport) -> None:
    """Print the report on stdout."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for head in ("check", "state", "found", "remedy"):
        table.add_column(head, overflow="fold")
    for index, (group, checks) in enumerate(groupby(report.checks, lambda check: check.group)):
        if index:
            table.add_row()
        table.add_row(Text(group, style="bold"))
        for check in checks:
            word, style = _STATES[check.state]
            table.add_row(
                Text(f"  {check.name}"),
                Text(word, style=style),
                Text(printable(check.found, _LONGEST_CELL)),
                Text(printable(check.remedy or "", _LONGEST_CELL)),
            )
    print_rich(table)
