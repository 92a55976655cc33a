"""Response times of the candidates as bars against the limit, all on one logarithmic axis."""

from collections.abc import Sequence

from markupsafe import Markup

from edge.records.verdict import Candidate
from edge.report.scales import Scale, log_domain
from edge.report.svg import drawing, element, path
from edge.report.text import duration_text, interval_text

_WIDTH, _HEIGHT, _PADDING = 250.0, 26.0, 12.0
_AXIS_HEIGHT = 46.0
_MOST_TICKS = 4
# A tick nearer than this to the limit would run into its line.
_TICK_ROOM = 30.0


def interval_scale(candidates: Sequence[Candidate], limit_ns: float | None) -> Scale | None:
    """Return the axis that holds every known interval and the limit; None without intervals."""
    ends = [end for c in candidates for end in (c.low_ns, c.high_ns) if end is not None]
    domain = log_domain([*ends, *([] if limit_ns is None else [limit_ns])], factor=1.6)
    if not ends or domain is None:
        return None
    return Scale(kind="log", low=domain[0], high=domain[1], start=_PADDING, end=_WIDTH - _PADDING)


def interval_axis(scale: Scale, limit_ns: float | None, ident: str) -> Markup:
    """Draw the axis that stands over the bars: round durations, and where the limit lies."""
    floor = _AXIS_HEIGHT - 6
    parts = [element("path", d=path([(0, floor), (_WIDTH, floor)]), class_="axis")]
    for tick in scale.ticks(_MOST_TICKS):
        x = scale(tick)
        parts.append(element("path", d=path([(x, floor - 3), (x, floor)]), class_="axis"))
        if limit_ns is not None and abs(x - scale(limit_ns)) < _TICK_ROOM:
            continue
        anchor = "start" if x < 30 else "end" if x > _WIDTH - 30 else "middle"
        label = duration_text(tick)
        at = {"start": 0.0, "end": _WIDTH, "middle": x}[anchor]
        parts.append(element("text", label, x=at, y=floor - 7, text_anchor=anchor, class_="tick"))
    description = (
        f"Logarithmic axis from {duration_text(scale.low)} to {duration_text(scale.high)}."
    )
    if limit_ns is not None:
        x = scale(limit_ns)
        parts.append(element("path", d=path([(x, 16), (x, _AXIS_HEIGHT)]), class_="limit"))
        anchor = "start" if x < _WIDTH / 2 else "end"
        label = f"limit {duration_text(limit_ns)}"
        parts.append(element("text", label, x=x, y=12, text_anchor=anchor, class_="limit-label"))
        description += f" The limit is at {duration_text(limit_ns)}."
    return drawing(
        parts,
        ident=ident,
        title="Axis of the response times",
        description=description,
        width=_WIDTH,
        height=_AXIS_HEIGHT,
        class_="bar-axis",
    )


def interval_bar(
    candidate: Candidate, scale: Scale, limit_ns: float | None, ident: str
) -> Markup | None:
    """Draw one candidate's interval; None where nothing of it is known.

    An end that is not known runs out of the picture as an arrow.
    """
    low, high = candidate.low_ns, candidate.high_ns
    if low is None and high is None:
        return None
    left = 2.0 if low is None else scale(max(low, 1))
    right = _WIDTH - 2 if high is None else scale(max(high, 1))
    middle = _HEIGHT / 2
    bar = _bar_outline(left, max(right, left + 3), open_left=low is None, open_right=high is None)
    parts = [
        element("path", d=path([(0, middle), (_WIDTH, middle)]), class_="guide"),
        element("path", d=bar, class_=f"interval {candidate.fit}"),
    ]
    if candidate.typical_ns is not None:
        x = scale(max(candidate.typical_ns, 1))
        parts.append(element("path", d=path([(x, middle - 7), (x, middle + 7)]), class_="typical"))
    description = f"{interval_text(low, high)}."
    if limit_ns is not None:
        x = scale(limit_ns)
        parts.append(element("path", d=path([(x, 0), (x, _HEIGHT)]), class_="limit"))
        description += f" The limit is {duration_text(limit_ns)}."
    return drawing(
        parts,
        ident=ident,
        title=f"Response time of {candidate.target}",
        description=description,
        width=_WIDTH,
        height=_HEIGHT,
        class_="bar",
    )


def _bar_outline(left: float, right: float, *, open_left: bool, open_right: bool) -> str:
    top, middle, bottom, tip = 8.0, 13.0, 18.0, 6.0
    right_end = [(right - tip, top), (right, middle), (right - tip, bottom)]
    left_end = [(left + tip, bottom), (left, middle), (left + tip, top)]
    return path(
        [
            *(right_end if open_right else [(right, top), (right, bottom)]),
            *(left_end if open_left else [(left, bottom), (left, top)]),
        ],
        closed=True,
    )
