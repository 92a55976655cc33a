"""Measure a model, or run the probe of a bundle, on this machine."""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge.adapters.files import host_error
from edge.adapters.results import save_result
from edge.backends import backend_for_format
from edge.device.facts import default_threads, read_host_facts
from edge.device.parent import Progress, memory_limit, run_program
from edge.device.probe import ProbeOptions, probe
from edge.errors import RuntimeFailure, UsageError
from edge.records.codec import from_dict
from edge.records.manifest import MANIFEST_PATH
from edge.records.measurement import Measurement, ModelRef, SessionConfig
from edge.records.model import ModelInfo
from edge.workflows.inputs import samples_from
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice

_NO_SHAPES: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType({})
# Verifying and unpacking a bundle comes before its measurement.
_UNPACK_S: Final = 900.0


def is_bundle(path: Path) -> bool:
    """Whether a file is one that `package` wrote: a zip with a manifest, whatever its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST_PATH in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def probe_model(
    path: Path,
    info: ModelInfo,
    options: ProbeOptions,
    *,
    threads: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
    inputs: Path | None = None,
    target: str | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Measure a model file with the backend of its format.

    `info` is what inspect_model says of it with the same `shapes`; `threads` None takes the cores
    that this process may use; `inputs` is an .npz.

    Raises:
        UsageError: `shapes` or `inputs` do not fit it.
        RuntimeFailure: the runtime or the model failed.
    """
    wanted = default_threads(read_host_facts()) if threads is None else threads
    config = SessionConfig(backend_for_format(info.format).name, wanted)
    memory_bytes = memory_limit(info.file_bytes, wanted) + 2 * (info.peak_activation_bytes or 0)
    return probe(
        str(path),
        config,
        options,
        model=ModelRef(info.name, info.format, info.sha256, info.file_bytes),
        target=target,
        shapes=shapes,
        inputs=None if inputs is None else str(inputs),
        memory_bytes=memory_bytes,
        progress=progress,
    )


def probe_bundle(
    path: Path,
    options: ProbeOptions,
    *,
    threads: int | None = None,
    target: str | None = None,
) -> Measurement:
    """Run the probe that a bundle has inside, as the device would.

    Raises:
        BundleError: the bundle is damaged, or does not fit this machine.
        RuntimeFailure: the runtime or the model failed.
    """
    arguments = [str(path), "probe", "--json", "--min-time", f"{options.min_s:g}"]
    arguments += ["--max-time", f"{options.longest_s:g}", "--min-queries", str(options.min_queries)]
    arguments += ["--warm-up", str(options.warmup_queries)]
    if threads is not None:
        arguments += ["--threads", str(threads)]
    printed = run_program(arguments, wall_s=_UNPACK_S + 2 * options.longest_s, what=path.name)
    try:
        answer = json.loads(printed)
    except ValueError as error:
        raise RuntimeFailure("its probe printed no JSON", where=path) from error
    measurement = from_dict(Measurement, answer, path)
    return measurement if target is None else replace(measurement, target=target)


def probe_anything(
    choice: ModelChoice,
    options: ProbeOptions,
    *,
    threads: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
    inputs: Path | None = None,
    target: str | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Measure a model file or a bundle, by what the file is.

    `inputs` is an .npz, a picture or a folder of pictures. Free dimensions are as `shapes` says,
    else as the model's card does.

    Raises:
        UsageError: shapes or inputs for a bundle, which has its own; or they do not fit the model.
        EdgekitError: as probe_model and probe_bundle.
    """
    if is_bundle(choice.path):
        if shapes or inputs is not None:
            raise UsageError("a bundle has its own inputs: leave out --shape and --inputs")
        return probe_bundle(choice.path, options, threads=threads, target=target)
    sizes = {**choice.shapes, **shapes}
    info = inspect_model(choice.path, sizes)
    with samples_from(inputs, choice, info) as samples:
        return probe_model(
            choice.path,
            info,
            options,
            threads=threads,
            shapes=sizes,
            inputs=samples,
            target=target,
            progress=progress,
        )


@contextmanager
def results_folder(folder: Path) -> Iterator[None]:
    """Make the results folder before anything is measured, so that no result is lost.

    If the block fails, a folder that was made for it and is still empty goes again.

    Raises:
        HostError: it cannot be made.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise host_error(error, folder) from error
    try:
        yield
    except BaseException:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise


def save_measurement(measurement: Measurement, folder: Path) -> Path:
    """Write the measurement, raw latencies and all, as NAME[-TARGET]-BACKEND-tN.measurement.json.

    Raises:
        HostError: it cannot be written.
    """
    # A model's name is its maker's; a file's name must be harmless.
    name = re.sub(r"[^\w.-]+", "_", measurement.model.name).strip(".")[:100] or "model"
    on = "" if measurement.target is None else f"-{measurement.target}"
    stem = f"{name}{on}-{measurement.config.backend}-t{measurement.config.threads}"
    return save_result(measurement, folder, stem)
