"""edgekit optimize: smaller and faster variants of a model, each with what it is worth."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.output import json_option, note, print_json, print_rich, progress
from edge.cli.shapes import parsed_shapes, shape_option
from edge.cli.share import Share

if TYPE_CHECKING:
    from edge.cli.shapes import Shapes

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--target", required=True, metavar="NAME", help="A target, or host: this machine.")
@click.option(
    "--calibration",
    type=_FILE,
    metavar="DATA",
    help="Inputs that show the ranges of activations: a folder of pictures, .npz, .csv, .jsonl.",
)
@click.option(
    "--evaluate",
    type=_FILE,
    metavar="DATA",
    help="Inputs, best with labels, that every variant is judged on.",
)
@click.option(
    "--recipe", type=_FILE, metavar="FILE", help="How data becomes inputs (TOML).  [default: card]"
)
@click.option("--tokenizer", type=_FILE, metavar="FILE", help="The tokenizer.json of texts.")
@click.option("--labels", type=_FILE, metavar="FILE", help="A CSV file with file,label.")
@click.option(
    "--max-accuracy-drop",
    "--min-accuracy-drop",
    type=Share(),
    metavar="SHARE",
    default="1%",
    show_default=True,
    help="Accuracy that may be lost, in points of a hundred.",
)
@click.option(
    "--min-cosine",
    type=click.FloatRange(-1, 1),
    metavar="C",
    help="The lowest cosine of any sample's output.  [default: 0.95 where nothing is labelled]",
)
@click.option("--thorough", is_flag=True, help="Try what is seldom the best, too.")
@click.option(
    "--prune",
    multiple=True,
    type=Share(),
    metavar="SHARE",
    help="Cut out channels that do this share of the work; may be given several times.",
)
@click.option(
    "--size",
    multiple=True,
    metavar="INPUT=1,3,192,192",
    help="Another size of an input as a variant; may be given several times.",
)
@click.option("--no-emulate", is_flag=True, help="Count no instructions for a target elsewhere.")
@click.option(
    "--check-version",
    multiple=True,
    metavar="V",
    help="Another version of the runtime on which variants must compute the same.",
)
@click.option(
    "--runtime", metavar="NAME", default="auto", show_default=True, help="As in edgekit package."
)
@click.option("--runtime-version", metavar="V", help="Another version than the target's.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads inside one inference.")
@shape_option
@click.option(
    "-o",
    "--output",
    type=_FILE,
    metavar="DIR",
    help="Where the chosen file and its evidence go.  [default: MODEL-TARGET]",
)
@json_option
def command(
    *,
    model: str | None,
    target: str,
    calibration: Path | None,
    evaluate: Path | None,
    recipe: Path | None,
    tokenizer: Path | None,
    labels: Path | None,
    max_accuracy_drop: float,
    min_cosine: float | None,
    thorough: bool,
    prune: tuple[float, ...],
    size: tuple[str, ...],
    no_emulate: bool,
    check_version: tuple[str, ...],
    runtime: str,
    runtime_version: str | None,
    threads: int | None,
    shape: "Shapes",
    output: Path | None,
    as_json: bool,
) -> None:
    """Make variants of a model, try them all, and write the fastest that is right enough.

    MODEL is a file or a name of `edgekit models list`; without it, the default model. Each variant
    is timed in turns with the original and compared with it; one that is slower, or worse than
    the floor, is shown as such and never chosen.

    \b
    Example:
      edgekit optimize model.onnx --target host --calibration pictures/
      edgekit optimize model.onnx --target rpi --calibration some/ --evaluate others/
      edgekit package model-rpi4/model-int8-static-minmax.onnx --target rpi
    """
    from edge.cli.optimize_text import optimization_text
    from edge.reasoning.variant_choice import Floors
    from edge.workflows.optimize import OptimizeRequest, optimize
    from edge.workflows.optimize_data import DataPaths

    request = OptimizeRequest(
        model=model,
        target=target,
        data=DataPaths(
            calibration=calibration,
            evaluation=evaluate,
            recipe=recipe,
            tokenizer=tokenizer,
            labels=labels,
        ),
        floors=Floors(most_accuracy_drop=max_accuracy_drop, least_cosine=min_cosine),
        shapes=shape,
        runtime=runtime,
        runtime_version=runtime_version,
        threads=threads,
        thorough=thorough,
        pruned=prune,
        sizes=tuple(parsed_shapes([one]) for one in size),
        emulate=False if no_emulate else None,
        check_versions=check_version,
        output=output,
    )
    with progress(f"optimising for {target}") as told:
        done = optimize(request, told)
    if as_json:
        print_json(done.result)
    else:
        print_rich(*optimization_text(done.result))
    note(f"written: {done.path}")
