"""edgekit package: write the one file that runs a model on a target."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.output import json_option, note, print_json, print_rich, progress
from edge.cli.shapes import shape_option

if TYPE_CHECKING:
    from rich.table import Table

    from edge.adapters.bundle import WrittenBundle
    from edge.cli.shapes import Shapes


@click.command()
@click.argument("model", metavar="[MODEL]", required=False)
@click.option("--target", required=True, metavar="NAME", help="A target, or host: this machine.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The bundle.  [default: MODEL-TARGET.pyz in this folder]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads inside one inference.  [default: the target's cores]",
)
@shape_option
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Sample inputs: an .npz, a picture, or a folder of pictures.",
)
@click.option("--runtime", metavar="NAME", help="Which of the target's runtimes to take.")
@json_option
def command(
    *,
    model: str | None,
    target: str,
    output: Path | None,
    threads: int | None,
    shape: "Shapes",
    inputs: Path | None,
    runtime: str | None,
    as_json: bool,
) -> None:
    """Write a bundle: one file that the target's own Python runs, offline.

    MODEL is a file or a name of `edgekit models list`; without it, the default model is packaged.

    \b
    Example:
      edgekit package --target rpi
      edgekit package model.onnx --target jetson -o model.pyz --shape input=1,3,224,224
    """
    from edge.workflows.models import resolve_model
    from edge.workflows.package import package_model

    with progress(f"packaging for {target}") as told:
        bundle = package_model(
            resolve_model(model, told),
            target,
            output=output,
            threads=threads,
            shapes=shape,
            inputs=inputs,
            runtime=runtime,
            progress=told,
        )
    if as_json:
        print_json({"path": str(bundle.path), **_facts(bundle)})
    else:
        print_rich(_table(bundle))
    note(f"on the target: {_python(bundle)} {bundle.path.name} verify|info|run|probe")


def _python(bundle: "WrittenBundle") -> str:
    """Return the command that is the bundle's Python there: its own, or one from its archive."""
    exact = f"python{bundle.manifest.python}"
    return exact if exact in bundle.manifest.apt_packages else "python3"


def _facts(bundle: "WrittenBundle") -> dict[str, object]:
    from edge.records.codec import to_dict

    return {
        "sha256": bundle.digest,
        "size_bytes": bundle.size_bytes,
        "manifest": to_dict(bundle.manifest),
    }


def _table(bundle: "WrittenBundle") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from edge.units import format_bytes

    manifest = bundle.manifest
    table = Table(box=None, pad_edge=False, show_header=False)
    needs = f"{manifest.architecture}, Python {manifest.python}, glibc {manifest.glibc} or newer"
    for key, value in (
        ("bundle", str(bundle.path)),
        ("size", format_bytes(bundle.size_bytes)),
        ("digest", bundle.digest),
        ("model", f"{manifest.model.name}, {manifest.model.format}, {manifest.model.precision}"),
        ("target", f"{manifest.target}: {needs}"),
        ("runtime", f"{manifest.runtime} {manifest.runtime_version}"),
        ("wheels", ", ".join(f"{wheel.name} {wheel.version}" for wheel in manifest.wheels)),
        ("samples", f"{manifest.samples.count}, outputs of {manifest.samples.reference}"),
        *(("install", f"sudo apt-get install {package}") for package in manifest.apt_packages),
    ):
        table.add_row(key, escape(value))
    return table
