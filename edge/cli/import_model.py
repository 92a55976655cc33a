"""edgekit import: an estimator of scikit-learn, XGBoost or LightGBM to ONNX."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.output import json_option, note, print_json, print_rich, progress

if TYPE_CHECKING:
    from rich.table import Table

    from edge.records.imported import Imported


@click.command("import")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--trusted",
    is_flag=True,
    help="Unpickle MODEL: you made it, or trust who did. A pickle runs code when it is read.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="Compare with the estimator on these samples (.npz, .csv).  [default: random ones]",
)
@click.option(
    "--min-agreement",
    type=click.FloatRange(0.0, 1.0),
    default=0.99,
    show_default=True,
    metavar="PART",
    help="Write nothing if fewer samples than this part get the same answer.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The ONNX file.  [default: MODEL's name with .onnx, in this folder]",
)
@click.option(
    "--input",
    "input_name",
    default="input",
    show_default=True,
    metavar="NAME",
    help="The name of the ONNX file's input.",
)
@click.option(
    "--opset",
    type=click.IntRange(min=1),
    metavar="N",
    help="The ONNX opset.  [default: 17, or what the target's runtime has]",
)
@click.option("--target", metavar="NAME", help="Say whether the runtimes of this target run it.")
@json_option
def command(
    *,
    model: Path,
    trusted: bool,
    check: Path | None,
    min_agreement: float,
    output: Path | None,
    input_name: str,
    opset: int | None,
    target: str | None,
    as_json: bool,
) -> None:
    """Make an ONNX file of an estimator of scikit-learn, XGBoost or LightGBM.

    MODEL is a pickle (joblib's, too), which needs --trusted; or XGBoost's .json or .ubj,
    LightGBM's .txt, or a .skops file, which are only data.

    \b
    Example:
      edgekit import forest.joblib --trusted --check samples.npz
      edgekit import boosted.json -o boosted.onnx --target rpi
    """
    from edge.workflows.import_check import ImportRequest
    from edge.workflows.import_model import import_model

    request = ImportRequest(
        model=model,
        output=output,
        trusted=trusted,
        check=check,
        opset=opset,
        target=target,
        input_name=input_name,
        least_agreement=min_agreement,
    )
    with progress("importing") as told:
        path, imported = import_model(request, told)
    if as_json:
        from edge.records.codec import to_dict

        print_json({"path": str(path), "imported": to_dict(imported)})
        return
    print_rich(_table(path, imported))
    for line in imported.notes:
        note(f"note: {line}")


def _table(path: Path, imported: "Imported") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in _rows(path, imported):
        table.add_row(key, escape(value))
    return table


def _rows(path: Path, imported: "Imported") -> list[tuple[str, str]]:
    from edge.errors import printable
    from edge.units import format_bytes

    estimator, check = imported.estimator, imported.check
    steps = f" ({', '.join(estimator.steps)})" if estimator.steps else ""
    libraries = ", ".join(f"{each.name} {each.version}" for each in estimator.libraries)
    rows = [
        ("file", str(path)),
        ("size", format_bytes(imported.model.file_bytes)),
        ("estimator", f"{estimator.type}{steps}, {estimator.kind}"),
        ("made with", f"{libraries}; converted by {imported.converter}"),
        ("features", str(estimator.features)),
    ]
    if estimator.classes:
        shown = ", ".join(estimator.classes[:8])
        more = len(estimator.classes) - 8
        rows.append(("classes", printable(shown) + (f" and {more} more" if more > 0 else "")))
    if estimator.trees:
        rows.append(("trees", f"{estimator.trees}, {estimator.tree_nodes} nodes"))
    same = check.same
    part = f"{same.right} of {same.samples} ({same.low:.1%} to {same.high:.1%})"
    rows.append(("opset", f"{imported.opset}, ai.onnx.ml {imported.ml_opset}"))
    rows.append(("agreement", f"{same.metric} for {part}, {check.what}"))
    if check.largest_difference is not None:
        of = f" of {check.largest_value:.3g}" if check.largest_value else ""
        rows.append(("largest error", f"{check.largest_difference:.2g}{of}"))
    runs_it = [entry for entry in imported.support if entry.supported]
    for entry in runs_it or imported.support:
        runs = "runs it" if entry.supported else "; ".join(entry.reasons)
        rows.append((entry.target, f"{entry.runtime} {entry.runtime_version}: {runs}"))
    return rows
