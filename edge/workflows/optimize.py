"""From a model and a target to the variant to run there, with what every variant is worth."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import edge
from edge.adapters.files import host_error
from edge.reasoning.bundling import runtime_at
from edge.reasoning.roofline import estimate
from edge.reasoning.support import support_by
from edge.reasoning.variant_choice import Basis, Floors, choose
from edge.reasoning.variant_plan import PlanRequest, VariantPlan, plan_variants
from edge.records.optimization import Optimization
from edge.workflows.models import resolve_model
from edge.workflows.optimize_case import OptimizeCase, external_files, model_ref, optimize_case
from edge.workflows.optimize_data import DataPaths, OptimizeData, use_of
from edge.workflows.optimize_result import write_result
from edge.workflows.runtime_site import RuntimeSite, installed_site, runtime_site
from edge.workflows.shares import Shares
from edge.workflows.variant_counts import with_counts
from edge.workflows.variant_outputs import compare_variants
from edge.workflows.variant_timing import with_times
from edge.workflows.variants import MadeVariant, Trial, Workshop

Progress = Callable[[float], None]
Sizes = Mapping[str, tuple[int, ...]]

# How much of the whole each part is; counting under emulation takes as long as all before it.
_MAKING, _COMPARING, _TIMING, _COUNTING = 0.3, 0.2, 0.5, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeRequest:
    """What `edgekit optimize` was asked for.

    `emulate` None: where the target is not at hand. `check_versions` are further versions of the
    runtime on which every variant has to compute the same.
    """

    model: str | None
    target: str
    data: DataPaths
    floors: Floors
    shapes: Sizes = field(default_factory=dict)
    runtime: str | None = None
    runtime_version: str | None = None
    threads: int | None = None
    thorough: bool = False
    pruned: tuple[float, ...] = ()
    sizes: tuple[Sizes, ...] = ()
    emulate: bool | None = None
    check_versions: tuple[str, ...] = ()
    output: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimized:
    """What was found, and the chosen file where it was written."""

    result: Optimization
    path: Path


def optimize(request: OptimizeRequest, progress: Progress = lambda _fraction: None) -> Optimized:
    """Make the variants that suit model and target, try them all, and write the one to take.

    Raises:
        EdgekitError: the model, the target or the data cannot be had, or the original model
            itself does not run here.
    """
    choice = resolve_model(request.model)
    case = optimize_case(
        choice,
        request.target,
        shapes=request.shapes,
        runtime=request.runtime,
        runtime_version=request.runtime_version,
        threads=request.threads,
    )
    checks = _checks(case, request.check_versions)
    try:
        scratch = tempfile.TemporaryDirectory(prefix="edgekit-", ignore_cleanup_errors=True)
    except OSError as error:
        raise host_error(error, tempfile.gettempdir()) from error
    with scratch as folder:
        data = OptimizeData(given=request.data, case=case, folder=Path(folder) / "data")
        plans, left_out = plan_variants(case.info, _plan_request(case, request, data))
        counts = _counts(case, request)
        shares = Shares(lambda fraction: progress(fraction / (2.0 if counts else 1.0)))
        made = _made(plans, data, Path(folder), shares.of(_MAKING))
        trials = compare_variants(made, data, checks, shares.of(_COMPARING))
        trials = with_times(trials, data, shares.of(_TIMING))
        trials = [_with_prediction(case, trial) for trial in trials]
        if counts:
            trials = with_counts(trials, data, Path(folder), shares.of(_COUNTING))
        found = _result(request, data, trials, "emulated" if counts else "measured")
        found = replace(found, left_out=left_out)
        files = [external_files(one.path, one.info) for one in made]
        output = request.output or Path(f"{choice.path.stem}-{case.platform.name}")
        result, path = write_result(found, files, output)
    progress(1.0)
    return Optimized(result=result, path=path)


def _counts(case: OptimizeCase, request: OptimizeRequest) -> bool:
    """Tell whether instructions are to be counted: what is timed here is not for the target."""
    return not case.is_here and request.emulate is not False


def _checks(case: OptimizeCase, versions: Sequence[str]) -> tuple[RuntimeSite, ...]:
    """Return the runtimes to compare on: the versions asked for, and the installed one."""
    installed = installed_site(case.site.backend)
    asked = tuple(runtime_site(runtime_at(case.runtime, version)) for version in versions)
    found = (*asked, *(() if installed is None else (installed,)))
    return tuple(dict.fromkeys(site for site in found if site != case.site))


def _plan_request(case: OptimizeCase, request: OptimizeRequest, data: OptimizeData) -> PlanRequest:
    return PlanRequest(
        architecture=case.platform.architecture,
        features=case.platform.cpu_features,
        runtime=case.site.distribution,
        runtime_version=case.site.version,
        is_here=case.target is None,
        calibrated=data.calibration() is not None,
        thorough=request.thorough,
        pruned=request.pruned,
        sizes=request.sizes,
    )


def _made(
    plans: Sequence[VariantPlan], data: OptimizeData, folder: Path, progress: Progress
) -> list[MadeVariant]:
    """Return the original and every variant that was planned, made or failed."""
    case = data.case

    def calibrate(sizes: Sizes) -> Path | None:
        found = data.calibration(sizes)
        return None if found is None else found.files[0]

    workshop = Workshop(
        original=case.choice.path,
        info=case.info,
        folder=folder / "variants",
        shapes=case.shapes,
        threads=case.threads,
        calibration=calibrate,
    )
    original = VariantPlan(name="original", steps=())
    made = [MadeVariant(plan=original, path=case.choice.path, info=case.info)]
    for number, plan in enumerate(plans):
        made.append(workshop.make(plan))
        progress((number + 1) / len(plans))
    return made


def _with_prediction(case: OptimizeCase, trial: Trial) -> Trial:
    """Add what the roofline says of the variant on the target, where that is another machine."""
    info = trial.made.info
    if case.target is None or info is None:
        return trial
    support = support_by(info, case.target.name, case.runtime)
    return trial.told(predicted=estimate(info, case.target, support))


def _result(
    request: OptimizeRequest, data: OptimizeData, trials: Sequence[Trial], basis: Basis
) -> Optimization:
    """Return the record of everything, with the choice."""
    case, calibration = data.case, data.calibration()
    judged, chosen = choose([trial.record for trial in trials], request.floors, basis)
    return Optimization(
        model=model_ref(case.info),
        card=None if case.choice.card is None else case.choice.card.name,
        target=case.platform.name,
        runtime=case.site.distribution,
        runtime_version=case.site.version,
        threads=case.threads,
        edgekit_version=edge.__version__,
        basis=basis,
        least_cosine=request.floors.least_cosine,
        most_accuracy_drop=request.floors.most_accuracy_drop,
        calibration=None if calibration is None else use_of(calibration),
        evaluation=use_of(data.evaluation()),
        variants=judged,
        chosen=chosen,
        left_out=(),
        remarks=(*case.remarks, *data.remarks()),
    )
