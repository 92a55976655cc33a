"""edgekit probe: measure a model on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.measurement import print_measurement, told_percent
from edge.cli.output import json_option, note, print_json
from edge.cli.shapes import shape_option

if TYPE_CHECKING:
    from edge.cli.shapes import Shapes


@click.command()
@click.argument("model", metavar="[MODEL|BUNDLE]", required=False)
@click.option("--threads", type=click.IntRange(min=1), help="Threads inside one inference.")
@click.option("--min-time", type=float, default=5.0, show_default=True, help="In seconds.")
@click.option("--max-time", type=float, help="In seconds.  [default: 60, or twice --min-time]")
@click.option("--min-queries", type=int, default=662, show_default=True, help="As for a p99.")
@click.option("--warm-up", type=int, default=10, show_default=True, help="Queries kept apart.")
@shape_option
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Real inputs: an .npz, a picture, or a folder of pictures.",
)
@click.option("--target", metavar="NAME", help="Which target this machine is, for the record.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    metavar="FOLDER",
    help="Where the measurement goes.",
)
@json_option
def command(
    *,
    model: str | None,
    threads: int | None,
    min_time: float,
    max_time: float | None,
    min_queries: int,
    warm_up: int,
    shape: "Shapes",
    inputs: Path | None,
    target: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Measure the model on this machine: latency that one may quote.

    MODEL is a file or a name of `edgekit models list`, BUNDLE a file that `edgekit package`
    wrote; without any, the default model is measured. It stops when both --min-time and
    --min-queries are reached, or at --max-time.

    \b
    Example:
      edgekit probe
      edgekit probe model.onnx --threads 1 --shape input=1,3,224,224
    """
    from edge.adapters.targets import load_target
    from edge.device.probe import ProbeOptions
    from edge.workflows.models import resolve_model
    from edge.workflows.probe import probe_anything, results_folder, save_measurement

    options = ProbeOptions(min_time, max_time, min_queries, warm_up)
    label = None if target is None else load_target(target).name
    choice = resolve_model(model)
    with results_folder(output), told_percent(f"measuring {choice.path.name}") as progress:
        measurement = probe_anything(
            choice,
            options,
            threads=threads,
            shapes=shape,
            inputs=inputs,
            target=label,
            progress=progress,
        )
        saved = save_measurement(measurement, output)
    if as_json:
        print_json(measurement)
    else:
        print_measurement(measurement)
    note(f"saved: {saved}")
