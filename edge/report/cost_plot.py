"""Cost a month against load: one line a target, and where the cheapest one changes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from edge.errors import printable
from edge.records.verdict import Verdict
from edge.report.cost_lines import CostLine, cost_at, cost_lines, stairs
from edge.report.scales import Scale, log_domain
from edge.report.svg import drawing, element, path, spread
from edge.report.text import load_text, number_text, plural
from edge.units import format_money

_TOP, _BOTTOM = 56.0, 42.0
_LABEL_GAP, _NUMBER_GAP, _CHARACTER = 15.0, 17.0, 7.0
_MOST_HOVERS, _MOST_COST_TICKS = 40, 7
_LONGEST_LABEL = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where the two axes lie in the drawing."""

    x: Scale
    y: Scale
    width: float
    height: float


def cost_plot(verdict: Verdict, *, width: float, height: float, ident: str) -> Markup | None:
    """Draw the plot, both axes logarithmic; None where no target has a cost at any load.

    The targets that are cheapest at some load are coloured and marked; the others stay quiet.
    """
    lines = cost_lines(verdict)
    frame = _frame(verdict, lines, width, height)
    if frame is None:
        return None
    parts = [*_axes(frame, verdict.workload.currency), *_demand(verdict, frame)]
    parts += [_line(line, frame) for line in sorted(lines, key=lambda li: li.rank is not None)]
    parts += _crossovers(verdict, lines, frame)
    parts += _labels(lines, frame)
    parts += _hovers(verdict, frame)
    return drawing(
        parts,
        ident=ident,
        title="Cost a month against load",
        description=_description(verdict, lines),
        width=width,
        height=height,
        class_="plot cost",
    )


def _frame(
    verdict: Verdict, lines: Sequence[CostLine], width: float, height: float
) -> _Frame | None:
    loads = [p.load_per_s for p in verdict.cost_points]
    loads += [v for v in _demands(verdict).values() if v is not None]
    costs = log_domain((c for line in lines for _, c in line.points), factor=1.5)
    domain = log_domain(loads, factor=1.02)
    if costs is None or domain is None:
        return None
    right = width - max(len(_label(line)) for line in lines) * _CHARACTER - 26
    y = Scale(kind="log", low=costs[0], high=costs[1], start=height - _BOTTOM, end=_TOP)
    left = max(len(number_text(t)) for t in y.ticks(_MOST_COST_TICKS)) * _CHARACTER + 12
    return _Frame(
        x=Scale(kind="log", low=domain[0], high=domain[1], start=left, end=right),
        y=y,
        width=width,
        height=height,
    )


def _demands(verdict: Verdict) -> Mapping[str, float | None]:
    workload = verdict.workload
    return {"this load": workload.load_per_s, "its peak": workload.peak_load_per_s}


def _axes(frame: _Frame, currency: str) -> list[Markup]:
    left, right, floor, top = frame.x.start, frame.x.end, frame.y.start, frame.y.end
    parts = []
    for tick in frame.y.ticks(_MOST_COST_TICKS):
        y = frame.y(tick)
        label = number_text(tick)
        parts.append(element("path", d=path([(left, y), (right, y)]), class_="grid"))
        parts.append(element("text", label, x=left - 7, y=y + 4, text_anchor="end", class_="tick"))
    for tick in frame.x.ticks(max(int((right - left) // 62), 3)):
        x = frame.x(tick)
        label = number_text(tick)
        parts.append(element("path", d=path([(x, floor), (x, floor + 4)]), class_="axis"))
        parts.append(element("text", label, x=x, y=floor + 18, text_anchor="middle", class_="tick"))
    parts.append(element("path", d=path([(left, floor), (right, floor)]), class_="axis"))
    parts.append(element("text", f"{currency} a month", x=0, y=top - 12, class_="axis-name"))
    middle = (left + right) / 2
    parts.append(
        element(
            "text",
            "load, queries/s",
            x=middle,
            y=floor + 36,
            text_anchor="middle",
            class_="axis-name",
        )
    )
    return parts


def _demand(verdict: Verdict, frame: _Frame) -> list[Markup]:
    parts = []
    for row, (name, load) in enumerate(_demands(verdict).items()):
        if load is None:
            continue
        x, y = frame.x(load), 12.0 + 15 * row
        anchor, side = ("start", 5) if x < (frame.x.start + frame.x.end) / 2 else ("end", -5)
        label = f"{name}: {number_text(load)}/s"
        line = path([(x, y - 9), (x, frame.y.start)])
        parts.append(element("path", d=line, class_="demand" if row == 0 else "demand peak"))
        parts.append(
            element("text", label, x=x + side, y=y, text_anchor=anchor, class_="demand-label")
        )
    return parts


def _line(line: CostLine, frame: _Frame) -> Markup:
    # A run of one point has two corners in one place: the round ends make it a dot.
    runs = [
        path([(frame.x(load), frame.y(cost)) for load, cost in stairs(run)]) for run in line.runs
    ]
    class_ = "line quiet" if line.rank is None else f"line series-{line.rank}"
    return element("path", d="".join(runs), class_=class_)


def _labels(lines: Sequence[CostLine], frame: _Frame) -> list[Markup]:
    """Name each line at its right end; labels that would meet are moved apart."""
    ends = sorted(
        ((frame.y(line.points[-1][1]), frame.x(line.points[-1][0]), line) for line in lines),
        key=lambda end: end[0],
    )
    bottom = frame.y.start + 4
    rows = spread([y for y, _, _ in ends], _LABEL_GAP, frame.y.end - 8, bottom)
    parts = []
    for (y, x, line), row in zip(ends, rows, strict=True):
        elbow = [(x, y), (frame.x.end + 6, y), (frame.x.end + 14, row)]
        class_ = "quiet" if line.rank is None else f"series-{line.rank}"
        parts.append(element("path", d=path(elbow), class_=f"leader {class_}"))
        parts.append(
            element(
                "text", _label(line), x=frame.x.end + 18, y=row + 4, class_=f"line-label {class_}"
            )
        )
        if line.rank is not None:
            parts.append(_marker(line.rank, x, y))
    return parts


def _label(line: CostLine) -> str:
    return printable(line.target, _LONGEST_LABEL)


def _marker(rank: int, x: float, y: float) -> Markup:
    """Draw the line's own shape at its end: grey paper keeps them apart too."""
    size = 4.5
    corners: Sequence[tuple[float, float]] = (
        [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        [(0, -1.3), (1.3, 1), (-1.3, 1)],
        [(0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)],
        [(0, 1.3), (1.3, -1), (-1.3, -1)],
        [(-1.4, -0.5), (1.4, -0.5), (1.4, 0.5), (-1.4, 0.5)],
    )[(rank - 1) % 5]
    class_ = f"marker series-{rank}"
    if rank == 0:
        return element("circle", cx=x, cy=y, r=size, class_=class_)
    outline = path([(x + dx * size, y + dy * size) for dx, dy in corners], closed=True)
    return element("path", d=outline, class_=class_)


def _crossovers(verdict: Verdict, lines: Sequence[CostLine], frame: _Frame) -> list[Markup]:
    parts: list[Markup] = []
    taken, y = -math.inf, frame.y.end - 2
    for number, crossover in enumerate(verdict.crossovers, start=1):
        if not frame.x.low <= crossover.load_per_s <= frame.x.high:
            continue
        x = frame.x(crossover.load_per_s)
        parts.append(element("path", d=path([(x, y), (x, frame.y.start)]), class_="crossover"))
        # A number that would cover the one before is left out; its ring and its line stay.
        if x - taken > _NUMBER_GAP:
            taken = x
            parts.append(element("circle", cx=x, cy=y, r=8, class_="crossover-number"))
            parts.append(
                element("text", str(number), x=x, y=y + 4, text_anchor="middle", class_="number")
            )
        for line in lines:
            cost = cost_at(line, crossover.load_per_s)
            if line.target == crossover.above and cost is not None:
                parts.append(element("circle", cx=x, cy=frame.y(cost), r=4, class_="ring"))
    return parts


def _hovers(verdict: Verdict, frame: _Frame) -> list[Markup]:
    """Invisible columns whose tooltip says the costs at that load; they need no script."""
    ascending = sorted(verdict.cost_points, key=lambda p: p.load_per_s)
    points = ascending[:: math.ceil(len(ascending) / _MOST_HOVERS)]
    middles = [frame.x(p.load_per_s) for p in points]
    borders = [(a + b) / 2 for a, b in pairwise(middles)]
    lefts, rights = [frame.x.start, *borders], [*borders, frame.x.end]
    parts = []
    for point, left, right in zip(points, lefts, rights, strict=True):
        named = zip(verdict.plotted_targets, point.cost_per_month, strict=False)
        known = sorted((cost, target) for target, cost in named if cost is not None)
        costs = [f"{t}: {format_money(c, verdict.workload.currency)}" for c, t in known]
        text = "; ".join([f"at {load_text(point.load_per_s)}", *costs])
        parts.append(
            element(
                "rect",
                element("title", text),
                x=left,
                y=frame.y.end,
                width=max(right - left, 0.1),
                height=frame.y.start - frame.y.end,
                class_="hover",
            )
        )
    return parts


def _description(verdict: Verdict, lines: Sequence[CostLine]) -> str:
    flips = [
        f"at {load_text(c.load_per_s)} from {c.below} to {c.above}" for c in verdict.crossovers
    ]
    changes = "; ".join(flips) or "nowhere in this range"
    return (
        f"{plural(len(lines), 'target')}, both axes logarithmic. "
        f"The cheapest target changes {changes}."
    )
