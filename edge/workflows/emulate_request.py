"""The command emulate: a bundle as it is, a model packaged for one target or for several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.targets import load_target
from edge.errors import EmulationError, UsageError
from edge.records.emulation import Emulation, EmulationMatrix
from edge.workflows.emulate import EmulateOptions, emulate_bundle
from edge.workflows.emulation_baseline import baseline_for
from edge.workflows.emulation_matrix import bundle_folder, emulate_matrix
from edge.workflows.models import ModelChoice, resolve_model
from edge.workflows.package import package_model
from edge.workflows.probe_bundle import is_bundle

Progress = Callable[[float], None]

LIMIT_MISSED_EXIT: Final = 13
_PACKAGING: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulateRequest:
    """What `edgekit emulate` was asked for; without a `file` it is the default model."""

    file: str | None
    target: str | None
    matrix: tuple[str, ...] | None
    shapes: Mapping[str, tuple[int, ...]]
    inputs: Path | None
    runtime: str | None
    full_system: bool
    count: bool
    baseline: Emulation | EmulationMatrix | None
    max_increase: float
    workers: int | None
    keep: Path | None

    def __post_init__(self) -> None:
        """Refuse options that do not go together.

        Raises:
            UsageError: with the options.
        """
        if self.matrix is not None and self.target is not None:
            raise UsageError("--matrix and --target do not go together")
        if self.matrix is not None and not self.matrix:
            raise UsageError("--matrix needs targets", hint="such as --matrix rpi4,rpi5")
        if self.matrix is None and self.workers is not None:
            raise UsageError("--workers goes with --matrix")
        if self.baseline is not None and not self.count:
            raise UsageError("--baseline needs the counts that --no-count leaves out")


def emulate(
    request: EmulateRequest, progress: Progress = lambda _fraction: None
) -> Emulation | EmulationMatrix:
    """Emulate what was asked for; a matrix gives a matrix.

    Raises:
        EdgekitError: as emulate_bundle and package_model; of a matrix only what ends all of it.
    """
    path = None if request.file is None else Path(request.file)
    if path is not None and is_bundle(path):
        _refuse_for_bundles(request)
        return emulate_bundle(path, _options(request, request.target), progress)
    if request.matrix is None and request.target is None:
        hint = "name it with --target, or several with --matrix"
        raise UsageError("a model needs a target", hint=hint)
    choice = resolve_model(request.file)
    if request.matrix is not None:
        return _matrix(request, request.matrix, choice, progress)
    assert request.target is not None
    return _one(request, request.target, choice, progress)


def exit_code(found: Emulation | EmulationMatrix) -> int:
    """Return 0 where nothing was found, 13 where only the baseline is exceeded, else 8.

    Where a target of a matrix could not be emulated, and nothing was found on the others, it is
    that error's own.
    """
    emulations = found.emulations if isinstance(found, EmulationMatrix) else (found,)
    kinds = {finding.kind for emulation in emulations for finding in emulation.findings}
    if kinds - {"cost-increase"}:
        return EmulationError.exit_code
    if isinstance(found, EmulationMatrix) and found.not_emulated:
        return found.not_emulated[0].exit_code
    return LIMIT_MISSED_EXIT if kinds else 0


def _refuse_for_bundles(request: EmulateRequest) -> None:
    """Refuse options that say how a bundle is made.

    Raises:
        UsageError: with the option.
    """
    given = {
        "--matrix": request.matrix is not None,
        "--shape": bool(request.shapes),
        "--inputs": request.inputs is not None,
        "--runtime": request.runtime is not None,
        "--keep": request.keep is not None,
    }
    named = [option for option, is_given in given.items() if is_given]
    if named:
        hint = "give the model instead of a bundle of it"
        raise UsageError(f"{named[0]} is for models: a bundle is made already", hint=hint)


def _options(request: EmulateRequest, target: str | None) -> EmulateOptions:
    """Return what is asked of one bundle; `target` is the one that it is emulated on."""
    baseline = request.baseline
    if isinstance(baseline, EmulationMatrix):
        if target is None:
            raise UsageError("the baseline is of several targets: name the one with --target")
        baseline = baseline_for(baseline, load_target(target).name)
    return EmulateOptions(
        target=target,
        count=request.count,
        full_system=request.full_system,
        baseline=baseline,
        max_increase=request.max_increase,
    )


def _one(
    request: EmulateRequest, target: str, choice: ModelChoice, progress: Progress
) -> Emulation:
    options = _options(request, target)
    name = f"{choice.path.stem}-{load_target(target).name}.pyz"
    with bundle_folder(request.keep) as folder:
        bundle = package_model(
            choice,
            target,
            output=folder / name,
            shapes=request.shapes,
            inputs=request.inputs,
            runtime=request.runtime,
            progress=lambda fraction: progress(_PACKAGING * fraction),
        )
        rest = 1 - _PACKAGING
        return emulate_bundle(bundle.path, options, lambda f: progress(_PACKAGING + rest * f))


def _matrix(
    request: EmulateRequest, targets: tuple[str, ...], choice: ModelChoice, progress: Progress
) -> EmulationMatrix:
    def emulated(bundle: Path, target: str, told: Progress) -> Emulation:
        return emulate_bundle(bundle, _options(request, target), told)

    return emulate_matrix(
        choice,
        targets,
        emulated,
        shapes=request.shapes,
        inputs=request.inputs,
        runtime=request.runtime,
        workers=request.workers,
        keep=request.keep,
        progress=progress,
    )
