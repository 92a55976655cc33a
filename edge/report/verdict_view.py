"""What the page shows of one verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edge.records.verdict import Candidate, CostPoint, Fit, Verdict
from edge.report.cost_plot import cost_plot
from edge.report.interval_bars import interval_axis, interval_bar, interval_scale
from edge.report.sentences import (
    HEADINGS,
    chosen_candidate,
    flip_sentence,
    percentile_heading,
    verdict_sentence,
)
from edge.report.text import limit_ns

FIT_WORDS: dict[Fit, str] = {
    "fits": "fits",
    "does-not-fit": "does not fit",
    "undecided": "undecided",
}
_FIT_ORDER: tuple[Fit, ...] = ("fits", "undecided", "does-not-fit")
_MOST_COST_ROWS = 9
_MOST_CROSSOVERS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """One row of the table of targets."""

    candidate: Candidate
    chosen: bool
    fit_word: str
    bar: Markup | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictView:
    """A verdict with its sentences, rows and drawings; `ident` begins its ids on the page."""

    ident: str
    record: Verdict
    heading: str
    sentence: str
    flip: str | None
    chosen: Candidate | None
    time_heading: str
    axis: Markup | None
    rows: tuple[CandidateRow, ...]
    plot_wide: Markup | None
    plot_narrow: Markup | None
    shown_crossovers: int
    cost_rows: tuple[CostPoint, ...]


def verdict_view(verdict: Verdict, ident: str) -> VerdictView:
    """Prepare a verdict for the page."""
    workload = verdict.workload
    limit = limit_ns(workload)
    scale = interval_scale(verdict.candidates, limit)
    rows = [
        CandidateRow(
            candidate=candidate,
            chosen=candidate.target == verdict.chosen,
            fit_word=FIT_WORDS[candidate.fit],
            bar=None
            if scale is None
            else interval_bar(candidate, scale, limit, f"{ident}-bar-{number}"),
        )
        for number, candidate in enumerate(in_order(verdict), start=1)
    ]
    return VerdictView(
        ident=ident,
        record=verdict,
        heading=HEADINGS[verdict.answer],
        sentence=verdict_sentence(verdict),
        flip=flip_sentence(verdict),
        chosen=chosen_candidate(verdict),
        time_heading=percentile_heading(workload),
        axis=None if scale is None else interval_axis(scale, limit, f"{ident}-axis"),
        rows=tuple(rows),
        plot_wide=cost_plot(verdict, width=820, height=440, ident=f"{ident}-cost-wide"),
        plot_narrow=cost_plot(verdict, width=344, height=400, ident=f"{ident}-cost-narrow"),
        shown_crossovers=_MOST_CROSSOVERS,
        cost_rows=some_cost_points(verdict.cost_points),
    )


def in_order(verdict: Verdict) -> tuple[Candidate, ...]:
    """Return the candidates as one reads them: chosen, fitting by cost, undecided, the rest."""

    def key(candidate: Candidate) -> tuple[bool, int, float]:
        cost = candidate.cost_per_month
        return (
            candidate.target != verdict.chosen,
            _FIT_ORDER.index(candidate.fit),
            math.inf if cost is None else cost,
        )

    return tuple(sorted(verdict.candidates, key=key))


def some_cost_points(points: Sequence[CostPoint]) -> tuple[CostPoint, ...]:
    """Return at most nine cost points, evenly taken, the first and the last among them."""
    ascending = sorted(points, key=lambda p: p.load_per_s)
    if len(ascending) <= _MOST_COST_ROWS:
        return tuple(ascending)
    last = len(ascending) - 1
    picks = [round(k * last / (_MOST_COST_ROWS - 1)) for k in range(_MOST_COST_ROWS)]
    return tuple(ascending[k] for k in picks)
