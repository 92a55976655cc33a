"""edgekit inspect: what a model is, without loading its weights."""

from pathlib import Path

import click

from edge.cli.output import json_option, note, print_json, print_rich, progress
from edge.cli.shapes import shape_option


@click.command()
@click.argument("model", required=False)
@shape_option
@click.option(
    "--target", "targets", multiple=True, metavar="NAME", help="Only this target; may be repeated."
)
@click.option("--operators", is_flag=True, help="List every operator, not only their types.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Save the result in this folder.",
)
@json_option
def command(
    model: str | None,
    shape: dict[str, tuple[int, ...]],
    targets: tuple[str, ...],
    operators: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Say what MODEL is: size, MACs, memory, operators, risks, and which targets can run it.

    MODEL is an ONNX or TFLite file, or the name of a model card; the default model if none.

    \b
    Example:
      edgekit inspect
      edgekit inspect model.onnx --shape input=1,3,224,224 --target rpi
    """
    from edge.records.codec import to_dict
    from edge.workflows.inspect import inspect_choice

    with progress("reading the model") as told:
        report = inspect_choice(model, shape, targets, told)
    if output is not None:
        from edge.adapters.results import save_result

        note(f"saved {save_result(report.model, output, report.model.name)}")
    if as_json:
        support = [to_dict(entry) for entry in report.support]
        print_json({"model": to_dict(report.model), "support": support})
    else:
        from edge.cli.inspect_text import render

        print_rich(*render(report, every_operator=operators))
