"""What a gate found, row by row: the same words for the terminal, Markdown and JUnit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge.errors import printable
from edge.records.check import Check, LimitResult
from edge.records.comparison import Comparison, Comparisons
from edge.units import UNKNOWN, format_ns
from edge.workflows.checks import told

# A limit that was kept, one that was broken, one of which nothing is known, one that does not count,
# and what was left out.
Mark = Literal["ok", "failed", "open", "void", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One limit, pair or step: cells for a table, its mark, and the reason in a sentence."""

    name: str
    mark: Mark
    answer: str
    cells: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A table with its title, the facts of the machine, and remarks under it."""

    title: str
    group: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    facts: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    # What makes all of it count for nothing.
    flaws: tuple[str, ...]
    # What is wrong, each with what to do, told in full beside the table.
    findings: tuple[str, ...] = ()


def rows_of(report: Check | Comparisons) -> Rows:
    """Put a check or comparisons into rows."""
    return _check_rows(report) if isinstance(report, Check) else _comparison_rows(report)


_MARKS: dict[str, Mark] = {
    "passed": "ok",
    "missed": "failed",
    "not-shown": "open",
    "faster": "ok",
    "same": "ok",
    "slower": "failed",
    "undecided": "open",
}


def _check_rows(check: Check) -> Rows:
    return Rows(
        title=f"check of {printable(check.model)}",
        group="edgekit.check",
        columns=("limit", "allowed", "measured", "result"),
        rows=tuple(_limit_row(result, trusted=check.trusted) for result in check.results),
        facts=(
            ("model", printable(check.model)),
            ("model sha256", check.model_sha256),
            ("target", printable(check.target or UNKNOWN)),
            ("machine", printable(check.host)),
            ("runtime", f"{printable(check.runtime)}, threads: {check.threads}"),
            ("scenario", check.scenario),
            ("queries", str(check.queries)),
            ("edgekit", printable(check.edgekit_version)),
        ),
        remarks=tuple(f"{r.name}: {r.note}" for r in check.results if r.note is not None),
        flaws=tuple(printable(flaw) for flaw in check.flaws),
    )


def _limit_row(result: LimitResult, *, trusted: bool) -> Row:
    outcome = result.outcome.replace("-", " ")
    sign = "at least" if result.unit == "per_s" else "at most"
    return Row(
        name=result.name,
        mark=_MARKS[result.outcome] if trusted else "void",
        answer=outcome,
        cells=(
            result.name,
            f"{sign} {told(result.limit, result.unit)}",
            told(result.measured, result.unit) if result.measured is not None else result.reason,
            outcome if trusted else f"{outcome}, but flawed",
        ),
        reason=result.reason if result.note is None else f"{result.reason}; {result.note}",
    )


def _comparison_rows(found: Comparisons) -> Rows:
    pairs = found.pairs
    names = [pair_name(pair, pairs) for pair in pairs]
    remarks = [
        remark
        for name, pair in zip(names, pairs, strict=True)
        for remark in _pair_remarks(name, pair, several=len(pairs) > 1)
    ]
    remarks += [f"only in A: {printable(name)}" for name in found.only_a]
    remarks += [f"only in B: {printable(name)}" for name in found.only_b]
    return Rows(
        title=f"p{found.percentile:g} of {printable(found.b)} against {printable(found.a)}",
        group="edgekit.compare",
        columns=("model", "A", "B", "B minus A", "interval", "result"),
        rows=tuple(_pair_row(n, p) for n, p in zip(names, pairs, strict=True)),
        facts=(
            ("A", printable(found.a)),
            ("B", printable(found.b)),
            ("percentile", f"p{found.percentile:g}"),
            ("max increase", f"{100 * found.max_increase:g} %"),
            ("confidence", f"{100 * found.confidence:g} %"),
            ("machine", ", ".join(sorted({printable(p.host) for p in pairs}))),
            ("runtime", ", ".join(sorted({printable(p.runtime) for p in pairs}))),
            ("edgekit", printable(found.edgekit_version)),
        ),
        remarks=tuple(remarks),
        flaws=tuple(f"B lacks {printable(name)}" for name in found.only_a),
    )


def pair_name(pair: Comparison, among: Sequence[Comparison]) -> str:
    """Name a pair: the model, and of several of that name what tells them apart."""
    name = printable(pair.name)
    if sum(other.name == pair.name for other in among) == 1:
        return name
    on = "" if pair.target is None else f", {printable(pair.target)}"
    return f"{name} ({printable(pair.runtime)}, threads: {pair.threads}, {pair.scenario}{on})"


def _pair_row(name: str, pair: Comparison) -> Row:
    shift, interval = UNKNOWN, UNKNOWN
    if pair.shift_ns is not None:
        shift = _signed(pair.shift_ns)
        if pair.a_ns:
            shift += f" ({100 * pair.shift_ns / pair.a_ns:+.2g} %)"
    if pair.low_ns is not None and pair.high_ns is not None:
        interval = f"{_signed(pair.low_ns)} to {_signed(pair.high_ns)}"
    answer = pair.answer if pair.trusted else f"{pair.answer}, but not trustworthy"
    return Row(
        name=name,
        mark=_MARKS[pair.answer] if pair.trusted else "void",
        answer=pair.answer,
        cells=(name, format_ns(pair.a_ns), format_ns(pair.b_ns), shift, interval, answer),
        reason=pair.reason if pair.trusted else "; ".join((pair.reason, *_doubts(pair))),
    )


def _signed(duration_ns: float) -> str:
    return ("+" if duration_ns > 0 else "") + format_ns(duration_ns)


def _doubts(pair: Comparison) -> list[str]:
    found = [f"A is flawed: {printable(flaw)}" for flaw in pair.flaws_a]
    found += [f"B is flawed: {printable(flaw)}" for flaw in pair.flaws_b]
    return found + [
        f"unlike {u.what}: {printable(u.a)} against {printable(u.b)}"
        for u in pair.unlike
        if u.decides
    ]


def _pair_remarks(name: str, pair: Comparison, *, several: bool) -> list[str]:
    told_of = f"{name}: " if several else ""
    remarks = [pair.reason, *_doubts(pair)]
    remarks += [
        f"not alike: {u.what}: {printable(u.a)} against {printable(u.b)}"
        for u in pair.unlike
        if not u.decides
    ]
    if "blocks" in pair.test:
        remarks.append(
            "one process each: another one of the same model may differ by 2 to 5 %, at times by 20 %"
        )
    return [told_of + remark for remark in remarks]
