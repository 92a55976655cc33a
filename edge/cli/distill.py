"""edgekit distill: a smaller student of a model, from data without labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli.output import json_option, note, print_json, print_rich, progress
from edge.cli.shapes import shape_option

if TYPE_CHECKING:
    from edge.cli.shapes import Shapes

_FILE = click.Path(path_type=Path)
_LOSSES = ("auto", "classes", "embedding", "values")


@click.command()
@click.argument("teacher")
@click.option(
    "--student",
    required=True,
    metavar="ARCHITECTURE",
    help="cnn:8,16,32, mobile:16, mlp:64,32, bag:64, transformer:2,64,2 or FILE.py:function.",
)
@click.option(
    "--data",
    type=_FILE,
    required=True,
    metavar="DATA",
    help="What to learn from, without labels: a folder of pictures, .npz, .csv, .jsonl.",
)
@click.option(
    "--evaluate",
    type=_FILE,
    metavar="DATA",
    help="Other data, best with labels, that both are judged on.",
)
@click.option(
    "-o",
    "--output",
    type=_FILE,
    metavar="FILE",
    default="student.onnx",
    show_default=True,
    help="The student; its record goes beside it.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    metavar="N",
    help="At most.  [default: 20 to 200, the more the fewer samples]",
)
@click.option(
    "--patience",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop when so many epochs brought nothing.  [default: a quarter of --epochs]",
)
@click.option(
    "--max-time",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Train no longer than this.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(0.1, 100),
    metavar="T",
    default=2.0,
    show_default=True,
    help="How much the classes of the teacher are softened.",
)
@click.option(
    "--loss",
    type=click.Choice(_LOSSES),
    default="auto",
    show_default=True,
    help="How outputs are learnt; auto looks at what the teacher gives.",
)
@click.option(
    "--batch-size", type=click.IntRange(min=2), metavar="N", default=64, show_default=True
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="RATE",
    help="Of AdamW, at its highest.  [default: 0.005; 0.001 with attention]",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="To ask and train with.  [default: all]",
)
@click.option(
    "--samples", "most", type=click.IntRange(min=10), metavar="N", help="Use at most so many."
)
@click.option("--trusted", is_flag=True, help="The code in FILE.py may be run.")
@click.option(
    "--recipe", type=_FILE, metavar="FILE", help="How data becomes inputs (TOML).  [default: card]"
)
@click.option("--tokenizer", type=_FILE, metavar="FILE", help="The tokenizer.json of texts.")
@click.option(
    "--labels", type=_FILE, metavar="FILE", help="A CSV file with file,label, for --evaluate."
)
@shape_option
@json_option
def command(*, teacher: str, loss: str, shape: "Shapes", as_json: bool, **options: Any) -> None:
    """Train a smaller student on what TEACHER answers, and tell what was lost.

    TEACHER is an ONNX or TFLite file, or a name of `edgekit models list`. It is asked, never
    trained. The student is an ONNX file that takes and gives what its teacher does.

    \b
    Example:
      edgekit distill model.onnx --student cnn:8,16 --data pictures/ --evaluate labelled/
      edgekit distill minilm-l6-v2 --student bag:64 --data texts.jsonl --max-time 600
    """
    from edge.workflows.distill import distill, record_path
    from edge.workflows.distill_request import DistillRequest

    request = DistillRequest(
        teacher=teacher,
        loss=None if loss == "auto" else loss,
        shapes=shape,
        max_s=options.pop("max_time"),
        **options,
    )
    with progress(f"training {request.student}") as told:
        result = distill(request, told)
    note(f"saved {request.output}, {record_path(request.output)}")
    if as_json:
        print_json(result)
    else:
        from edge.cli.distill_text import render

        print_rich(*render(result))
