"""edgekit emulate: run a bundle under the target's processor, libraries and memory."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.checks_text import FORMATS, Format
from edge.cli.output import json_option, progress
from edge.cli.shapes import shape_option
from edge.cli.share import Share

if TYPE_CHECKING:
    from edge.cli.shapes import Shapes


@click.command()
@click.argument("file", metavar="[BUNDLE|MODEL]", required=False)
@click.option(
    "--target",
    metavar="NAME",
    help="The target.  [default: the one that BUNDLE was made for]",
)
@click.option(
    "--matrix",
    metavar="NAME,NAME",
    help="Package MODEL for each of these targets and emulate all.",
)
@shape_option
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Sample inputs for MODEL, as `edgekit package` takes them.",
)
@click.option(
    "--runtime", metavar="NAME", help="The runtime for MODEL, as `edgekit package` takes it."
)
@click.option(
    "--full-system",
    is_flag=True,
    help="Also boot a machine with the target's memory and run the bundle there.",
)
@click.option("--no-count", is_flag=True, help="Do not count instructions.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hold the instruction counts to those that -o wrote earlier.",
)
@click.option(
    "--max-increase",
    type=Share(),
    metavar="SHARE",
    default="2%",
    show_default=True,
    help="What may be counted above the baseline.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Targets of the matrix at once.  [default: as cores and memory allow]",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the bundles that were made of MODEL there.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the result goes as JSON: a baseline for later.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where that format goes; text still goes to stdout.",
)
@json_option
def command(
    *,
    file: str | None,
    target: str | None,
    matrix: str | None,
    shape: "Shapes",
    inputs: Path | None,
    runtime: str | None,
    full_system: bool,
    no_count: bool,
    baseline: Path | None,
    max_increase: float,
    workers: int | None,
    keep: Path | None,
    output: Path | None,
    form: Format,
    report: Path | None,
    as_json: bool,
) -> None:
    """Run a bundle as on its target: without the board, under its processor, on its libraries.

    BUNDLE is a file of `edgekit package`; a MODEL is packaged first, for --target or for each of
    --matrix. What would go wrong on the target is a finding, with what to do. Instructions are
    counted, and never turned into a time.

    \b
    Example:
      edgekit emulate model-rpi4.pyz
      edgekit emulate model.onnx --target rpi5 -o baseline.json
      edgekit emulate model.onnx --target rpi5 --baseline baseline.json --max-increase 2%
      edgekit emulate model-rpi4.pyz --target rpi-zero2w --full-system
      edgekit emulate --matrix rpi3,rpi4,rpi5,jetson-nano model.onnx --format markdown
    """
    from edge.cli.emulation_text import print_emulation
    from edge.workflows.emulate_request import EmulateRequest, emulate, exit_code
    from edge.workflows.emulation_baseline import load_baseline

    request = EmulateRequest(
        file=file,
        target=target,
        matrix=None if matrix is None else tuple(name for name in matrix.split(",") if name),
        shapes=shape,
        inputs=inputs,
        runtime=runtime,
        full_system=full_system,
        count=not no_count,
        baseline=None if baseline is None else load_baseline(baseline),
        max_increase=max_increase,
        workers=workers,
        keep=keep,
    )
    with progress("emulating") as told:
        found = emulate(request, told)
    print_emulation(found, form, report, output, as_json=as_json)
    status = exit_code(found)
    if status:
        sys.exit(status)
