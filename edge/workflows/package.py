"""From a model and a target to a bundle: every reason to fail on the device fails here first."""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import edge
from edge.adapters.bundle import Content, WrittenBundle, write_bundle
from edge.adapters.files import host_error
from edge.adapters.slice import licence_text, main_file, slice_files
from edge.adapters.targets import load_target, load_targets
from edge.adapters.wheelhouse import audit_wheels, wheels_for
from edge.backends import backend_names, load_backend
from edge.errors import BundleError
from edge.reasoning.bundling import choose_runtime, require_memory, require_processor
from edge.reasoning.support import support_by
from edge.records.manifest import (
    MODEL_FOLDER,
    BundleAccuracy,
    BundleFile,
    BundleModel,
    BundleSamples,
    BundleWheel,
    Manifest,
)
from edge.records.measurement import SessionConfig
from edge.records.model import Format, ModelInfo
from edge.records.platform import Platform, platform_of
from edge.records.target import TargetRuntime, WheelPin
from edge.workflows.bundle_samples import MadeSamples, make_bundle_samples
from edge.workflows.inputs import samples_from
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice
from edge.workflows.this_host import HOST, this_platform

Progress = Callable[[float], None]

_NO_SHAPES: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType({})
_SAMPLES_PATH: Final = "samples.npz"
_ODD: Final = re.compile(r"[^A-Za-z0-9_.+-]+")


def package_model(
    choice: ModelChoice,
    target: str,
    *,
    output: Path | None = None,
    threads: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
    inputs: Path | None = None,
    runtime: str | None = None,
    progress: Progress = lambda _fraction: None,
) -> WrittenBundle:
    """Write the bundle of a model for a target, or for this machine as the target `host`.

    `output` is by default MODEL-TARGET.pyz in the current folder. `inputs` is an .npz with sample
    inputs, a picture or a folder of pictures; without it the card's samples are taken, and without
    a card random ones. Free dimensions are as `shapes` says, else as the card does.

    Raises:
        BundleError: it would not run on the target, with the reason and a remedy.
        ConfigError: there is no such target.
        ModelError: the model cannot be read.
        UsageError: options do not fit the model.
        RuntimeFailure: the model does not run on this machine.
        HostError: no network, no disk space, or `output` cannot be written.
    """
    platform = this_platform() if target == HOST else platform_of(load_target(target))
    if platform.refused is not None:
        raise BundleError(platform.refused, where=platform.name)
    name = f"{_plain(choice.path.stem)}-{platform.name}"
    path = Path(f"{name}.pyz") if output is None else output
    _require_writable(path)
    require_processor(platform)
    sizes = {**choice.shapes, **shapes}
    info = inspect_model(choice.path, sizes)
    chosen = _runtime(platform, info.format, runtime)
    _require_support(info, platform, chosen)
    require_memory(platform, info, chosen)
    wheels = wheels_for(platform, chosen)
    needs = audit_wheels(wheels, platform)
    with _scratch_folder() as scratch, samples_from(inputs, choice, info) as given:
        samples = make_bundle_samples(
            choice.path,
            info,
            chosen.backend,
            shapes=sizes,
            inputs=given or choice.samples,
            out=scratch / _SAMPLES_PATH,
            progress=progress,
        )
        members: dict[str, Content] = {
            "LICENSE": licence_text(),
            "__main__.py": main_file(),
            _SAMPLES_PATH: samples.path,
            **slice_files(),
            **_model_files(choice.path, info),
            **{f"wheels/{pin.filename}": file for pin, file in wheels},
        }

        def manifest(files: tuple[BundleFile, ...]) -> Manifest:
            return Manifest(
                name=name,
                sequence=0,
                edgekit_version=edge.__version__,
                target=platform.name,
                architecture=platform.architecture,
                python=platform.python,
                glibc=needs.glibc or platform.glibc,
                libstdcxx=needs.libstdcxx,
                cpu_features=platform.required_features,
                apt_packages=chosen.apt_packages,
                runtime=chosen.distribution,
                runtime_version=chosen.version,
                session=SessionConfig(chosen.backend, threads or platform.cores),
                model=_bundle_model(choice, info, samples),
                wheels=tuple(_bundle_wheel(pin) for pin, _ in wheels),
                samples=_bundle_samples(samples),
                files=files,
            )

        return write_bundle(path, members, manifest, progress)


def _plain(name: str) -> str:
    """Return a name without what a bundle's file names cannot have."""
    return _ODD.sub("-", name).strip("-.+") or "model"


def _require_writable(path: Path) -> None:
    """Find out before any work whether the bundle can be written there.

    Raises:
        HostError: it cannot.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "is a directory")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise host_error(error, path) from error


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    try:
        scratch = tempfile.TemporaryDirectory(prefix="edgekit-")
    except OSError as error:
        raise host_error(error, tempfile.gettempdir()) from error
    with scratch as folder:
        yield Path(folder)


def _runtime(platform: Platform, model_format: Format, wanted: str | None) -> TargetRuntime:
    formats = {name: load_backend(name).format for name in backend_names()}
    elsewhere = [
        target.name
        for target in load_targets()
        if target.kind != "cloud-gpu"
        and any(formats.get(r.backend) == model_format for r in target.runtimes)
    ]
    return choose_runtime(platform, model_format, formats, wanted, elsewhere)


def _require_support(info: ModelInfo, platform: Platform, runtime: TargetRuntime) -> None:
    """Refuse a model whose operators the runtime does not have.

    Raises:
        BundleError: with every reason.
    """
    support = support_by(info, platform.name, runtime)
    if not support.supported:
        name = f"{runtime.distribution} {runtime.version}"
        what = f"{name} cannot run the model: {'; '.join(support.reasons)}"
        hint = "export the model for an older runtime, or take a target with a newer one"
        raise BundleError(what, where=platform.name, hint=hint)


def _model_files(path: Path, info: ModelInfo) -> dict[str, Content]:
    """Return the model and its external data, which the model names as they are."""
    folder = path.parent
    return {
        MODEL_FOLDER + _plain(path.name): path,
        **{MODEL_FOLDER + name: folder / name for name in info.external_files},
    }


def _bundle_model(choice: ModelChoice, info: ModelInfo, samples: MadeSamples) -> BundleModel:
    card = choice.card
    source = None
    if card is not None:
        parts = (card.source.registry, card.source.package, card.source.version)
        source = " ".join(part for part in parts if part is not None)
    return BundleModel(
        name=choice.path.name,
        format=info.format,
        precision=info.precision,
        path=MODEL_FOLDER + _plain(choice.path.name),
        sha256=info.sha256,
        size_bytes=info.file_bytes,
        peak_activation_bytes=info.peak_activation_bytes,
        inputs=samples.inputs,
        outputs=samples.outputs,
        licence=None if card is None else card.licence,
        source=source,
        accuracy=_accuracy(choice),
    )


def _accuracy(choice: ModelChoice) -> BundleAccuracy | None:
    told = None if choice.card is None else choice.card.accuracy
    if told is None or choice.file is None or choice.file.accuracy is None:
        return None
    return BundleAccuracy(told.metric, choice.file.accuracy, told.dataset, told.measured_with)


def _bundle_wheel(pin: WheelPin) -> BundleWheel:
    return BundleWheel(
        name=pin.name,
        version=pin.version,
        filename=pin.filename,
        sha256=pin.sha256,
        path=f"wheels/{pin.filename}",
        unpacked_bytes=pin.size_bytes,
        left_out_files=0,
        left_out_bytes=0,
    )


def _bundle_samples(samples: MadeSamples) -> BundleSamples:
    rule = samples.comparison
    return BundleSamples(
        path=_SAMPLES_PATH,
        count=samples.count,
        compare=rule.compare,
        atol=rule.atol,
        rtol=rule.rtol,
        reference=samples.reference,
    )
