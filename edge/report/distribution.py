"""How the latencies of one measurement are distributed: a histogram with its percentiles."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from edge.report.scales import Scale
from edge.report.svg import drawing, element, path, position, spread
from edge.report.text import percentile_name, plural
from edge.units import format_ns

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 300.0, 12.0, 12.0, 84.0, 30.0
_MOST_BINS = 60
# A tail longer than this would leave the bulk in one or two bins of a linear axis.
_LINEAR_SPAN = 4.0
# A limit farther away than this is named at the edge: the axis would be empty in between.
_FARTHEST_LIMIT = 1.6
_LABEL_GAP = 15.0


def bin_edges(latencies_ns: Sequence[int], most: int = _MOST_BINS) -> tuple[float, ...]:
    """Return ascending edges that hold every latency: about √n bins, at most `most`.

    The bins are equal on a logarithmic axis when the longest latency is more than four times
    the shortest, else equal in nanoseconds.
    """
    low, high = (max(end, 1) for end in (min(latencies_ns), max(latencies_ns)))
    if low == high:
        return (low * 0.98, high * 1.02)
    bins = max(min(math.ceil(math.sqrt(len(latencies_ns)) * 1.5), most), 5)
    if high / low > _LINEAR_SPAN:
        inner = [low * (high / low) ** (k / bins) for k in range(1, bins)]
    else:
        inner = [low + (high - low) * k / bins for k in range(1, bins)]
    return (float(low), *inner, float(high))


def bin_counts(latencies_ns: Sequence[int], edges: Sequence[float]) -> tuple[int, ...]:
    """Count the latencies in each bin; the last bin holds its upper edge too."""
    counts = [0] * (len(edges) - 1)
    for latency in latencies_ns:
        index = bisect_right(edges, max(latency, 1)) - 1
        counts[min(max(index, 0), len(counts) - 1)] += 1
    return tuple(counts)


def distribution_plot(
    latencies_ns: Sequence[int],
    percentiles_ns: Mapping[float, int],
    limit_ns: float | None,
    *,
    width: float,
    ident: str,
    name: str,
) -> Markup:
    """Draw the histogram of the latencies with markers for the percentiles that are supported."""
    edges = bin_edges(latencies_ns)
    counts = bin_counts(latencies_ns, edges)
    scale, limit_inside = _latency_scale(edges, limit_ns, width)
    heights = Scale(kind="linear", low=0, high=max(counts), start=_HEIGHT - _BOTTOM, end=_TOP)
    parts = [_columns(edges, counts, scale, heights), *_axis(scale, width)]
    parts += _percentile_markers(percentiles_ns, scale, width)
    if limit_ns is not None:
        parts += _limit_marker(limit_ns, scale, width, inside=limit_inside)
    marks = [f"{percentile_name(p)} {format_ns(v)}" for p, v in percentiles_ns.items()]
    shortest, longest = format_ns(min(latencies_ns)), format_ns(max(latencies_ns))
    description = (
        f"Histogram of {plural(len(latencies_ns), 'latency', 'latencies')}, "
        f"{shortest} to {longest}. {', '.join(marks) or 'No percentile has enough queries'}."
    )
    if limit_ns is not None:
        description += f" The limit is {format_ns(limit_ns)}."
    return drawing(
        parts,
        ident=ident,
        title=f"Latency distribution of {name}",
        description=description,
        width=width,
        height=_HEIGHT,
        class_="plot",
    )


def _latency_scale(
    edges: Sequence[float], limit_ns: float | None, width: float
) -> tuple[Scale, bool]:
    low, high = edges[0], edges[-1]
    inside = limit_ns is not None and low / _FARTHEST_LIMIT <= limit_ns <= high * _FARTHEST_LIMIT
    if inside and limit_ns is not None:
        low, high = min(low, limit_ns), max(high, limit_ns)
    kind = "log" if high / low > _LINEAR_SPAN else "linear"
    start, end = _LEFT, width - _RIGHT
    if kind == "log":
        return Scale(kind="log", low=low / 1.05, high=high * 1.05, start=start, end=end), inside
    room = (high - low) * 0.03
    return Scale(kind="linear", low=low - room, high=high + room, start=start, end=end), inside


def _columns(edges: Sequence[float], counts: Sequence[int], scale: Scale, heights: Scale) -> Markup:
    floor = position(heights.start)
    outline = []
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            # A single query among thousands must stay visible.
            top = min(heights(count), heights.start - 1.5)
            x0, x1 = position(scale(left)), position(scale(right) - 0.5)
            outline.append(f"M{x0},{floor}V{position(top)}H{x1}V{floor}Z")
    return element("path", d="".join(outline), class_="columns")


def _axis(scale: Scale, width: float) -> list[Markup]:
    y = _HEIGHT - _BOTTOM
    parts = [element("path", d=path([(_LEFT, y), (width - _RIGHT, y)]), class_="axis")]
    for tick in scale.ticks(max(int(width // 90), 3)):
        x = scale(tick)
        parts.append(element("path", d=path([(x, y), (x, y + 4)]), class_="axis"))
        anchor = "start" if x < 30 else "end" if x > width - 30 else "middle"
        label = format_ns(tick)
        parts.append(element("text", label, x=x, y=y + 18, text_anchor=anchor, class_="tick"))
    return parts


def _percentile_markers(
    percentiles_ns: Mapping[float, int], scale: Scale, width: float
) -> list[Markup]:
    """Label one percentile a row, the highest at the bottom, so that labels never meet."""
    parts = []
    shown = sorted(percentiles_ns.items())
    rows = spread([_TOP - 8 - _LABEL_GAP * k for k in range(len(shown))][::-1], 12, 10, _TOP - 6)
    for (percentile, value), y in zip(shown, rows, strict=True):
        x = scale(max(value, 1))
        label = f"{percentile_name(percentile)} {format_ns(value)}"
        anchor, side = ("start", 4) if x < width * 0.6 else ("end", -4)
        parts.append(
            element("path", d=path([(x, y - 9), (x, _HEIGHT - _BOTTOM)]), class_="percentile")
        )
        parts.append(
            element("text", label, x=x + side, y=y, text_anchor=anchor, class_="mark-label")
        )
    return parts


def _limit_marker(limit_ns: float, scale: Scale, width: float, *, inside: bool) -> list[Markup]:
    label = f"limit {format_ns(limit_ns)}"
    if inside:
        x = scale(limit_ns)
        anchor, side = ("start", 4) if x < width / 2 else ("end", -4)
        line = element("path", d=path([(x, 2), (x, _HEIGHT - _BOTTOM)]), class_="limit")
        text = element("text", label, x=x + side, y=11, text_anchor=anchor, class_="limit-label")
        return [line, text]
    after = limit_ns > scale.high
    x, anchor = (width - _RIGHT, "end") if after else (_LEFT, "start")
    pointed = f"{label} →" if after else f"← {label}"
    return [element("text", pointed, x=x, y=11, text_anchor=anchor, class_="limit-label")]
