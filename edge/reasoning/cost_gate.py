"""Holds instruction counts to a baseline's: a gate that does not flicker on a noisy machine.

Load, first and steady inference all decide: the user waits for the first two at each start and
pays for the third with each query, whether the model or the runtime made it dearer. The import of
the runtime is counted, but it is the Python's and the runtime's, and decides nothing.
"""

import math
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from edge.errors import ConfigError, printable
from edge.records.emulation import CostChange, Emulation, Finding
from edge.units import format_count, three_digits

# Counts of the same inference, with one thread, repeat to within this part of themselves; below
# twice as much a gate is near what repetition alone makes of it.
REPEATS_WITHIN: Final = 0.005
_NEAR_THE_NOISE: Final = 2 * REPEATS_WITHIN
# What the slowest board does in some twenty microseconds. The first inference of a small model takes
# 154,196 instructions or 161,063, by where its memory happens to lie; later ones are the same.
_FLOOR_COUNT: Final = 20_000
_Phase: TypeAlias = Literal["load", "first", "steady"]
_PHASES: Final[dict[_Phase, str]] = {
    "load": "opening the model",
    "first": "the first inference",
    "steady": "a steady inference",
}
_REMEDY: Final = (
    "if it was meant, make a new baseline with -o; else look at what changed in the model, in its "
    "quantisation and in the runtime"
)


def cost_changes(
    baseline: Emulation, now: Emulation, max_increase: float
) -> tuple[CostChange, ...]:
    """Hold the counts of load, first and steady inference to the baseline's.

    `max_increase` is in parts (0.02). Another version of the model or of the runtime is what a gate
    is for; `gate_remarks` says so. Load and first inference happen once: 20,000 instructions more
    are always allowed them.

    Raises:
        ConfigError: they are of another target or core, or one of them has no counts.
    """
    if not math.isfinite(max_increase) or max_increase < 0:
        raise ConfigError(f"an increase of {max_increase} cannot be allowed", where="max_increase")
    _require_comparable(baseline, now)
    old, new = baseline.counts, now.counts
    if old is None:
        hint = "make it with edgekit emulate -o, without --no-count, on an emulated target"
        what = f"the baseline of {printable(baseline.target)} has no instruction counts"
        raise ConfigError(what, where="baseline", hint=hint)
    if new is None:
        hint = "leave out --no-count; a target that runs natively cannot be counted"
        what = f"nothing was counted on {printable(now.target)}, so nothing can be held"
        raise ConfigError(what, where="baseline", hint=hint)

    def change(phase: _Phase, before: int, after: int, floor: int = _FLOOR_COUNT) -> CostChange:
        allowed = max(max_increase, floor / max(before, 1))
        return CostChange(phase=phase, baseline=before, now=after, allowed=allowed)

    return (
        change("load", old.load_count, new.load_count),
        change("first", old.first_count, new.first_count),
        change("steady", old.steady, new.steady, floor=0),
    )


def gate_remarks(baseline: Emulation, now: Emulation, max_increase: float) -> tuple[str, ...]:
    """Say in what the two differ that may explain a change, and whether the gate is too tight."""
    return tuple(_remarks(baseline, now, max_increase))


def cost_findings(changes: tuple[CostChange, ...]) -> tuple[Finding, ...]:
    """Return a finding for every count that grew by more than is allowed."""
    return tuple(
        Finding(
            kind="cost-increase",
            step="count",
            what=f"{_PHASES[change.phase]} takes {change_text(change)}",
            remedy=_REMEDY,
        )
        for change in changes
        if change.exceeded
    )


def change_text(change: CostChange) -> str:
    """Say a change: `126 M instructions, 5 % more than the baseline's 120 M (allowed: 2 %)`."""
    now, before = format_count(change.now), format_count(change.baseline)
    if change.now == change.baseline:
        return f"{now} instructions, as many as the baseline"
    more = "more" if change.now > change.baseline else "fewer"
    by = f"{three_digits(100 * abs(change.increase))} % {more} than the baseline's {before}"
    return f"{now} instructions, {by} (allowed: {three_digits(100 * change.allowed)} %)"


def _require_comparable(baseline: Emulation, now: Emulation) -> None:
    hint = "hold it to a baseline of the same target, or make one with -o"
    if baseline.target != now.target:
        what = f"the baseline is of {printable(baseline.target)}, this is {printable(now.target)}"
        raise ConfigError(what, where="baseline", hint=hint)
    if baseline.place.qemu_cpu != now.place.qemu_cpu:
        what = f"the baseline was counted on {_core(baseline)}, this on {_core(now)}"
        raise ConfigError(what, where="baseline", hint=hint)


def _core(emulation: Emulation) -> str:
    core = emulation.place.qemu_cpu
    return "this machine's own processor" if core is None else f"a {printable(core)}"


def _remarks(baseline: Emulation, now: Emulation, max_increase: float) -> Iterator[str]:
    if baseline.model != now.model:
        other = f"{printable(baseline.model)}, this is {printable(now.model)}"
        yield f"the baseline is of another model: {other}"
    elif baseline.model_sha256 != now.model_sha256:
        yield f"the baseline is of another version of {printable(now.model)}"
    pairs: tuple[tuple[str, str | None, str | None], ...] = (
        ("runtime", baseline.runtime, now.runtime),
        ("system", baseline.place.system, now.place.system),
        ("Python", baseline.place.python, now.place.python),
        ("emulator", baseline.place.emulator, now.place.emulator),
        ("edgekit", baseline.edgekit_version, now.edgekit_version),
    )
    for name, was, is_now in pairs:
        if was != is_now:
            other = f"{printable(was or 'none')}, this one's {printable(is_now or 'none')}"
            yield f"the baseline's {name} is {other}"
    if max_increase < _NEAR_THE_NOISE:
        yield (
            f"counts repeat within {100 * REPEATS_WITHIN:g} %, so a gate at "
            f"{three_digits(100 * max_increase)} % is near the noise: 1 % or more holds still"
        )
