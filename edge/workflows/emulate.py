"""Runs a bundle on its emulated target and says what would go wrong there, and what it costs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import edge
from edge.adapters.targets import load_target
from edge.device.bundle import open_bundle
from edge.errors import BundleError, ConfigError, EmulationError
from edge.reasoning.cost_gate import cost_changes, cost_findings, gate_remarks
from edge.reasoning.findings import without_repeats
from edge.reasoning.stand_in import stand_in_for, stand_in_target
from edge.records.emulation import Emulation, Finding
from edge.records.manifest import Manifest
from edge.records.target import Target
from edge.workflows.emulated_place import SetUp, set_up
from edge.workflows.emulation_steps import Course
from edge.workflows.full_system import machine_core
from edge.workflows.shares import Shares
from edge.workflows.stand_in_bundle import runtime_difference, stand_in_bundle

Progress = Callable[[float], None]

# A digest that no bundle has: a damaged one is opened as far as to say what it was.
_UNCHECKED: Final = "unchecked"
# How much of the whole each part is; booting a machine takes longer than all before it.
_SETUP, _STAND_IN, _STEPS = 0.3, 0.1, 0.6
_FULL_SYSTEM: Final = 0.6
# An odd run of the same work counts up to 4 % more while it loads; the least of three does not.
_RECOUNTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulateOptions:
    """What is asked for beside the bundle; `target` is by default the one that it was made for."""

    target: str | None = None
    count: bool = True
    full_system: bool = False
    baseline: Emulation | None = None
    max_increase: float = 0.02


def emulate_bundle(
    path: Path,
    options: EmulateOptions = EmulateOptions(),
    progress: Progress = lambda _fraction: None,
) -> Emulation:
    """Run a bundle's own verify, run and count on its emulated target, and more if asked for.

    What goes wrong with the bundle is a finding. Nothing of a damaged bundle is run.

    Raises:
        BundleError: it is no bundle, or no stand-in can be made of it.
        ConfigError: the target is unknown or cannot be emulated, or the baseline does not fit.
        EmulationError: the emulator did not do its work.
        HostError: what is needed cannot be had on this machine, with a remedy.
    """
    manifest, sha256, damage = _opened(path)
    target = _target(path, manifest, options)
    stand_in = stand_in_for(target)
    if options.full_system:
        machine_core(target)  # Refused before any work.
    before = 1 - _FULL_SYSTEM if options.full_system else 1.0
    shares = Shares(lambda fraction: progress(before * fraction))
    course = Course(manifest=manifest, target=target)
    with set_up(target, stand_in, count=options.count, progress=shares.of(_SETUP)) as place:
        if damage is not None:
            course.ended("verify", (damage,), "")
            course.skipped("nothing of a damaged bundle is run", "run", "count")
        else:
            course.audit(path)
            told = shares.of(_STAND_IN)
            bundle = path.absolute()
            if not stand_in.exact:
                instead = stand_in_target(target, stand_in)
                bundle = stand_in_bundle(path, manifest, instead, place.folder, told)
                course.differences += runtime_difference(bundle, manifest)
            told(1.0)
            course.run_all(place, bundle, shares.of(_STEPS), counted=options.count)
            if options.full_system:
                course.boot(bundle, lambda f: progress(before + _FULL_SYSTEM * f))
            _hold(course, place, bundle, sha256, options)
    return _emulation(course, place, sha256)


def _opened(path: Path) -> tuple[Manifest, str | None, Finding | None]:
    """Return what a bundle says that it is, its digest, and what is wrong with its bytes, if any.

    The device would refuse a damaged one likewise; its digest is None.
    """
    try:
        with open_bundle(str(path)) as bundle:
            bundle.verify_members()
            return bundle.manifest, bundle.digest, None
    except BundleError as error:
        with open_bundle(str(path), _UNCHECKED) as bundle:
            manifest = bundle.manifest
        remedy = error.hint or "copy it again, or package it again"
        damage = Finding(kind="damaged-bundle", step="verify", what=error.what, remedy=remedy)
        return manifest, None, damage


def _target(path: Path, manifest: Manifest, options: EmulateOptions) -> Target:
    """Return the target that was asked for, else the one that the bundle was made for."""
    if options.target is None and manifest.target == "host":
        hint = "name the target with --target"
        raise ConfigError("it was made for the machine that packaged it", where=path, hint=hint)
    return load_target(options.target or manifest.target)


def _emulation(course: Course, place: SetUp, sha256: str | None) -> Emulation:
    manifest = course.manifest
    return Emulation(
        provenance="emulated",
        bundle=manifest.name,
        bundle_sha256=sha256,
        model=manifest.model.name,
        model_sha256=manifest.model.sha256,
        target=course.target.name,
        runtime=f"{manifest.runtime} {manifest.runtime_version}",
        place=replace(place.place, differences=place.place.differences + course.differences),
        steps=tuple(course.steps),
        findings=without_repeats(course.findings),
        outputs=course.outputs,
        counts=course.counts,
        memory=course.memory,
        cost_changes=course.changes,
        edgekit_version=edge.__version__,
    )


def _hold(
    course: Course, place: SetUp, bundle: Path, sha256: str | None, options: EmulateOptions
) -> None:
    """Hold what was counted to the baseline, and count again before anybody is told that it grew.

    Raises:
        ConfigError: the baseline is of something else.
        EmulationError: nothing was counted.
    """
    if options.baseline is None or place.mode == "native":
        if options.baseline is not None:
            course.remark("count", ("a native target is held to no baseline",))
        return
    if course.counts is None:
        if course.findings:
            return  # What was found kept it from being counted.
        what = f"nothing was counted, so nothing can be held to a baseline: {place.uncounted}"
        raise EmulationError(what, where=course.target.name)
    now = _emulation(course, place, sha256)
    course.changes = cost_changes(options.baseline, now, options.max_increase)
    for _ in range(_RECOUNTS):
        if not any(change.exceeded for change in course.changes):
            break
        course.recount(place, bundle)
        now = _emulation(course, place, sha256)
        course.changes = cost_changes(options.baseline, now, options.max_increase)
    course.findings += cost_findings(course.changes)
    course.remark("count", gate_remarks(options.baseline, now, options.max_increase))
