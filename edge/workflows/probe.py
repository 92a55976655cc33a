"""Measure a model, or run the probe of a bundle, on this machine."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from edge.adapters.files import host_error
from edge.adapters.results import save_result
from edge.backends import backend_for_format
from edge.device.facts import default_threads, free_bytes, read_host_facts
from edge.device.parent import Progress
from edge.device.probe import probe
from edge.device.remembered import remembered, search_identity
from edge.device.searching import batch_curve, highest_load, measure_batched, offline_scenario
from edge.device.sources import PICTURES
from edge.records.measurement import Measurement, ModelRef, SessionConfig
from edge.records.model import ModelInfo
from edge.records.scenario import Scenario
from edge.records.search import BatchCurve, LoadSearch
from edge.workflows.allowance import allowed_bytes
from edge.workflows.inputs import measure_stages, samples_from, stage_request
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice
from edge.workflows.probe_bundle import bundle_arguments, is_bundle, run_bundle
from edge.workflows.probe_request import ProbeRequest

Tell = Callable[[str], None]
# A search is as many measurements; so many it never needs.
_MOST_RUNS: Final = 40


def probe_anything(
    choice: ModelChoice,
    request: ProbeRequest,
    *,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Measurement:
    """Measure a model file or a bundle, by what the file is.

    Free dimensions are as the request's shapes say, else as the model's card does. `tell` is told
    what is being measured where that is several things.

    Raises:
        UsageError: shapes or inputs do not fit.
        BundleError: a bundle is damaged, or does not fit this machine.
        RuntimeFailure: the runtime or the model failed.
    """
    if is_bundle(choice.path):
        longest_s = 3 * _longest_s(request)
        if request.scenario is None:
            longest_s *= _MOST_RUNS
        found = run_bundle(choice.path, Measurement, bundle_arguments(request), longest_s=longest_s)
        return found if request.target is None else replace(found, target=request.target)
    with _measured(choice, request, progress) as (info, measure):
        threads = _threads(request)
        if request.inputs is not None:
            # What is wrong with it is said before anything is measured.
            stage_request(request.inputs, choice, info, **_stage_options(request, choice, threads))
        scenario = request.scenario
        if scenario is None:
            scenario = offline_scenario(
                batch_curve(measure, most_bytes=free_bytes(), progress=tell)
            )
        measurement = measure_batched(measure, scenario)
        if request.inputs is None:
            return measurement
        stages, frames = measure_stages(
            choice, info, request.inputs, **_stage_options(request, choice, threads)
        )
    return replace(measurement, stages=stages, frames=frames)


def search_load(
    choice: ModelChoice,
    request: ProbeRequest,
    limit_ns: int,
    journal: Path,
    *,
    resume: bool = False,
    tell: Tell | None = None,
) -> LoadSearch:
    """Find the highest load at which the p99 keeps the limit.

    Each run is in `journal` before the next one starts; with `resume` those are not run again.

    Raises:
        EdgekitError: as probe_anything.
    """
    if is_bundle(choice.path):
        words = [*bundle_arguments(request), "--find-load", "--limit-ms", f"{limit_ns / 1e6}"]
        words += ["--resume"] if resume else []
        return run_bundle(
            choice.path, LoadSearch, words, longest_s=_MOST_RUNS * _longest_s(request)
        )
    with (
        _measured(choice, request, None) as (info, measure),
        _remembered(measure, info, request, journal, resume=resume) as asked,
    ):
        return highest_load(asked, limit_ns, progress=tell)


def search_batch(
    choice: ModelChoice,
    request: ProbeRequest,
    journal: Path,
    *,
    resume: bool = False,
    tell: Tell | None = None,
) -> BatchCurve:
    """Measure the throughput of batches of 1, 2, 4, 8 and so on; `journal` as in search_load.

    Raises:
        EdgekitError: as probe_anything.
    """
    if is_bundle(choice.path):
        words = [*bundle_arguments(request), "--batch-curve"]
        words += ["--resume"] if resume else []
        return run_bundle(
            choice.path, BatchCurve, words, longest_s=_MOST_RUNS * _longest_s(request)
        )
    with (
        _measured(choice, request, None) as (info, measure),
        _remembered(measure, info, request, journal, resume=resume) as asked,
    ):
        return batch_curve(asked, most_bytes=free_bytes(), progress=tell)


def _remembered(
    measure: Callable[[Scenario], Measurement],
    info: ModelInfo,
    request: ProbeRequest,
    journal: Path,
    *,
    resume: bool,
) -> AbstractContextManager[Callable[[Scenario], Measurement]]:
    told = {
        **asdict(request.options),
        "shapes": {name: list(shape) for name, shape in request.shapes.items()},
        "inputs": request.inputs,
    }
    identity = search_identity(info.sha256, _config(info, request), told, read_host_facts())
    return remembered(measure, str(journal), identity, resume=resume)


@contextmanager
def _measured(
    choice: ModelChoice, request: ProbeRequest, progress: Progress | None
) -> Iterator[tuple[ModelInfo, Callable[[Scenario], Measurement]]]:
    """Give what a model file is, and what measures it in a scenario."""
    sizes = {**choice.shapes, **request.shapes}
    info = inspect_model(choice.path, sizes)
    with samples_from(_samples(request), choice, info) as samples:

        def measure(scenario: Scenario) -> Measurement:
            inner = replace(request, scenario=scenario, shapes=sizes)
            return probe_model(choice.path, info, inner, samples=samples, progress=progress)

        yield info, measure


def probe_model(
    path: Path,
    info: ModelInfo,
    request: ProbeRequest,
    *,
    samples: Path | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Measure a model file in one scenario with the backend of its format.

    `info` is what inspect_model says of it with the same shapes; `samples` is an .npz.

    Raises:
        UsageError: shapes or samples do not fit it.
        RuntimeFailure: the runtime or the model failed.
    """
    config = _config(info, request)
    scenario = request.scenario or Scenario()
    batch = scenario.samples_per_query if scenario.batched else 1
    return probe(
        str(path),
        config,
        request.options,
        model=ModelRef(info.name, info.format, info.sha256, info.file_bytes),
        scenario=scenario,
        target=request.target,
        shapes=request.shapes,
        inputs=None if samples is None else str(samples),
        memory_bytes=allowed_bytes(info, config.threads, batch),
        progress=progress,
        energy=request.energy or request.meter is not None,
        meter=request.meter,
    )


def _config(info: ModelInfo, request: ProbeRequest) -> SessionConfig:
    return SessionConfig(
        backend_for_format(info.format).name,
        _threads(request),
        graph_level=request.graph_level,
        provider=request.provider,
    )


def _threads(request: ProbeRequest) -> int:
    return default_threads(read_host_facts()) if request.threads is None else request.threads


def _longest_s(request: ProbeRequest) -> float:
    return 2 * request.options.longest_s + request.seconds


def _samples(request: ProbeRequest) -> Path | None:
    """Return the input if a model can be measured with it; others are for the stages alone."""
    if request.inputs is None:
        return None
    path = Path(request.inputs)
    is_taken = path.is_dir() or path.suffix.lower() in {".npz", *PICTURES}
    return path if is_taken else None


def _stage_options(request: ProbeRequest, choice: ModelChoice, threads: int) -> dict[str, Any]:
    return {
        "threads": threads,
        "shapes": {**choice.shapes, **request.shapes},
        "options": request.options.for_stages(),
        "fps": request.fps,
        "seconds": request.seconds,
    }


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
    return save_result(measurement, folder, result_stem(measurement))


def result_stem(measurement: Measurement) -> str:
    """Return what a measurement's file is called, without its ending."""
    # A model's name is its maker's; a file's name must be harmless.
    on = "" if measurement.target is None else f"-{measurement.target}"
    config, scenario = measurement.config, measurement.scenario
    level = "" if config.graph_level is None else f"-{config.graph_level}"
    provider = "" if config.provider is None else f"-{plain_name(config.provider)}"
    kind = "" if scenario.kind == "single-stream" else f"-{scenario.kind}"
    batch = f"-{scenario.samples_per_query}" if scenario.samples_per_query > 1 else ""
    load = "" if scenario.target_qps is None else f"-{scenario.target_qps:g}qps"
    name = plain_name(measurement.model.name)
    return f"{name}{on}-{config.backend}-t{config.threads}{level}{provider}{kind}{batch}{load}"


def plain_name(name: str) -> str:
    """Return a name without what a file's name should not have."""
    return re.sub(r"[^\w.-]+", "_", name).strip(".")[:100] or "model"
