"""Which steps follow which, and what is made of them; the place only says what a board would."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_emulations import PLACE, emulation
from small_bundle import write_small

import edge.workflows.emulate as workflow
from edge.adapters.targets import load_target
from edge.device import counting
from edge.errors import EmulationError
from edge.records.emulation import Ran
from edge.workflows.emulate import EmulateOptions
from edge.workflows.emulated_place import SetUp
from edge.workflows.emulation_steps import Course

FINE = Ran(status=0, stdout='{"count": 2, "agreed": 2, "largest_difference": 0.5}', stderr="")
WRONG = Ran(
    status=6,
    stdout=json.dumps(
        {
            "count": 2,
            "agreed": 1,
            "largest_difference": 9.0,
            "disagreements": [{"sample": 0, "output": "logits", "what": "entry [0] is 9"}],
        }
    ),
    stderr="",
)
DEAD = Ran(status=-11, stdout="", stderr="")


class Said:
    """A runner that says what it is told to say, and marks what it is told that was counted."""

    def __init__(self, *steady: int, **said: Ran) -> None:
        self.said = said
        self.steady = iter(steady)
        self.commands: list[str] = []

    def run(
        self, program: Path, *arguments: str, home: Path, wall_s: float, counted: Path | None = None
    ) -> Ran:
        assert program.is_absolute()
        assert home.is_dir()
        self.commands.append(arguments[0])
        if counted is not None:
            counted.write_text(marks(next(self.steady)), encoding="ascii")
        return self.said.get(arguments[0], FINE)


def marks(steady: int) -> str:
    """Return what the plugin writes of a run whose steady inferences take so many instructions."""
    numbers = (
        *(counting.BEGIN, counting.IMPORTED, counting.LOADED, counting.BOUND, counting.FIRST),
        *(counting.WARMED, counting.STEADY, counting.STEADY, counting.EMPTY, counting.END),
    )
    at, lines = 0, []
    for number in numbers:
        at += {counting.STEADY: steady, counting.EMPTY: 0, counting.END: 0}.get(number, 1_000_000)
        lines.append(f"edgekit-count 1 7 {number} {at} {80 << 10} 1000 {90 << 10}\n")
    return "".join(lines)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    manifest = write_small(tmp_path / "made.pyz").manifest
    return Course(manifest=manifest, target=load_target("rpi4"))


def place(runner: Said, folder: Path, **changes: Any) -> SetUp:
    given = {"place": PLACE, "runner": runner, "folder": folder, "mode": "user", "uncounted": None}
    return SetUp(**{**given, **changes})


def outcomes(course: Course) -> dict[str, str]:
    return {step.name: step.outcome for step in course.steps}


def run_all(course: Course, runner: Said, folder: Path, **changes: Any) -> None:
    course.run_all(
        place(runner, folder, **changes), folder / "x.pyz", lambda _part: None, counted=True
    )


def test_all_is_well(course: Course, tmp_path: Path) -> None:
    runner = Said(5_000_000)
    run_all(course, runner, tmp_path)
    assert runner.commands == ["verify", "run", "count"]
    assert outcomes(course) == dict.fromkeys(("verify", "run", "count", "memory"), "passed")
    assert course.findings == []
    assert course.outputs is not None
    assert (course.outputs.agreed, course.outputs.largest_difference) == (2, 0.5)
    assert course.counts is not None
    assert course.counts.steady_counts == (5_000_000, 5_000_000)
    assert course.memory is not None
    assert course.memory.peak_bytes == 89 * 1024 * 1024 + 24 * 1024


def test_what_does_not_start_is_not_run(course: Course, tmp_path: Path) -> None:
    runner = Said(verify=Ran(status=5, stdout="", stderr="error: x.pyz: the file is damaged\n"))
    run_all(course, runner, tmp_path)
    assert runner.commands == ["verify"]
    assert outcomes(course) == {"verify": "failed", "run": "skipped", "count": "skipped"}


def test_other_outputs_are_counted_all_the_same(course: Course, tmp_path: Path) -> None:
    runner = Said(5_000_000, run=WRONG)
    run_all(course, runner, tmp_path)
    assert runner.commands == ["verify", "run", "count"]
    assert [finding.kind for finding in course.findings] == ["wrong-output"]
    assert course.outputs is not None
    assert (course.outputs.agreed, course.outputs.samples) == (1, 2)


def test_what_dies_is_not_counted(course: Course, tmp_path: Path) -> None:
    runner = Said(run=DEAD)
    run_all(course, runner, tmp_path)
    assert runner.commands == ["verify", "run"]
    assert [finding.kind for finding in course.findings] == ["crash"]
    assert outcomes(course)["count"] == "skipped"


def test_a_place_that_cannot_count_says_why(course: Course, tmp_path: Path) -> None:
    run_all(
        course, Said(), tmp_path, mode="native", uncounted="nobody counts", peak_bytes=lambda: 1
    )
    told = {step.name: (step.outcome, step.note) for step in course.steps}
    assert told["count"] == ("skipped", "nobody counts")
    assert course.memory is not None
    assert (course.memory.mode, course.memory.peak_bytes) == ("native", 1)


def test_more_memory_than_a_program_can_have(course: Course, tmp_path: Path) -> None:
    run_all(course, Said(), tmp_path, mode="native", uncounted="nobody", peak_bytes=lambda: 8 << 30)
    (finding,) = course.findings
    assert (finding.kind, finding.step, finding.peak_bytes) == ("out-of-memory", "memory", 8 << 30)
    assert finding.what == "it takes 8 GiB of the 3.42 GiB that one program can have"


def emulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runner: Said, **changes: Any) -> Any:
    """Emulate a bundle whose place is one that only says what it is told."""
    from contextlib import nullcontext

    made = place(runner, tmp_path, **changes)
    monkeypatch.setattr(workflow, "set_up", lambda *_arguments, **_options: nullcontext(made))
    bundle = tmp_path / "small.pyz"
    write_small(bundle)
    options = EmulateOptions(target="rpi4", baseline=emulation())
    return workflow.emulate_bundle(bundle, options)


def steady(of: Any) -> dict[str, int]:
    return {change.phase: change.now for change in of.cost_changes}


def test_an_increase_is_counted_again_before_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The baseline's steady count is 119,905,000: the first run of these is odd, the second is not.
    runner = Said(130_000_000, 120_000_000, 999_000_000)
    found = emulated(monkeypatch, tmp_path, runner)
    assert runner.commands == ["verify", "run", "count", "count"]
    assert steady(found)["steady"] == 120_000_000
    assert [finding.kind for finding in found.findings if finding.step == "count"] == []


def test_an_increase_that_stays_is_told_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runner = Said(131_000_000, 130_000_000, 132_000_000)
    found = emulated(monkeypatch, tmp_path, runner)
    assert runner.commands.count("count") == 3
    assert steady(found)["steady"] == 130_000_000
    (finding,) = [finding for finding in found.findings if finding.step == "count"]
    assert finding.kind == "cost-increase"
    assert finding.what.startswith("a steady inference takes 130 M instructions, 8.42 % more")


def test_without_a_count_there_is_no_gate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("edge.workflows.emulation_steps.audit_findings", lambda *_: ())
    runner = Said()
    with pytest.raises(EmulationError) as caught:
        emulated(monkeypatch, tmp_path, runner, uncounted="there is no C compiler here")
    assert str(caught.value) == (
        "rpi4: nothing was counted, so nothing can be held to a baseline: "
        "there is no C compiler here"
    )


def test_a_native_target_is_held_to_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = emulated(monkeypatch, tmp_path, Said(), mode="native", uncounted="it runs natively")
    (step,) = [step for step in found.steps if step.name == "count"]
    assert step.note == "it runs natively; a native target is held to no baseline"
    assert found.cost_changes == ()
