"""What a query spends its time on: the stages of a pass with real input, as one stacked bar."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edge.reasoning.stats import quantile, queries_needed
from edge.records.measurement import Stage
from edge.report.svg import drawing, element
from edge.report.text import percent_text
from edge.units import format_ns

_HEIGHT, _BAR, _LEFT, _RIGHT = 46.0, 24.0, 12.0, 12.0
_COLOURS = 6
# A number needs this much room below its part of the bar.
_NUMBER_WIDTH = 14.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage: its median, its p90 if the queries suffice, its share of the sum of medians."""

    name: str
    count: int
    median_ns: int
    p90_ns: int | None
    share: float | None


def stage_rows(stages: Sequence[Stage]) -> tuple[StageRow, ...]:
    """Return the stages in their order; one that never ran is left out."""
    ran = [stage for stage in stages if stage.latencies_ns]
    medians = [quantile(stage.latencies_ns, 50) for stage in ran]
    total = sum(medians)
    return tuple(
        StageRow(
            name=stage.name,
            count=len(stage.latencies_ns),
            median_ns=median,
            p90_ns=quantile(stage.latencies_ns, 90)
            if len(stage.latencies_ns) >= queries_needed(90)
            else None,
            share=median / total if total else None,
        )
        for stage, median in zip(ran, medians, strict=True)
    )


def stage_bar(rows: Sequence[StageRow], *, width: float, ident: str, name: str) -> Markup | None:
    """Draw the medians side by side to scale; None where there is nothing to draw."""
    total = sum(row.median_ns for row in rows)
    if total == 0:
        return None
    parts, x = [], _LEFT
    for number, row in enumerate(rows):
        extent = row.median_ns / total * (width - _LEFT - _RIGHT)
        colour = f"stage series-{number % _COLOURS}"
        parts.append(element("rect", x=x, y=4, width=extent, height=_BAR, class_=colour))
        if extent >= _NUMBER_WIDTH:
            middle = x + extent / 2
            label = str(number + 1)
            parts.append(
                element("text", label, x=middle, y=42, text_anchor="middle", class_="tick")
            )
        x += extent
    told = ", ".join(
        f"{row.name} {format_ns(row.median_ns)} ({percent_text(row.share)})" for row in rows
    )
    return drawing(
        parts,
        ident=ident,
        title=f"Stages of {name}",
        description=f"Medians, {format_ns(total)} together: {told}.",
        width=width,
        height=_HEIGHT,
        class_="plot",
    )
