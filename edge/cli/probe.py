"""edgekit probe: measure a model on this machine, or on others."""

from typing import Any

import click

from edge.cli.output import json_option
from edge.cli.probe_options import Chosen, probe_options


@click.command()
@click.argument("model", metavar="[MODEL|BUNDLE]", required=False)
@probe_options
@json_option
def command(**given: Any) -> None:
    """Measure the model on this machine: latency that one may quote.

    MODEL is a file or a name of `edgekit models list`, BUNDLE a file that `edgekit package`
    wrote; without any, the default model is measured. It stops when both --min-time and
    --min-queries are reached, or at --max-time.

    \b
    Example:
      edgekit probe
      edgekit probe model.onnx --threads 1 --shape input=1,3,224,224
      edgekit probe model.onnx --input clip.mp4 --fps 15
      edgekit probe model.onnx --sweep threads,graph-level
      edgekit probe model-rpi4.pyz --host pi@board --check --max-p90-ms 50
    """
    from edge.cli.probe_modes import run

    run(Chosen(**given))
