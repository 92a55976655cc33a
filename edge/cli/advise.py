"""edgekit advise: edge, cloud CPU or cloud GPU, and what it costs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli.output import json_option, note, print_json
from edge.cli.shapes import shape_option

if TYPE_CHECKING:
    from edge.cli.shapes import Shapes

# Option, the workload's key, type, help.
_WORKLOAD_OPTIONS: tuple[tuple[str, str, Any, str], ...] = (
    ("--task", "task", click.Choice(["inference", "training"]), "What the machine is for."),
    ("--latency-ms", "latency_limit_ms", float, "Limit of the response time, waiting included."),
    ("--percentile", "percentile", float, "At which percentile it holds.  [default: 90]"),
    ("--qps", "load_per_s", float, "Average load, in queries a second."),
    ("--peak-qps", "peak_load_per_s", float, "Highest load.  [default: the average]"),
    ("--hours-per-day", "hours_per_day", float, "How long the service is on.  [default: 24]"),
    ("--budget", "budget_per_month", float, "At most so much a month."),
    ("--memory-mib", "memory_limit_mib", float, "At most so much memory, in MiB."),
    ("--power-w", "power_limit_w", float, "At most so much power, in watts; for boards."),
    ("--max-boards", "max_boards", int, "At most so many boards.  [default: 8]"),
    ("--currency", "currency", str, "Currency of the costs.  [default: USD]"),
    ("--exchange-rate", "exchange_rate", float, "Its units for one US dollar."),
    ("--samples", "training_samples", int, "Training: samples in an epoch."),
    ("--epochs", "training_epochs", float, "Training: epochs."),
    (
        "--method",
        "training_method",
        click.Choice(["gradient", "classical"]),
        "Training: by gradients, or trees and the like.",
    ),
    ("--time-budget-s", "time_budget_s", float, "Training: at most so many seconds a run."),
    ("--runs-per-month", "training_runs_per_month", float, "Training: runs a month."),
)


def _workload_options(function: Any) -> Any:
    for flag, key, kind, text in reversed(_WORKLOAD_OPTIONS):
        function = click.option(flag, key, type=kind, help=text)(function)
    return function


@click.command()
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--workload", type=click.Path(path_type=Path), metavar="FILE.toml")
@_workload_options
@click.option("--target", multiple=True, metavar="NAME", help="Only this target; may be repeated.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Measurements to go by, where edgekit probe saved them.",
)
@shape_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Save the verdict and what the model is, for edgekit report.",
)
@json_option
@click.option(
    "--check",
    is_flag=True,
    help="Exit with 0 for edge, 10 cloud CPU, 11 cloud GPU, 12 undecided, 13 nothing fits.",
)
def command(
    *,
    model: str | None,
    workload: Path | None,
    target: tuple[str, ...],
    results: Path | None,
    shape: "Shapes",
    output: Path | None,
    as_json: bool,
    check: bool,
    **wishes: Any,
) -> int | None:
    """Say where the model should run: on a board, a cloud CPU or a cloud GPU, why, at what cost.

    MODEL is a file or a name of `edgekit models list`; without any, the default model is taken.
    What is asked of it stands in a workload file or in options, which go before the file.

    \b
    Example:
      edgekit advise --latency-ms 50 --qps 5
      edgekit advise model.onnx --workload workload.toml --results results -o results
    """
    from edge.cli.verdict_text import print_verdict
    from edge.workflows.advise import EXIT_CODES, advise_on_file, save_advice, workload_of

    demand = workload_of(workload, {k: v for k, v in wishes.items() if v is not None})
    advice = advise_on_file(model, demand, target_names=target, results=results, shapes=shape)
    # Saved first: a reader of the output may go away in the middle of it.
    saved = () if output is None else save_advice(advice, output)
    if as_json:
        print_json(advice.verdict)
    else:
        print_verdict(advice.verdict)
    for path in saved:
        note(f"saved: {path}")
    return EXIT_CODES[advice.verdict.answer] if check else None
