"""Measure a model in every combination of settings, on this machine."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge.backends import backend_for_format
from edge.device.combinations import (
    DEFAULT_ROUNDS,
    Combination,
    Variant,
    ask_providers,
    axes_of,
    plan_of,
)
from edge.device.facts import default_threads, read_host_facts
from edge.device.probe import ProbeOptions, probe
from edge.device.sweep import SweepProgress, run_sweep
from edge.device.zygote import preimported
from edge.errors import EdgekitError, UsageError
from edge.records.measurement import Measurement, ModelRef, SessionConfig
from edge.records.model import ModelInfo
from edge.records.scenario import ONE_BY_ONE, Scenario
from edge.records.sweep import SweepResult
from edge.workflows.allowance import allowed_bytes
from edge.workflows.inputs import samples_from
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice, resolve_model
from edge.workflows.probe_bundle import bundle_arguments, is_bundle, run_bundle
from edge.workflows.probe_request import ProbeRequest

_NO_SHAPES: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType({})
# Of a bundle: threads up to 2^16 by 4 levels by 3 providers; only a hanging one meets the limit.
_MOST_COMBINATIONS: Final = 200
_ALONG_FILES: Final = ("precision", "runtime")


def sweep_anything(
    choice: ModelChoice,
    axes: str,
    request: ProbeRequest,
    *,
    rounds: int | None = None,
    journal: Path | None = None,
    resume: bool = False,
    save_settings: bool = False,
    progress: SweepProgress | None = None,
    interrupted: Callable[[SweepResult], None] | None = None,
) -> SweepResult:
    """Sweep over the axes that are named, separated by commas, of a model file or a bundle.

    A bundle sweeps by itself: it shows no progress and keeps its journal where the result goes.

    Raises:
        UsageError: no such axis, or options that do not go together.
        EdgekitError: as sweep_model.
    """
    wanted = axes_of(axes)
    rounds = DEFAULT_ROUNDS if rounds is None else rounds
    if request.scenario is None:
        what = "a sweep measures one scenario, and offline begins with a search of its own"
        raise UsageError(what, hint="give --samples-per-query")
    if is_bundle(choice.path):
        arguments = [*bundle_arguments(request), "--sweep", axes, "--rounds", str(rounds)]
        arguments += ["--output", str(journal.parent)] if journal is not None else []
        arguments += ["--resume"] if resume else []
        arguments += ["--save-settings"] if save_settings else []
        longest_s = request.options.longest_s * rounds * _MOST_COMBINATIONS
        return run_bundle(choice.path, SweepResult, arguments, longest_s=longest_s)
    if save_settings:
        raise UsageError("a model file has no settings", hint="package it, and sweep the bundle")
    return sweep_model(
        choice,
        wanted,
        request.options,
        rounds=rounds,
        threads=request.threads,
        graph_level=request.graph_level,
        provider=request.provider,
        shapes=request.shapes,
        inputs=None if request.inputs is None else Path(request.inputs),
        target=request.target,
        scenario=request.scenario,
        journal_path=journal,
        resume=resume,
        progress=progress,
        stopped=interrupted,
    )


def sweep_model(
    choice: ModelChoice,
    axes: tuple[str, ...],
    options: ProbeOptions,
    *,
    rounds: int = DEFAULT_ROUNDS,
    threads: int | None = None,
    graph_level: str | None = None,
    provider: str | None = None,
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
    inputs: Path | None = None,
    target: str | None = None,
    scenario: Scenario = ONE_BY_ONE,
    journal_path: Path | None = None,
    resume: bool = False,
    progress: SweepProgress | None = None,
    stopped: Callable[[SweepResult], None] | None = None,
) -> SweepResult:
    """Measure a model file along `axes` and return all combinations, the Pareto set and the best.

    Along precision and runtime the other files of the model's card are measured, too. What a
    combination fails with is in its row.

    Raises:
        UsageError: there is nothing to sweep over, or shapes or inputs do not fit.
        EdgekitError: as probe_model, of the model that was asked for.
    """
    host = read_host_facts()
    wanted = default_threads(host) if threads is None else threads
    with ExitStack() as stack:
        prepared: dict[str, tuple[ModelInfo, Mapping[str, tuple[int, ...]], Path | None]] = {}
        variants: list[Variant] = []
        for other in _choices(choice, axes):
            sizes = {**other.shapes, **shapes}
            try:
                info = inspect_model(other.path, sizes)
                variant = _variant(other, info, "provider" in axes)
            except EdgekitError:
                if other is choice:
                    raise
                continue  # Its runtime is not installed here.
            samples = stack.enter_context(samples_from(inputs, other, info))
            prepared[str(other.path)] = (info, sizes, samples)
            variants.append(variant)
        usual = SessionConfig(
            variants[0].backend, wanted, graph_level=graph_level, provider=provider
        )
        told = {**asdict(options), "shapes": {k: list(v) for k, v in shapes.items()}}
        told |= {"inputs": None if inputs is None else str(inputs), "scenario": asdict(scenario)}
        plan = plan_of(axes, variants, host, usual, told, rounds=rounds)
        for backend in sorted({c.config.backend for c in plan.combinations}):
            stack.enter_context(preimported(backend))

        def measure(combination: Combination, _round: int) -> Measurement:
            info, sizes, samples = prepared[combination.variant.path]
            return probe(
                combination.variant.path,
                combination.config,
                options,
                model=ModelRef(info.name, info.format, info.sha256, info.file_bytes),
                target=target,
                shapes=sizes,
                inputs=None if samples is None else str(samples),
                memory_bytes=allowed_bytes(info, combination.config.threads),
                scenario=scenario,
            )

        return run_sweep(
            plan,
            measure,
            journal_path=None if journal_path is None else str(journal_path),
            resume=resume,
            progress=progress,
            stopped=stopped,
        )


def _choices(choice: ModelChoice, axes: tuple[str, ...]) -> Iterator[ModelChoice]:
    """Give the file that was asked for, and the card's others where an axis runs along them."""
    yield choice
    if choice.card is None or choice.file is None or not set(axes) & set(_ALONG_FILES):
        return
    for file in choice.card.file:
        if file.name != choice.file.name:
            yield resolve_model(f"{choice.card.name}:{file.name}")


def _variant(choice: ModelChoice, info: ModelInfo, with_providers: bool) -> Variant:  # noqa: FBT001
    backend = backend_for_format(info.format)
    distribution, version = backend.version()
    return Variant(
        precision=str(info.precision if choice.file is None else choice.file.precision),
        backend=backend.name,
        path=str(choice.path),
        sha256=info.sha256,
        runtime=f"{distribution} {version}",
        providers=ask_providers(backend.name) if with_providers else (),
        accuracy=None if choice.file is None else choice.file.accuracy,
    )
