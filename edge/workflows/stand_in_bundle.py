"""A user's bundle made again for what stands in for its target: the same model, runtime, samples."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from packaging.version import Version

from edge.adapters.files import host_error
from edge.adapters.platform_tags import pip_options
from edge.adapters.registry import pip_versions
from edge.device.bundle import Bundle, open_bundle
from edge.errors import BundleError, UsageError
from edge.reasoning.bundling import Comparison
from edge.records.manifest import MODEL_FOLDER, Manifest
from edge.records.platform import platform_of
from edge.records.target import Target
from edge.workflows.bundle_samples import MadeSamples
from edge.workflows.models import ModelChoice
from edge.workflows.package import package_model

Progress = Callable[[float], None]

_NAME = "stand-in.pyz"
_PARTS = "parts"


def stand_in_bundle(
    bundle: Path,
    manifest: Manifest,
    target: Target,
    folder: Path,
    progress: Progress = lambda _fraction: None,
) -> Path:
    """Write a bundle's model for a stand-in of its target into `folder` and return its path.

    Model, samples, expected outputs, tolerance, runtime and version are those of the bundle. Where
    the runtime's version has no wheel for the stand-in the nearest is taken; `runtime_difference`
    says so.

    Raises:
        BundleError: the bundle is damaged, or there is no such runtime for the stand-in.
        ConfigError, ModelError, RuntimeFailure: as package_model.
        HostError: no network, or `folder` cannot be written.
    """
    parts = folder / _PARTS
    with _opened(bundle) as opened:
        try:
            _take_parts(opened, manifest, parts)
        except OSError as error:
            raise host_error(error, parts) from error
    output = folder / _NAME

    def made(version: str) -> None:
        choice = ModelChoice(path=parts / manifest.model.path)
        samples = _samples(manifest, parts)
        package_model(
            choice,
            target,
            output=output,
            threads=manifest.session.threads,
            shapes=_shapes(manifest),
            runtime=manifest.runtime,
            runtime_version=version,
            sequence=manifest.sequence,
            samples=samples,
            progress=progress,
        )

    try:
        made(manifest.runtime_version)
    except BundleError as error:
        nearest = _nearest_version(manifest, target)
        if nearest is None or nearest == manifest.runtime_version:
            raise _not_made(error, bundle) from error
        made(nearest)
    except UsageError as error:
        raise _not_made(error, bundle) from error
    return output


def runtime_difference(stand_in: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return what is to be said of a stand-in bundle's runtime; nothing where it is the same.

    Raises:
        BundleError: the stand-in bundle is damaged.
    """
    with _opened(stand_in) as opened:
        made = opened.manifest
    if made.runtime_version == manifest.runtime_version:
        return ()
    runtime, version = made.runtime, manifest.runtime_version
    said = f"The runtime is {runtime} {made.runtime_version} and not {version}, which has no wheel"
    return (f"{said} for Python {made.python}.",)


@contextmanager
def _opened(path: Path) -> Iterator[Bundle]:
    with open_bundle(str(path)) as opened:
        yield opened


def _take_parts(opened: Bundle, manifest: Manifest, folder: Path) -> None:
    """Write the model, its external data and the samples as files, each as the manifest lists it."""
    for listed in manifest.files:
        if listed.path == manifest.samples.path or listed.path.startswith(MODEL_FOLDER):
            place = folder / listed.path
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as file:
                file.writelines(opened.blocks(listed))


def _samples(manifest: Manifest, parts: Path) -> MadeSamples:
    """Return the bundle's samples as packaging makes them."""
    told = manifest.samples
    return MadeSamples(
        path=parts / told.path,
        count=told.count,
        inputs=manifest.model.inputs,
        outputs=manifest.model.outputs,
        comparison=Comparison(compare=told.compare, atol=told.atol, rtol=told.rtol),
        reference=told.reference,
    )


def _shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """Return the sizes that the samples' inputs have; where none are free they are the model's."""
    return {
        spec.name: tuple(size for size in spec.shape or () if isinstance(size, int))
        for spec in manifest.model.inputs
    }


def _nearest_version(manifest: Manifest, target: Target) -> str | None:
    """Return the runtime's version with a wheel for the target that is nearest to the bundle's."""
    versions = pip_versions(manifest.runtime, pip_options(platform_of(target)))
    wanted = Version(manifest.runtime_version).release
    return min(
        versions,
        # The one just below is nearer than the one just above: it has no operators more.
        key=lambda version: (
            _distance(Version(version).release, wanted),
            Version(version).release > wanted,
        ),
        default=None,
    )


def _distance(version: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    length = max(len(version), len(wanted))
    pairs = zip(_padded(version, length), _padded(wanted, length), strict=True)
    return tuple(abs(one - other) for one, other in pairs)


def _padded(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return numbers + (0,) * (length - len(numbers))


def _not_made(error: BundleError | UsageError, bundle: Path) -> BundleError:
    """Return the error that says that the stand-in cannot be made, and why."""
    what = f"no bundle of it can be made for what stands in for its target: {error}"
    hint = error.hint or "package the model for another target"
    return BundleError(what, where=bundle, hint=hint)
