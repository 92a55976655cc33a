"""Temperature and clock over the run, with the moments marked at which it was throttled."""

from collections.abc import Callable, Sequence

from markupsafe import Markup

from edge.records.host import Reading, Telemetry
from edge.report.scales import Scale
from edge.report.svg import drawing, element, path
from edge.report.text import plural
from edge.units import format_count, format_ns, three_digits

_PANEL, _LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 62.0, 12.0, 64.0, 16.0, 22.0, 22.0

Point = tuple[int, float]


def throttled_spans(readings: Sequence[Reading]) -> tuple[tuple[int, int], ...]:
    """Return from when to when readings in a row said that something holds the processor back.

    A span lasts until the next reading that says otherwise, or to the last one.
    """
    spans: list[tuple[int, int]] = []
    start: int | None = None
    for reading in readings:
        if reading.throttled and start is None:
            start = reading.at_ns
        elif not reading.throttled and start is not None:
            spans.append((start, reading.at_ns))
            start = None
    if start is not None:
        spans.append((start, readings[-1].at_ns))
    return tuple(spans)


def telemetry_plot(
    telemetry: Telemetry | None, *, width: float, ident: str, name: str
) -> Markup | None:
    """Draw temperature and clock over time; None where fewer than two readings know either."""
    if telemetry is None:
        return None
    readings = sorted(telemetry.readings, key=lambda r: r.at_ns)
    temperatures = [
        (r.at_ns, r.temperature_celsius) for r in readings if r.temperature_celsius is not None
    ]
    clocks = [(r.at_ns, float(r.clock_hz)) for r in readings if r.clock_hz is not None]
    series: list[tuple[str, list[Point], Callable[[float], str]]] = [
        ("temperature", temperatures, lambda v: f"{three_digits(v)} °C"),
        ("clock", clocks, lambda v: format_count(v, "Hz")),
    ]
    shown = [one for one in series if len(one[1]) > 1]
    if not shown or readings[0].at_ns == readings[-1].at_ns:
        return None
    first, last = readings[0].at_ns, readings[-1].at_ns
    right = width - _RIGHT
    x = Scale(kind="linear", low=first, high=last, start=_LEFT, end=right)
    height = _TOP + len(shown) * _PANEL + (len(shown) - 1) * _GAP + _BOTTOM
    floor = height - _BOTTOM
    spans = throttled_spans(readings)
    parts = [
        element(
            "rect",
            x=x(a),
            y=_TOP,
            width=max(x(b) - x(a), 2),
            height=floor - _TOP,
            class_="throttled",
        )
        for a, b in spans
    ]
    for number, (what, points, say) in enumerate(shown):
        parts += _panel(what, points, say, x, _TOP + number * (_PANEL + _GAP))
    parts += [
        element("text", "start", x=_LEFT, y=height - 6, class_="tick"),
        element(
            "text",
            f"{format_ns(last - first)} later",
            x=right,
            y=height - 6,
            text_anchor="end",
            class_="tick",
        ),
    ]
    return drawing(
        parts,
        ident=ident,
        title=f"Temperature and clock over the run of {name}",
        description=_description(shown, spans, readings),
        width=width,
        height=height,
        class_="plot",
    )


def _panel(
    what: str, points: Sequence[Point], say: Callable[[float], str], x: Scale, top: float
) -> list[Markup]:
    values = [value for _, value in points]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or max(abs(high) * 0.02, 1.0)
    bottom = top + _PANEL
    y = Scale(kind="linear", low=low - room, high=high + room, start=bottom, end=top)
    ends = [(high, top + 10)] if say(low) == say(high) else [(high, top + 10), (low, bottom - 2)]
    return [
        element("path", d=path([(x.start, bottom), (x.end, bottom)]), class_="axis"),
        element("path", d=path([(x(at), y(value)) for at, value in points]), class_="median"),
        element("text", what, x=x.start, y=top - 4, class_="tick"),
        *(element("text", say(v), x=x.end + 6, y=at, class_="tick") for v, at in ends),
    ]


def _description(
    shown: Sequence[tuple[str, Sequence[Point], Callable[[float], str]]],
    spans: Sequence[tuple[int, int]],
    readings: Sequence[Reading],
) -> str:
    told = []
    for what, points, say in shown:
        values = [value for _, value in points]
        told.append(
            f"The {what} goes from {say(values[0])} to {say(values[-1])}, "
            f"within {say(min(values))} to {say(max(values))}."
        )
    if spans:
        reasons = dict.fromkeys(why for r in readings for why in r.throttled or ())
        when = plural(len(spans), "time")
        told.append(f"It was throttled {when}: {', '.join(reasons)}.")
    elif any(r.throttled is not None for r in readings):
        told.append("It was not throttled at any reading.")
    else:
        told.append("Whether it was throttled is not known.")
    return " ".join(told)
