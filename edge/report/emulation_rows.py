"""What emulations showed, row by row: the same words for the terminal, Markdown and JUnit.

There is one table over all targets, for people, and one list of steps a target, for CI systems.
"""

from collections.abc import Iterator
from typing import Final

from edge.errors import printable
from edge.reasoning.cost_gate import change_text
from edge.records.emulation import Emulation, EmulationMatrix, NotEmulated, StepName, StepOutcome
from edge.report.emulation_words import (
    LONGEST,
    NOTHING,
    failure_text,
    finding_text,
    increase_text,
    largest_text,
    memory_text,
    outputs_text,
    place_texts,
    result_text,
    spread_text,
)
from edge.report.gate_rows import Mark, Row, Rows
from edge.units import UNKNOWN, format_bytes, format_count

_COLUMNS: Final = ("target", "verify", "run", "largest difference", "load", "first", "steady")
_MORE_COLUMNS: Final = ("steady against baseline", "peak memory", "result")
_NO_TIME: Final = (
    "load, first and steady are instructions, counted with one thread; they are no time"
)
_MARKS: Final[dict[StepOutcome, Mark]] = {"passed": "ok", "failed": "failed", "skipped": "skipped"}


def emulations_of(report: Emulation | EmulationMatrix) -> tuple[Emulation, ...]:
    """Return the emulations of a record of either kind, in order."""
    return report.emulations if isinstance(report, EmulationMatrix) else (report,)


def emulation_rows(report: Emulation | EmulationMatrix) -> Rows:
    """Put all targets into one table, with the findings in full."""
    emulations = emulations_of(report)
    failed = report.not_emulated if isinstance(report, EmulationMatrix) else ()
    gated = any(emulation.cost_changes for emulation in emulations)
    columns = (*_COLUMNS, *(_MORE_COLUMNS if gated else _MORE_COLUMNS[1:]))
    rows = [_target_row(emulation, gated=gated) for emulation in emulations]
    rows += [_failed_row(one, len(columns)) for one in failed]
    findings = [
        f"{printable(emulation.target)}: {finding_text(finding)}"
        for emulation in emulations
        for finding in emulation.findings
    ]
    findings += [f"{printable(one.target)}: not emulated: {failure_text(one)}" for one in failed]
    # What several targets have in common is said once.
    alike: dict[str, list[str]] = {}
    for emulation in emulations:
        for difference in emulation.place.differences:
            alike.setdefault(printable(difference, LONGEST), []).append(printable(emulation.target))
    remarks = [f"{', '.join(targets)}: {said}" for said, targets in alike.items()]
    if isinstance(report, EmulationMatrix):
        facts, title = _matrix_facts(report), f"emulation of {printable(report.model)}"
    else:
        facts, title = _facts(report), _title(report)
    return Rows(
        title=title,
        group="edgekit.emulate",
        columns=columns,
        rows=tuple(rows),
        facts=facts,
        remarks=(_NO_TIME, *remarks),
        flaws=(),
        findings=tuple(findings),
    )


def emulation_suites(report: Emulation | EmulationMatrix) -> tuple[Rows, ...]:
    """Return the steps of each target; a target that could not be emulated has one open row."""
    suites = [_suite(emulation) for emulation in emulations_of(report)]
    if isinstance(report, EmulationMatrix):
        suites += [_failed_suite(one, report) for one in report.not_emulated]
    return tuple(suites)


def _facts(emulation: Emulation) -> tuple[tuple[str, str], ...]:
    facts = [
        ("model", printable(emulation.model)),
        ("model sha256", printable(emulation.model_sha256)),
        ("bundle", printable(emulation.bundle)),
        ("bundle sha256", printable(emulation.bundle_sha256 or UNKNOWN)),
        ("target", printable(emulation.target)),
        ("runtime", printable(emulation.runtime)),
        *place_texts(emulation.place),
        ("outputs", outputs_text(emulation.outputs)),
    ]
    counts = emulation.counts
    if counts is not None:
        facts += [
            ("instructions of load", str(counts.load_count)),
            ("instructions of the first inference", str(counts.first_count)),
            ("instructions of a steady inference", str(counts.steady)),
            ("spread of steady", spread_text(counts.spread)),
        ]
    facts.append(("memory", memory_text(emulation.memory)))
    return (*facts, ("edgekit", printable(emulation.edgekit_version)))


def _title(emulation: Emulation) -> str:
    return f"emulation of {printable(emulation.bundle)} on {printable(emulation.target)}"


def _matrix_facts(matrix: EmulationMatrix) -> tuple[tuple[str, str], ...]:
    runtimes = sorted({printable(emulation.runtime) for emulation in matrix.emulations})
    emulators = {e.place.emulator for e in matrix.emulations if e.place.emulator is not None}
    return (
        ("model", printable(matrix.model)),
        ("runtime", ", ".join(runtimes) or UNKNOWN),
        ("emulator", ", ".join(sorted(map(printable, emulators))) or "none"),
        ("edgekit", printable(matrix.edgekit_version)),
    )


def _target_row(emulation: Emulation, *, gated: bool) -> Row:
    outcomes = {step.name: step.outcome for step in emulation.steps}
    counts, memory = emulation.counts, emulation.memory
    name, result = printable(emulation.target), result_text(emulation)
    peak = None if memory is None else memory.peak_bytes
    steady = [c for c in emulation.cost_changes if c.phase == "steady"]
    cells = (
        name,
        outcomes.get("verify", NOTHING),
        outcomes.get("run", NOTHING),
        largest_text(emulation.outputs),
        NOTHING if counts is None else format_count(counts.load_count),
        NOTHING if counts is None else format_count(counts.first_count),
        NOTHING if counts is None else format_count(counts.steady),
        *((increase_text(steady[0]) if steady else NOTHING,) if gated else ()),
        NOTHING if peak is None else format_bytes(peak),
        result,
    )
    mark: Mark = "ok" if emulation.passed else "failed"
    return Row(name=name, mark=mark, answer=result, cells=cells, reason=result)


def _failed_row(one: NotEmulated, columns: int) -> Row:
    name = printable(one.target)
    cells = (name, *(NOTHING,) * (columns - 2), "not emulated")
    return Row(name=name, mark="open", answer="not emulated", cells=cells, reason=failure_text(one))


def _suite(emulation: Emulation) -> Rows:
    target = printable(emulation.target)
    return Rows(
        title=_title(emulation),
        group=f"edgekit.emulate.{target}",
        columns=(),
        rows=tuple(_cases(emulation)),
        facts=_facts(emulation),
        remarks=tuple(printable(d, LONGEST) for d in emulation.place.differences),
        flaws=(),
    )


def _cases(emulation: Emulation) -> Iterator[Row]:
    """Return a row for each step; of several findings of a step each has a row of its own."""
    names: list[StepName] = [step.name for step in emulation.steps]
    names += [finding.step for finding in emulation.findings]
    steps = {step.name: step for step in emulation.steps}
    for name in dict.fromkeys(names):
        findings = [finding for finding in emulation.findings if finding.step == name]
        for number, finding in enumerate(findings, 1):
            row = name if number == 1 else f"{name} ({number})"
            reason = finding_text(finding).removeprefix(f"{name}: ")
            yield Row(name=row, mark="failed", answer=finding.kind, cells=(), reason=reason)
        if findings:
            continue
        step, told = steps[name], [printable(steps[name].note, LONGEST)]
        if name == "count":
            told += [f"{change.phase}: {change_text(change)}" for change in emulation.cost_changes]
        mark = _MARKS[step.outcome]
        reason = "; ".join(told)
        yield Row(name=name, mark=mark, answer=step.outcome, cells=(), reason=reason)


def _failed_suite(one: NotEmulated, matrix: EmulationMatrix) -> Rows:
    target = printable(one.target)
    reason = failure_text(one)
    return Rows(
        title=f"emulation of {printable(matrix.model)} on {target}",
        group=f"edgekit.emulate.{target}",
        columns=(),
        rows=(Row(name="emulate", mark="open", answer=one.family, cells=(), reason=reason),),
        facts=(
            ("model", printable(matrix.model)),
            ("target", target),
            ("edgekit", printable(matrix.edgekit_version)),
        ),
        remarks=(),
        flaws=(),
    )
