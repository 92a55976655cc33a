"""SVG as strings: elements, paths and labelled drawings.

Every text and attribute is escaped, control and direction characters of foreign names too.
"""

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from edge.errors import printable

Attribute = str | float | None
_LONGEST_TEXT = 2000


def element(name: str, *children: str | Markup, **attributes: Attribute) -> Markup:
    """Return one element; `stroke_width` becomes stroke-width, `class_` class, None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if not children:
        return Markup(f"<{name}{written}/>")  # noqa: S704 - the attributes are escaped above
    inside = Markup("").join(
        c if isinstance(c, Markup) else printable(c, _LONGEST_TEXT) for c in children
    )
    return Markup(f"<{name}{written}>{inside}</{name}>")  # noqa: S704 - join has escaped


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else position(value)


def position(value: float) -> str:
    """Write a coordinate with one decimal at most: a tenth of a pixel is enough."""
    text = f"{value:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def path(points: Iterable[tuple[float, float]], *, closed: bool = False) -> str:
    """Return path data through the points."""
    steps = [f"{position(x)},{position(y)}" for x, y in points]
    return "M" + "L".join(steps) + ("Z" if closed else "") if steps else ""


def drawing(
    children: Sequence[Markup],
    *,
    ident: str,
    title: str,
    description: str,
    width: float,
    height: float,
    class_: str,
) -> Markup:
    """Return a whole drawing that a screen reader names by `title` and `description`."""
    return element(
        "svg",
        element("title", title, id=f"{ident}-title"),
        element("desc", description, id=f"{ident}-desc"),
        *children,
        class_=class_,
        role="img",
        aria_labelledby=f"{ident}-title",
        aria_describedby=f"{ident}-desc",
        viewBox=f"0 0 {position(width)} {position(height)}",
        width=width,
        height=height,
    )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> tuple[float, ...]:
    """Move labels apart: ascending positions at least `gap` apart, near `wanted`, within bounds.

    `wanted` must ascend. Where [low, high] is too short for all, the gap shrinks.
    """
    if len(wanted) > 1:
        gap = min(gap, (high - low) / (len(wanted) - 1))
    placed: list[float] = []
    for index, y in enumerate(wanted):
        ceiling = high - gap * (len(wanted) - 1 - index)
        floor = placed[-1] + gap if placed else low
        placed.append(max(min(y, ceiling), floor))
    return tuple(placed)
