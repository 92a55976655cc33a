"""The lines of the cost plot: each target's known costs, and which targets are ever cheapest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edge.records.verdict import CostPoint, Verdict

# As many colours as can be told apart; the cheapest of more targets stay quiet.
_MOST_COLOURS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """One target: runs of (load, cost a month), broken where it is not feasible.

    `rank` numbers the targets that are cheapest somewhere (or chosen), in the order of the load
    at which they begin to be; None for the others.
    """

    target: str
    runs: tuple[tuple[tuple[float, float], ...], ...]
    rank: int | None

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """All runs in a row."""
        return tuple(point for run in self.runs for point in run)


def cost_lines(verdict: Verdict) -> tuple[CostLine, ...]:
    """Return the lines of the plotted targets that have a cost at any load."""
    ranked = _ever_cheapest(verdict)
    lines = []
    for index, target in enumerate(verdict.plotted_targets):
        runs = _runs(verdict.cost_points, index)
        if runs:
            rank = ranked.index(target) if target in ranked else None
            lines.append(CostLine(target=target, runs=runs, rank=rank))
    return tuple(lines)


def cost_at(line: CostLine, load_per_s: float) -> float | None:
    """Return the cost at a load as the line is drawn; None outside of it."""
    for run in line.runs:
        for (load_a, cost_a), (load_b, cost_b) in pairwise(run):
            if load_a <= load_per_s <= load_b:
                return cost_a if load_per_s <= math.sqrt(load_a * load_b) else cost_b
    return None


def stairs(run: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the corners of the line through the points of a run.

    Machines come whole, so the cost steps; where between two points is not in the record, and
    the middle of the logarithmic axis is taken.
    """
    corners = [run[0]]
    for (load_a, cost_a), (load_b, cost_b) in pairwise(run):
        if cost_a != cost_b:
            middle = math.sqrt(load_a * load_b)
            corners += [(middle, cost_a), (middle, cost_b)]
    return (*corners, run[-1])


def _known(point: CostPoint, index: int) -> float | None:
    cost = point.cost_per_month[index] if index < len(point.cost_per_month) else None
    usable = cost is not None and 0 < cost < math.inf and 0 < point.load_per_s < math.inf
    return cost if usable else None


def _runs(points: Sequence[CostPoint], index: int) -> tuple[tuple[tuple[float, float], ...], ...]:
    runs: list[list[tuple[float, float]]] = [[]]
    for point in sorted(points, key=lambda p: p.load_per_s):
        cost = _known(point, index)
        if cost is not None:
            runs[-1].append((point.load_per_s, cost))
        elif runs[-1]:
            runs.append([])
    return tuple(tuple(run) for run in runs if run)


def _ever_cheapest(verdict: Verdict) -> tuple[str, ...]:
    # The crossovers are exact; between two points a target may be cheapest unseen.
    ascending = sorted(verdict.crossovers, key=lambda c: c.load_per_s)
    found = list(dict.fromkeys(name for c in ascending for name in (c.below, c.above)))
    for point in sorted(verdict.cost_points, key=lambda p: p.load_per_s):
        costs = [
            (cost, target)
            for index, target in enumerate(verdict.plotted_targets)
            if (cost := _known(point, index)) is not None
        ]
        if costs and (cheapest := min(costs)[1]) not in found:
            found.append(cheapest)
    if verdict.chosen in verdict.plotted_targets and verdict.chosen not in found:
        found.append(verdict.chosen)
    return tuple(found[:_MOST_COLOURS])
