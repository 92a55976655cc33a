"""Latency over the run, as a strip: a drift, a step or an outlier shows at one look."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edge.report.scales import Scale
from edge.report.svg import drawing, element, path
from edge.report.text import plural
from edge.units import format_ns

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 130.0, 12.0, 64.0, 10.0, 22.0
_MOST_BUCKETS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Some queries in a row: their lowest, median and highest latency."""

    low_ns: int
    median_ns: int
    high_ns: int


def buckets(latencies_ns: Sequence[int], most: int = _MOST_BUCKETS) -> tuple[Bucket, ...]:
    """Put the latencies, in the order of the run, into at most `most` buckets of like size."""
    count = min(most, len(latencies_ns))
    found = []
    for k in range(count):
        first, end = k * len(latencies_ns) // count, (k + 1) * len(latencies_ns) // count
        part = sorted(latencies_ns[first:end])
        found.append(Bucket(low_ns=part[0], median_ns=part[(len(part) - 1) // 2], high_ns=part[-1]))
    return tuple(found)


def drift_strip(latencies_ns: Sequence[int], *, width: float, ident: str, name: str) -> Markup:
    """Draw the latencies over the run: the median as a line in the band from lowest to highest."""
    found = buckets(latencies_ns)
    low, high = min(b.low_ns for b in found), max(b.high_ns for b in found)
    kind = "log" if low > 0 and high > 4 * low else "linear"
    room = max((high - low) * 0.05, 1.0)
    top = _HEIGHT - _BOTTOM
    if kind == "log":
        y = Scale(kind="log", low=low / 1.1, high=high * 1.1, start=top, end=_TOP)
    else:
        y = Scale(kind="linear", low=low - room, high=high + room, start=top, end=_TOP)
    x = Scale(kind="linear", low=0, high=len(found), start=_LEFT, end=width - _RIGHT)
    middles = [x(k + 0.5) for k in range(len(found))]
    right = width - _RIGHT
    first, last = found[0].median_ns, found[-1].median_ns
    parts = [element("path", d=path([(_LEFT, top), (right, top)]), class_="axis")]
    if len(found) > 1:
        upper = [(p, y(b.high_ns)) for p, b in zip(middles, found, strict=True)]
        lower = [(p, y(b.low_ns)) for p, b in zip(middles, found, strict=True)]
        line = [(p, y(b.median_ns)) for p, b in zip(middles, found, strict=True)]
        parts.append(element("path", d=path([*upper, *lower[::-1]], closed=True), class_="band"))
        parts.append(element("path", d=path(line), class_="median"))
    else:
        parts.append(element("circle", cx=middles[0], cy=y(first), r=3, class_="columns"))
    for value, at in ((high, _TOP + 4), (low, top)):
        parts.append(element("text", format_ns(value), x=right + 6, y=at, class_="tick"))
    last_query = plural(len(latencies_ns), "query", "queries")
    parts.append(element("text", "first query", x=_LEFT, y=_HEIGHT - 6, class_="tick"))
    parts.append(
        element("text", last_query, x=right, y=_HEIGHT - 6, text_anchor="end", class_="tick")
    )
    return drawing(
        parts,
        ident=ident,
        title=f"Latency over the run of {name}",
        description=(
            f"{last_query} in order; the median goes from {format_ns(first)} in the first part "
            f"to {format_ns(last)} in the last, within {format_ns(low)} to {format_ns(high)}."
        ),
        width=width,
        height=_HEIGHT,
        class_="plot",
    )
