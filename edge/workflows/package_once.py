"""The command package: nothing to do where it was done before, else a bundle or an image of it."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from edge.adapters.bundle import WrittenBundle
from edge.adapters.files import host_error
from edge.adapters.signing import Signer, choose_sequence
from edge.errors import UsageError
from edge.records.build import SourceFile
from edge.workflows.builds import build_key, read_sources, remember, unchanged
from edge.workflows.evidence import evidence_path

if TYPE_CHECKING:
    from edge.workflows.models import ModelChoice

Progress = Callable[[float], None]
BundleFormat = Literal["pyz", "oci"]

_IMAGE_SUFFIX: Final = ".oci.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRequest:
    """What `edgekit package` was asked for; the fields are those of package_model and write_image."""

    model: str | None
    target: str
    output: Path | None
    format: BundleFormat
    base: Path | None
    threads: int | None
    shapes: Mapping[str, tuple[int, ...]]
    inputs: Path | None
    runtime: str | None
    runtime_version: str | None
    sequence: int | None
    signer: Signer | None

    def __post_init__(self) -> None:
        """Refuse options that say nothing for the format.

        Raises:
            UsageError: with the option.
        """
        if self.base is not None and self.format != "oci":
            raise UsageError("--base is the root of an image", hint="add --format oci")
        if self.signer is not None and self.format == "oci":
            hint = "sign the image with your registry's tool"
            raise UsageError("--sign signs bundles, not images", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """What was written, or what lay there already; an image's bundle has the image's path."""

    bundle: WrittenBundle
    kubernetes: Path | None
    unchanged: bool


def package_once(request: PackageRequest, progress: Progress) -> Packaged:
    """Write what is asked for, unless the same command wrote it and nothing changed since.

    Raises:
        EdgekitError: as package_model and write_image.
    """
    key = build_key(request.model, request.target, inputs=request.inputs, options=_options(request))
    done = unchanged(key, request.output)
    if done is not None:
        kubernetes = _kubernetes_beside(done.path) if request.format == "oci" else None
        return Packaged(bundle=done, kubernetes=kubernetes, unchanged=True)
    # Imported here, because what is done already needs none of it.
    from edge.workflows.models import resolve_model

    choice = resolve_model(request.model, progress)
    sources = read_sources(_read_files(choice, request))
    if request.format == "oci":
        return _image(key, request, choice, sources, progress)
    written = _bundle(request, choice, request.output, progress)
    remember(key, written, _sources(choice, written, sources))
    return Packaged(bundle=written, kubernetes=None, unchanged=False)


def _options(request: PackageRequest) -> dict[str, object]:
    epoch = choose_sequence(None, signed=False)
    return {
        "format": request.format,
        "base": None if request.base is None else str(request.base.absolute()),
        "threads": request.threads,
        "shapes": {name: list(shape) for name, shape in request.shapes.items()},
        "runtime": request.runtime,
        "runtime_version": request.runtime_version,
        "sequence": request.sequence,
        # The time of signing is no reason to sign again; one that was set from outside is.
        "epoch": epoch,
        "key": None if request.signer is None else request.signer.key_id,
    }


def _read_files(choice: "ModelChoice", request: PackageRequest) -> list[Path]:
    """Return the files that decide over the bytes, as far as they are known before."""
    files = [choice.path]
    if choice.samples is not None:
        files.append(choice.samples)
    if choice.evidence is not None:
        files.append(evidence_path(choice.path))
    if request.base is not None:
        # A layout's index pins everything in its folder by digest.
        files.append(request.base if request.base.is_file() else request.base / "index.json")
    return files


def _sources(
    choice: "ModelChoice", written: WrittenBundle, known: tuple[SourceFile, ...]
) -> tuple[SourceFile, ...]:
    """Add the model's external data: its digest is the one that went into the bundle."""
    folder = choice.path.parent
    model = written.manifest.model.path
    prefix = model.rpartition("/")[0] + "/"
    external = [
        SourceFile(path=str((folder / f.path[len(prefix) :]).absolute()), sha256=f.sha256)
        for f in written.manifest.files
        if f.path.startswith(prefix) and f.path != model
    ]
    return (*known, *external)


def _bundle(
    request: PackageRequest, choice: "ModelChoice", output: Path | None, progress: Progress
) -> WrittenBundle:
    from edge.workflows.package import package_model

    return package_model(
        choice,
        request.target,
        output=output,
        threads=request.threads,
        shapes=request.shapes,
        inputs=request.inputs,
        runtime=request.runtime,
        runtime_version=request.runtime_version,
        sequence=choose_sequence(request.sequence, signed=request.signer is not None),
        signer=request.signer,
        progress=progress,
    )


def _image(
    key: str,
    request: PackageRequest,
    choice: "ModelChoice",
    sources: tuple[SourceFile, ...],
    progress: Progress,
) -> Packaged:
    from edge.workflows.image import require_image_target, write_image

    target = require_image_target(request.target)
    place = Path() if request.output is None else request.output.parent
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".edgekit-", dir=place)
    except OSError as error:
        raise host_error(error, place) from error
    with scratch as folder:
        bundle = _bundle(request, choice, Path(folder) / "bundle.pyz", lambda f: progress(f / 2))
        output = request.output or Path(bundle.manifest.name + _IMAGE_SUFFIX)
        image = write_image(
            bundle.path, target, output, base=request.base, progress=lambda f: progress(0.5 + f / 2)
        )
    written = replace(bundle, path=output, size_bytes=output.stat().st_size)
    remember(key, written, _sources(choice, written, sources), [image.kubernetes])
    return Packaged(bundle=written, kubernetes=image.kubernetes, unchanged=False)


def _kubernetes_beside(image: Path) -> Path:
    from edge.workflows.image import kubernetes_path

    return kubernetes_path(image)
