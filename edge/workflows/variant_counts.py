"""Counts the instructions of variants on the target's emulated processor, bundle by bundle."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge.errors import EdgekitError
from edge.reasoning.stand_in import stand_in_for, stand_in_target
from edge.records.manifest import Manifest
from edge.records.target import Target
from edge.workflows.emulated_place import set_up
from edge.workflows.emulation_steps import Course
from edge.workflows.models import ModelChoice
from edge.workflows.optimize_data import OptimizeData
from edge.workflows.package import package_model
from edge.workflows.shares import Shares
from edge.workflows.variants import MadeVariant, Trial

Progress = Callable[[float], None]

# An emulated run takes a quarter of a minute: of many variants the fastest here are counted.
_MOST_COUNTED: Final = 5
_SETUP: Final = 0.2


def with_counts(
    trials: Sequence[Trial], data: OptimizeData, folder: Path, progress: Progress
) -> list[Trial]:
    """Add instruction counts to the original and to the variants that may be worth it.

    Each is packaged and run as `edgekit emulate` does; what fails there is failed.

    Raises:
        ConfigError: the target cannot be emulated.
        HostError: what emulating needs cannot be had here, with a remedy.
    """
    target = data.case.target
    if target is None:
        return list(trials)
    stand_in = stand_in_for(target)
    runs_there = target if stand_in.exact else stand_in_target(target, stand_in)
    shares = Shares(progress)
    counted = list(trials)
    who = _worth_counting(trials)
    with set_up(target, stand_in, count=True, progress=shares.of(_SETUP)) as place:
        for index in who:
            told = shares.of((1 - _SETUP) / len(who))
            try:
                bundle, manifest = _packaged(trials[index].made, data, runs_there, folder)
                told(0.4)
                course = Course(manifest=manifest, target=target)
                course.run_all(place, bundle, lambda _fraction: None, counted=True)
            except EdgekitError as error:
                if index == 0:
                    raise
                counted[index] = counted[index].failed(str(error))
                continue
            counted[index] = counted[index].told(instructions=course.counts)
            if course.findings and index:
                counted[index] = counted[index].failed(course.findings[0].what)
            told(1.0)
    return counted


def _worth_counting(trials: Sequence[Trial]) -> list[int]:
    """Return the original and those that run here, the fastest of them first."""

    def slowness(index: int) -> float:
        speedup = trials[index].record.speedup
        return 0.0 if speedup is None else -speedup.value

    runs = [i for i, trial in enumerate(trials) if i and trial.record.verdict != "failed"]
    return [0, *sorted(sorted(runs, key=slowness)[:_MOST_COUNTED])]


def _packaged(
    one: MadeVariant, data: OptimizeData, target: Target, folder: Path
) -> tuple[Path, Manifest]:
    path, info = one.file
    bundle = folder / "counted.pyz"
    written = package_model(
        ModelChoice(path=path, card=data.case.choice.card),
        target,
        output=bundle,
        threads=1,
        shapes={**data.case.shapes, **one.plan.sizes},
        inputs=data.sample(one.plan.sizes),
        runtime=data.case.site_of(info.format).distribution,
    )
    return bundle, written.manifest
