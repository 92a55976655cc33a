"""From a model and a target to a bundle: every reason to fail on the device fails here first."""

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge.adapters.bundle import WrittenBundle, write_bundle
from edge.adapters.files import host_error
from edge.adapters.signing import Signer
from edge.adapters.targets import load_target, load_targets
from edge.adapters.wheelhouse import cached_wheels, wheels_for
from edge.backends import backend_names, load_backend
from edge.errors import BundleError
from edge.reasoning.bundling import (
    choose_runtime,
    require_memory,
    require_processor,
    require_sound_runtime,
    runtime_at,
)
from edge.reasoning.support import support_by, support_remedy
from edge.records.model import Format, ModelInfo
from edge.records.platform import Platform, platform_of
from edge.records.target import Target, TargetRuntime
from edge.workflows.bundle_content import SAMPLES_PATH, BundleContent, spelled_plainly
from edge.workflows.bundle_samples import MadeSamples, make_bundle_samples
from edge.workflows.inputs import samples_from
from edge.workflows.inspect import inspect_model, model_format
from edge.workflows.models import ModelChoice
from edge.workflows.shares import Shares
from edge.workflows.this_host import HOST, this_platform
from edge.workflows.wheel_work import work_on_wheels

Progress = Callable[[float], None]

_NO_SHAPES: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType({})
# How much of the whole each part is, when nothing is cached.
_SLIMMING, _SAMPLES, _WRITING = 0.7, 0.2, 0.1
# Syntax trees are read in one thread at a time: edge/workflows/slim.py says why.
_ONE_AT_A_TIME: Final = threading.Lock()


def package_model(
    choice: ModelChoice,
    target: str | Target,
    *,
    output: Path | None = None,
    threads: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
    inputs: Path | None = None,
    runtime: str | None = None,
    runtime_version: str | None = None,
    sequence: int = 0,
    signer: Signer | None = None,
    samples: MadeSamples | None = None,
    progress: Progress = lambda _fraction: None,
) -> WrittenBundle:
    """Write the bundle of a model for a target, or for this machine as the target `host`.

    `output` is by default MODEL-TARGET.pyz in the current folder. `inputs` is an .npz with sample
    inputs, a picture or a folder of pictures; without it the card's samples are taken, and without
    a card random ones. Free dimensions are as `shapes` says, else as the card does. `runtime` is a
    backend, a distribution or "auto"; `runtime_version` another one than the target pins. With
    `samples` the model is not run here, and `inputs` say nothing. One thread packages at a time.

    Raises:
        BundleError: it would not run on the target, with the reason and a remedy.
        ConfigError: there is no such target.
        ModelError: the model cannot be read.
        UsageError: options do not fit the model.
        RuntimeFailure: the model does not run on this machine.
        HostError: no network, no disk space, or `output` cannot be written.
    """
    platform, system = target_platform(target)
    if platform.refused is not None:
        raise BundleError(platform.refused, where=platform.name)
    name = f"{spelled_plainly(choice.path.stem)}-{platform.name}"
    path = Path(f"{name}.pyz") if output is None else output
    _require_writable(path)
    require_processor(platform)
    sizes = {**choice.shapes, **shapes}
    chosen = runtime_for(platform, model_format(choice.path), runtime, runtime_version)
    shares = Shares(progress)
    with (
        _ONE_AT_A_TIME,
        work_on_wheels(platform, chosen, shares, _SLIMMING) as begin,
        _scratch_folder() as scratch,
    ):
        # What needs no network begins before it is known whether the model fits.
        cached = cached_wheels(platform, chosen)
        work = None if cached is None else begin(cached)
        info = inspect_model(choice.path, sizes)
        _require_support(info, platform, chosen)
        require_memory(platform, info, chosen)
        work = work or begin(wheels_for(platform, chosen))
        sampling = shares.of(_SAMPLES)
        if samples is None:
            with samples_from(inputs, choice, info) as given:
                samples = make_bundle_samples(
                    choice.path,
                    info,
                    chosen.backend,
                    shapes=sizes,
                    inputs=given or choice.samples,
                    out=scratch / SAMPLES_PATH,
                    progress=sampling,
                )
        sampling(1.0)
        content = BundleContent(
            name=name,
            sequence=sequence,
            platform=platform,
            system=system,
            runtime=chosen,
            needs=work.needs.result(),
            threads=threads or platform.cores,
            choice=choice,
            info=info,
            whole_wheels=work.whole,
            samples=samples,
            own_inputs=inputs is not None,
        )
        # Not before: both read syntax trees, which Python 3.11 cannot do in two threads at once.
        slim = work.slim.result()
        papers = content.papers()
        return write_bundle(
            path,
            content.members(papers, slim),
            lambda files: content.manifest(files, slim),
            shares.of(_WRITING),
            signer,
        )


def target_platform(target: str | Target) -> tuple[Platform, str | None]:
    """Return a target as a platform, with the name of its operating system."""
    if target == HOST:
        return this_platform(), None
    loaded = target if isinstance(target, Target) else load_target(target)
    return platform_of(loaded), loaded.os.name


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


def runtime_for(
    platform: Platform, model_format: Format, wanted: str | None, version: str | None
) -> TargetRuntime:
    """Return the runtime of a platform for models of a format, as package_model takes it.

    Raises:
        BundleError: it has none, or one that is known to fail there.
        UsageError: the one that is wanted does not exist, or runs another format.
    """
    formats = {name: load_backend(name).format for name in backend_names()}
    elsewhere: list[str] = []
    if all(formats.get(runtime.backend) != model_format for runtime in platform.runtimes):
        # Only for the remedy: to read all targets takes a sixth of a second.
        elsewhere = [
            target.name
            for target in load_targets()
            if target.kind != "cloud-gpu"
            and any(formats.get(r.backend) == model_format for r in target.runtimes)
        ]
    chosen = choose_runtime(platform, model_format, formats, wanted, elsewhere, version=version)
    if version is not None:
        chosen = runtime_at(chosen, version)
    require_sound_runtime(platform, chosen)
    return chosen


def _require_support(info: ModelInfo, platform: Platform, runtime: TargetRuntime) -> None:
    """Refuse a model whose operators the runtime does not have.

    Raises:
        BundleError: with every reason.
    """
    support = support_by(info, platform.name, runtime)
    if not support.supported:
        name = f"{runtime.distribution} {runtime.version}"
        what = f"{name} cannot run the model: {'; '.join(support.reasons)}"
        otherwise = "export the model for an older runtime, or take a target with a newer one"
        hint = support_remedy(info, runtime, load_targets()) or otherwise
        raise BundleError(what, where=platform.name, hint=hint)
