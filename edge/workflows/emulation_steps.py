"""The steps of an emulation, one after the other: what each runs, and what it showed."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from edge.adapters.counter import Counted, read_counts
from edge.errors import BundleError
from edge.reasoning.findings import findings_of
from edge.records.emulation import (
    CostChange,
    Finding,
    InstructionCounts,
    MemoryUse,
    OutputCheck,
    Ran,
    Step,
    StepName,
    StepOutcome,
    least_counts,
)
from edge.records.manifest import Manifest
from edge.records.target import Target
from edge.units import format_bytes
from edge.workflows.emulated_place import SetUp
from edge.workflows.emulation_audit import audit_findings
from edge.workflows.full_system import DIFFERENCES, full_system

Progress = Callable[[float], None]

# Emulation is hundreds of times slower than a board; what takes longer than this hangs.
_VERIFY_S: Final = 600.0
_RUN_S: Final = 3600.0


@dataclass(slots=True, kw_only=True)
class Course:
    """What the steps so far have shown of a bundle on a target."""

    manifest: Manifest
    target: Target
    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    outputs: OutputCheck | None = None
    counts: InstructionCounts | None = None
    memory: MemoryUse | None = None
    changes: tuple[CostChange, ...] = ()
    differences: tuple[str, ...] = ()
    _peak_bytes: int | None = None

    def ended(self, name: StepName, findings: tuple[Finding, ...], note: str) -> bool:
        """Note how a step came out, and return whether it passed; `note` is for when it did."""
        self.findings += findings
        outcome: StepOutcome = "failed" if findings else "passed"
        told = findings[0].what if findings else note
        self.steps.append(Step(name=name, outcome=outcome, note=told))
        return not findings

    def skipped(self, why: str, *names: StepName) -> None:
        """Note steps that were not made."""
        self.steps += [Step(name=name, outcome="skipped", note=why) for name in names]

    def remark(self, name: StepName, remarks: tuple[str, ...]) -> None:
        """Add remarks to what a step showed."""
        self.steps = [
            replace(step, note="; ".join((step.note, *remarks))) if step.name == name else step
            for step in self.steps
        ]

    def audit(self, bundle: Path) -> None:
        """Look at the bundle's compiled files; nothing of them is run."""
        try:
            findings = audit_findings(bundle, self.manifest, self.target)
        except BundleError as error:
            remedy = error.hint or "package it again"
            what = str(error)
            findings = (Finding(kind="damaged-bundle", step="audit", what=what, remedy=remedy),)
        self.ended("audit", findings, "its compiled files find what they need")

    def run_all(self, place: SetUp, bundle: Path, count: Progress, *, counted: bool) -> None:
        """Run the bundle's verify, run and count there; what keeps it from running ends it.

        Raises:
            EmulationError: what was counted cannot be read.
            HostError: the place cannot run anything.
        """
        count(0.0)
        if not self._verify(place, bundle):
            self.skipped("the bundle does not start there", "run", "count")
            return
        count(0.3)
        runs = self._run(place, bundle)
        count(0.7)
        if not runs:
            self.skipped("the model does not run there", "count")
        elif not counted or place.uncounted is not None:
            self.skipped(place.uncounted or "not asked for", "count")
        else:
            self._count(place, bundle)
        self._weigh(place)
        count(1.0)

    def boot(self, bundle: Path, progress: Progress) -> None:
        """Boot a machine with the target's memory; what it shows replaces what was reckoned."""
        if any(step.outcome == "failed" for step in self.steps if step.name != "memory"):
            self.skipped("the bundle does not run there", "memory")
            return
        booted = full_system(bundle, self.manifest, self.target, progress=progress)
        self.steps = [step for step in self.steps if step.name != "memory"] + [booted.step]
        self.findings = [found for found in self.findings if found.step != "memory"]
        self.findings += booted.findings
        self.memory = booted.memory
        self.differences += DIFFERENCES

    def _verify(self, place: SetUp, bundle: Path) -> bool:
        ran = _command(place, bundle, "verify", _VERIFY_S)
        findings = findings_of("verify", ran, self.manifest)
        return self.ended("verify", findings, "it is intact, and fits")

    def _run(self, place: SetUp, bundle: Path) -> bool:
        """Run the samples; True: the model runs, whatever it gives."""
        ran = _command(place, bundle, "run", _RUN_S)
        findings = findings_of("run", ran, self.manifest)
        self.outputs = _outputs(ran, self.manifest)
        note = "the samples ran"
        if self.outputs is not None:
            note = f"{self.outputs.agreed} of {self.outputs.samples} samples agree"
        self.ended("run", findings, note)
        return all(finding.kind == "wrong-output" for finding in findings)

    def recount(self, place: SetUp, bundle: Path) -> None:
        """Count once more, and keep the least of each phase.

        Raises:
            EmulationError: what was counted cannot be read.
        """
        counted, _ = self._counted(place, bundle)
        if counted is not None and self.counts is not None:
            self.counts = least_counts(self.counts, counted.counts)

    def _count(self, place: SetUp, bundle: Path) -> None:
        counted, findings = self._counted(place, bundle)
        if counted is None:
            self.ended("count", findings, "")
            return
        self.counts, self._peak_bytes = counted.counts, counted.peak_bytes
        steady, warmups = len(self.counts.steady_counts), len(self.counts.warmup_counts)
        self.ended("count", (), f"{steady} inferences, {warmups} before them were discarded")

    def _counted(self, place: SetUp, bundle: Path) -> tuple[Counted | None, tuple[Finding, ...]]:
        with tempfile.TemporaryDirectory(dir=place.folder) as folder:
            marks = Path(folder) / "counts"
            ran = _command(place, bundle, "count", _RUN_S, marks)
            findings = findings_of("count", ran, self.manifest)
            return (None, findings) if findings else (read_counts(marks), ())

    def _weigh(self, place: SetUp) -> None:
        """Hold the memory that it took to what a program can have on the target."""
        peak = self._peak_bytes or place.peak_bytes()
        if peak is None:
            self.skipped("it was not seen how much memory it takes", "memory")
            return
        usable = int(self.target.memory.usable_bytes.value)
        self.memory = MemoryUse(mode=place.mode, peak_bytes=peak, usable_bytes=usable)
        needs = f"{format_bytes(peak)} of the {format_bytes(usable)} that one program can have"
        findings: tuple[Finding, ...] = ()
        if peak > usable:
            finding = Finding(
                kind="out-of-memory",
                step="memory",
                what=f"it takes {needs}",
                remedy="boot a machine of that memory with --full-system to see it; take a smaller "
                "model or input, or a board with more memory",
                peak_bytes=peak,
            )
            findings = (finding,)
        self.ended("memory", findings, needs)


def _command(
    place: SetUp, bundle: Path, name: StepName, wall_s: float, counted: Path | None = None
) -> Ran:
    home = place.folder / "home"
    home.mkdir(exist_ok=True)
    return place.runner.run(bundle, name, "--json", home=home, wall_s=wall_s, counted=counted)


def _outputs(ran: Ran, manifest: Manifest) -> OutputCheck | None:
    """Return what the bundle's run said of its samples; None where it said nothing."""
    try:
        told = json.loads(ran.stdout)
        largest = told.get("largest_difference")
        return OutputCheck(
            samples=int(told["count"]),
            agreed=int(told["agreed"]),
            compare=manifest.samples.compare,
            largest_difference=None if largest is None else float(largest),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
