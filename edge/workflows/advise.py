"""From a model, a workload and what was measured to a verdict."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import edge
from edge.adapters.results import load_results, save_result
from edge.adapters.targets import load_target, load_targets
from edge.adapters.workloads import load_workload
from edge.errors import UsageError
from edge.reasoning.candidates import Judged, judge
from edge.reasoning.economics import price_assumptions
from edge.reasoning.evidence import (
    PREDICTED_VARIATION,
    Evidence,
    from_estimate,
    from_measurements,
    why_not_used,
)
from edge.reasoning.limits import limit_ns, peak_load
from edge.reasoning.queueing import UTILISATION_CAP
from edge.reasoning.roofline import estimate, runs_on_gpu
from edge.reasoning.stats import queries_needed
from edge.reasoning.support import runtime_support
from edge.reasoning.training import TRAINING_BATCH, judge_training
from edge.reasoning.verdict import decide
from edge.records.estimate import Estimate
from edge.records.measurement import Measurement
from edge.records.model import ModelInfo, RuntimeSupport
from edge.records.target import Target
from edge.records.verdict import Answer, Assumption, Verdict
from edge.records.workload import Workload
from edge.workflows.inspect import inspect_model
from edge.workflows.models import resolve_model

# `probe` measures so many queries unless it is told otherwise.
_PROBE_QUERIES = 662
_NO_SHAPES: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType({})
# Exit codes of `advise --check` (docs/reference/exit-codes.md).
EXIT_CODES: Final[Mapping[Answer, int]] = MappingProxyType(
    {"edge": 0, "cloud-cpu": 10, "cloud-gpu": 11, "undecided": 12, "nothing-fits": 13}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A verdict and what the model is."""

    info: ModelInfo
    verdict: Verdict


def workload_of(path: Path | None, wishes: Mapping[str, Any]) -> Workload:
    """Return the workload of a file with `wishes` (keys of the record) in place of its own.

    Raises:
        ConfigError: the file is wrong.
        UsageError: a wish means nothing, or nothing is asked for.
    """
    given = Workload() if path is None else load_workload(path)
    try:
        workload = replace(given, **wishes)
    except ValueError as error:
        raise UsageError(str(error)) from error
    limits = (workload.latency_limit_ms, workload.load_per_s, workload.peak_load_per_s)
    if workload.task == "inference" and limits == (None, None, None):
        hint = "give --latency-ms or --qps, or a workload file with one of them"
        raise UsageError("nothing is asked of the model: no latency limit and no load", hint=hint)
    return workload


def advise_on_file(
    model: str | None,
    workload: Workload,
    *,
    target_names: Sequence[str] = (),
    results: Path | None = None,
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
) -> Advice:
    """Advise on a model file or a card's model; None is the default model.

    `target_names` limits the candidates, `results` is a folder with measurements.

    Raises:
        EdgekitError: the model, a target or the results cannot be read.
    """
    chosen = {target.name: target for target in map(load_target, target_names)}
    targets = tuple(chosen.values()) or load_targets()
    measurements = () if results is None else load_results(results).measurements
    choice = resolve_model(model)
    info = inspect_model(choice.path, {**choice.shapes, **shapes})
    supports = tuple(s for target in targets for s in runtime_support(info, target))
    verdict = advise(
        info,
        supports,
        workload,
        targets,
        measurements,
        model_argument=model if choice.card is None or model is not None else choice.card.name,
    )
    return Advice(info=info, verdict=verdict)


def save_advice(advice: Advice, folder: Path) -> tuple[Path, Path]:
    """Write the verdict and the model's record into a results folder.

    Raises:
        HostError: it cannot be written.
    """
    stem = Path(advice.info.name).stem
    return (
        save_result(advice.verdict, folder, stem),
        save_result(advice.info, folder, stem),
    )


def advise(
    info: ModelInfo,
    supports: Sequence[RuntimeSupport],
    workload: Workload,
    targets: Sequence[Target],
    measurements: Sequence[Measurement] = (),
    *,
    model_argument: str | None = None,
) -> Verdict:
    """Return the verdict over `targets`; `supports` are those of all their runtimes.

    `model_argument` is what the user calls the model, for the commands that the verdict names.
    """
    named = info.name if model_argument is None else model_argument
    used, unused = _sort_out(measurements, targets, info, workload)
    judged = [
        _judge(
            target,
            info,
            [s for s in supports if s.target == target.name],
            workload,
            used.get(target.name, []),
            command=probe_command(named, target, workload),
        )
        for target in targets
    ]
    assumptions = [*_assumptions(workload, judged, targets), *unused]
    return decide(info, workload, judged, assumptions, edge.__version__)


def probe_command(model_argument: str, target: Target, workload: Workload) -> str | None:
    """Return the commands, one a line, that measure the model on the target.

    None for a cloud GPU: our backends compute on the CPU alone so far.
    """
    if target.kind == "cloud-gpu":
        return None
    model = shlex.quote(model_argument)
    needed = queries_needed(workload.percentile)
    queries = f" --min-queries {needed}" if needed > _PROBE_QUERIES else ""
    bundle = shlex.quote(f"{Path(model_argument).stem.replace(':', '-')}-{target.name}.pyz")
    return (
        f"edgekit package {model} --target {target.name} -o {bundle}\n"
        f"python3 {bundle} probe{queries} -o results"
    )


def _judge(
    target: Target,
    info: ModelInfo,
    supports: Sequence[RuntimeSupport],
    workload: Workload,
    measured: Sequence[Measurement],
    *,
    command: str | None,
) -> Judged:
    if workload.task == "training":
        # Whether a runtime for inference has the operators does not matter here.
        steps = [estimate(info, target, s, batch=TRAINING_BATCH) for s in supports]
        return judge_training(target, workload, info, min(steps, key=_rank, default=None))
    estimates = {s: estimate(info, target, s) for s in supports if s.supported}
    best = min(estimates.values(), key=_rank, default=None)
    on_gpu = any(runs_on_gpu(target, s) for s in estimates)
    evidence = None if best is None else _evidence(best, measured, workload)
    return judge(target, workload, supports, evidence, on_gpu=on_gpu, next_command=command)


def _rank(one: Estimate) -> tuple[bool, int]:
    """Order estimates: the calibrated runtime with the lowest upper end first."""
    return one.high_ns is None, one.low_ns if one.high_ns is None else one.high_ns


def _evidence(best: Estimate, measured: Sequence[Measurement], workload: Workload) -> Evidence:
    predicted = from_estimate(best)
    found = from_measurements(measured, workload.percentile, limit_ns(workload))
    if found is None:
        return predicted
    if found.memory_high_bytes is None:
        return replace(
            found,
            memory_low_bytes=predicted.memory_low_bytes,
            memory_high_bytes=predicted.memory_high_bytes,
        )
    return found


def _sort_out(
    measurements: Sequence[Measurement],
    targets: Sequence[Target],
    info: ModelInfo,
    workload: Workload,
) -> tuple[dict[str, list[Measurement]], list[Assumption]]:
    by_name = {target.name: target for target in targets}
    used: dict[str, list[Measurement]] = {}
    unused = []
    for one in measurements:
        target = by_name.get(one.target or "")
        reason = why_not_used(one, target, info.sha256, peak_load(workload))
        if reason is None and target is not None:
            used.setdefault(target.name, []).append(one)
        else:
            what = f"{one.model.name} on {one.target or one.host.cpu_model or 'this machine'}"
            unused.append(
                Assumption(
                    name="measurement not used",
                    value=f"{what}: {reason}",
                    source="the results folder",
                )
            )
    return used, unused


def _assumptions(
    workload: Workload, judged: Sequence[Judged], targets: Sequence[Target]
) -> list[Assumption]:
    boards = any(target.kind == "edge" for target in targets)
    if workload.task == "training":
        return [
            Assumption(
                name="training",
                value="one machine; a step costs three inferences",
                source="Kaplan et al. 2020, section 2.1",
            ),
            Assumption(
                name="batches",
                value=f"of {TRAINING_BATCH} samples at least",
                source="assumed",
            ),
            *price_assumptions(workload, boards=False),
        ]
    found = [
        Assumption(
            name="serving",
            value="queries come at random; a machine answers one at a time with all its cores; "
            "the load is split at random over machines",
            source="M/G/1 queue, Pollaczek-Khinchine",
        )
    ]
    if workload.load_per_s is None and workload.peak_load_per_s is None:
        found.append(
            Assumption(
                name="load",
                value="none given: one query at a time on one machine",
                source="assumed",
            )
        )
    elif workload.latency_limit_ms is None:
        found.append(
            Assumption(
                name="utilisation",
                value=f"at most {UTILISATION_CAP:.0%}, as there is no latency limit",
                source="assumed",
            )
        )
    if any(j.candidate.provenance == "predicted" for j in judged):
        found.append(
            Assumption(
                name="predictions",
                value="90 % intervals from published rows; queries vary by "
                f"{PREDICTED_VARIATION:.0%} (sigma of a log-normal)",
                source="docs/adr/0007-first-estimates.md",
            )
        )
    return [*found, *price_assumptions(workload, boards=boards)]
