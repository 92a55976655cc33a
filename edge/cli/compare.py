"""edgekit compare: whether B is slower than A."""

import re
from pathlib import Path
from typing import Any

import click

from edge.cli.checks_text import FORMATS, Format, print_comparisons
from edge.cli.output import json_option
from edge.cli.share import Share

_NS = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9}


class _Duration(click.ParamType[float]):
    """A duration with its unit: `50us`, in nanoseconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it; a bare number has no unit and is refused."""
        match = re.fullmatch(r"(\d{1,12}(?:\.\d+)?) ?(ns|us|µs|μs|ms|s)", str(value))
        if match is None:
            self.fail(f"{value!r} is no duration such as 50us", param, ctx)
        return float(match.group(1)) * _NS[match.group(2)]


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--percentile",
    type=click.Choice(["50", "90", "99"]),
    default="50",
    show_default=True,
    help="Of the latency.",
)
@click.option(
    "--max-increase",
    type=Share(),
    metavar="SHARE",
    default="5%",
    show_default=True,
    help="What B may be slower than A.",
)
@click.option(
    "--floor",
    type=_Duration(),
    metavar="TIME",
    help="No less than this counts, such as 50us.  [default: 3 times the loop's cost, 5us or more]",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 0.9999),
    default=0.95,
    show_default=True,
    help="Of the test and the interval.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@json_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where that format goes; text still goes to stdout.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Exit with 13 where B is slower, 7 not trustworthy, 12 undecided.",
)
def command(
    *,
    a: Path,
    b: Path,
    percentile: str,
    max_increase: float,
    floor: float | None,
    confidence: float,
    form: Format,
    as_json: bool,
    output: Path | None,
    check: bool,
) -> int | None:
    """Say whether B is slower than A: by a rank test, a share and an absolute floor.

    A and B are measurement files, or folders of them whose measurements are paired.

    \b
    Example:
      edgekit compare baseline results
      edgekit compare old.measurement.json new.measurement.json --percentile 90 --check
    """
    from edge.workflows.compare import compare_places, exit_code

    found = compare_places(
        a,
        b,
        percentile=float(percentile),
        max_increase=max_increase,
        floor=floor,
        confidence=confidence,
    )
    print_comparisons(found, form, output, as_json=as_json)
    return exit_code(found) if check else None
