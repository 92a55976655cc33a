"""edgekit package: write the one file that runs a model on a target."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.output import json_option, note, print_json, print_rich, progress
from edge.cli.shapes import shape_option

if TYPE_CHECKING:
    from rich.table import Table

    from edge.adapters.bundle import WrittenBundle
    from edge.adapters.signing import Signer
    from edge.cli.shapes import Shapes
    from edge.workflows.package_once import BundleFormat, Packaged


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
@click.option(
    "--runtime",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="onnxruntime, tflite, a distribution such as tflite-runtime, or auto.",
)
@click.option(
    "--runtime-version", metavar="V", help="Another version than the target's file names."
)
@click.option(
    "--sign",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Sign it with this private key of `edgekit keys generate`.",
)
@click.option(
    "--sequence",
    type=click.IntRange(min=0),
    metavar="N",
    help="Devices refuse a lower one than they have.  [default: 0; signed: the time]",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["pyz", "oci"]),
    default="pyz",
    show_default=True,
    help="A bundle, or for cloud CPUs a container image with its Kubernetes manifest.",
)
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    metavar="IMAGE",
    help="The image's root: an OCI layout, folder or tar.  [default: Debian's packages]",
)
@json_option
def command(
    *,
    model: str | None,
    target: str,
    output: Path | None,
    threads: int | None,
    shape: "Shapes",
    inputs: Path | None,
    runtime: str,
    runtime_version: str | None,
    sign: Path | None,
    sequence: int | None,
    output_format: "BundleFormat",
    base: Path | None,
    as_json: bool,
) -> None:
    """Write a bundle: one file that the target's own Python runs, offline.

    MODEL is a file or a name of `edgekit models list`; without it, the default model is packaged.

    \b
    Example:
      edgekit package --target rpi
      edgekit package model.onnx --target jetson -o model.pyz --shape input=1,3,224,224
      edgekit package --target cloud-cpu --format oci
    """
    from edge.workflows.package_once import PackageRequest, package_once

    request = PackageRequest(
        model=model,
        target=target,
        output=output,
        format=output_format,
        base=base,
        threads=threads,
        shapes=shape,
        inputs=inputs,
        runtime=runtime,
        runtime_version=runtime_version,
        sequence=sequence,
        signer=None if sign is None else _signer(sign),
    )
    with progress(f"packaging for {target}") as told:
        packaged = package_once(request, told)
    if as_json:
        print_json(_facts(packaged))
    else:
        print_rich(_table(packaged))
    if packaged.unchanged:
        note("unchanged since it was written")
    if packaged.kubernetes is None:
        bundle = packaged.bundle
        note(f"on the target: {_python(bundle)} {bundle.path.name} verify|info|run|probe|install")


def _signer(path: Path) -> "Signer":
    from edge.adapters.signing import load_signer
    from edge.cli.keys import password_prompt

    signer = load_signer(path, password_prompt())
    if signer.warning is not None:
        note(f"warning: {signer.warning}")
    return signer


def _python(bundle: "WrittenBundle") -> str:
    """Return the command that is the bundle's Python there: its own, or one from its archive."""
    exact = f"python{bundle.manifest.python}"
    return exact if exact in bundle.manifest.apt_packages else "python3"


def _facts(packaged: "Packaged") -> dict[str, object]:
    from edge.records.codec import to_dict

    bundle, kubernetes = packaged.bundle, packaged.kubernetes
    return {
        "path": str(bundle.path),
        "kubernetes": None if kubernetes is None else str(kubernetes),
        "unchanged": packaged.unchanged,
        "sha256": bundle.digest,
        "size_bytes": bundle.size_bytes,
        "key_id": bundle.key_id,
        "manifest": to_dict(bundle.manifest),
    }


def _table(packaged: "Packaged") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from edge.units import format_bytes

    bundle, kubernetes = packaged.bundle, packaged.kubernetes
    manifest = bundle.manifest
    table = Table(box=None, pad_edge=False, show_header=False)
    needs = f"{manifest.architecture}, Python {manifest.python}, glibc {manifest.glibc} or newer"
    left_out = sum(wheel.left_out_bytes for wheel in manifest.wheels)
    for key, value in (
        ("bundle" if kubernetes is None else "image", str(bundle.path)),
        *(() if kubernetes is None else (("kubernetes", str(kubernetes)),)),
        ("size", format_bytes(bundle.size_bytes)),
        ("digest", bundle.digest),
        *(() if bundle.key_id is None else (("signed by", bundle.key_id),)),
        ("sequence", str(manifest.sequence)),
        ("model", f"{manifest.model.name}, {manifest.model.format}, {manifest.model.precision}"),
        ("licence", manifest.model.licence or "unknown"),
        ("target", f"{manifest.target}: {needs}"),
        ("runtime", f"{manifest.runtime} {manifest.runtime_version}"),
        ("wheels", ", ".join(f"{wheel.name} {wheel.version}" for wheel in manifest.wheels)),
        ("left out", f"{format_bytes(left_out)} that nothing can use at run time"),
        ("samples", f"{manifest.samples.count}, outputs of {manifest.samples.reference}"),
        *(("install", f"sudo apt-get install {package}") for package in manifest.apt_packages),
    ):
        table.add_row(key, escape(value))
    return table
