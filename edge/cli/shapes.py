"""The option --shape NAME=1,3,224,224, which gives sizes to an input that leaves them open."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from edge.errors import printable

Shapes = dict[str, tuple[int, ...]]
F = TypeVar("F", bound=Callable[..., Any])


def shape_option(function: F) -> F:
    """Add --shape, which may be given once for each input; the command gets a `shape` mapping."""
    option = click.option(
        "--shape",
        multiple=True,
        metavar="INPUT=1,3,224,224",
        callback=_parsed,
        help="Sizes for an input that leaves them open; once for each such input.",
    )
    return option(function)


def _parsed(_ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> Shapes:
    return parsed_shapes(given)


def parsed_shapes(given: Iterable[str]) -> Shapes:
    """Return the sizes that INPUT=1,3,224,224 gives, for each input.

    Raises:
        click.BadParameter: it gives none, or one twice.
    """
    shapes: Shapes = {}
    for text in given:
        # A name may hold an equals sign or a colon (TFLite's do), sizes may not.
        name, _, sizes = text.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.split(",")) if sizes else ()
        except ValueError:
            shape = (-1,)
        if not name or min(shape, default=0) < 0:
            what = f"{printable(text)}: expected an input's name, =, and sizes: input=1,3,224,224"
            raise click.BadParameter(what)
        if name in shapes:
            raise click.BadParameter(f"{printable(name)} is given twice")
        shapes[name] = shape
    return shapes
