"""What an emulation showed, in words: the same on the terminal, in Markdown and in JUnit."""

from typing import Final

from edge.errors import printable
from edge.records.emulation import (
    CostChange,
    Emulation,
    Finding,
    MemoryUse,
    NotEmulated,
    OutputCheck,
    Place,
)
from edge.report.text import plural
from edge.units import UNKNOWN, format_bytes, three_digits

NOTHING: Final = "–"
LONGEST: Final = 500


def finding_text(finding: Finding) -> str:
    """Say a finding in a line: where, what, of which kind, and what to do."""
    what = printable(finding.what, LONGEST)
    return f"{finding.step}: {what} ({finding.kind}): {printable(finding.remedy, LONGEST)}"


def failure_text(one: NotEmulated) -> str:
    """Say why a target could not be emulated, and what to do."""
    hint = "" if one.hint is None else f": {printable(one.hint, LONGEST)}"
    return f"{printable(one.what, LONGEST)}{hint}"


def outputs_text(outputs: OutputCheck | None) -> str:
    """Say how many samples agree, and the largest difference of an output."""
    if outputs is None:
        return UNKNOWN
    agreed = f"{outputs.agreed} of {plural(outputs.samples, 'sample')} agree"
    return f"{agreed} ({printable(outputs.compare)}), largest difference {largest_text(outputs)}"


def largest_text(outputs: OutputCheck | None) -> str:
    """Say the largest difference of an output."""
    if outputs is None or outputs.largest_difference is None:
        return NOTHING
    return three_digits(outputs.largest_difference)


def memory_text(memory: MemoryUse | None) -> str:
    """Say what it took at most, what there is, and how that is known."""
    if memory is None:
        return UNKNOWN
    told = f"peak {format_bytes(memory.peak_bytes)}, usable {format_bytes(memory.usable_bytes)}"
    if memory.mode != "full-system":
        how = "under user-mode emulation" if memory.mode == "user" else "natively"
        return f"{told}, {how}"
    told += f", on a machine with {format_bytes(memory.machine_bytes)}"
    if memory.available_bytes is not None:
        told += f" that has {format_bytes(memory.available_bytes)} left for programs"
    if memory.sufficient_bytes is not None:
        told += f"; the smallest that did: {format_bytes(memory.sufficient_bytes)}"
    return told


def place_texts(place: Place) -> tuple[tuple[str, str], ...]:
    """Say what stands in for the target."""
    core = "this machine's own" if place.qemu_cpu is None else printable(place.qemu_cpu)
    return (
        ("system", printable(place.system)),
        ("Python", printable(place.python)),
        ("glibc", printable(place.glibc)),
        ("processor", core),
        ("emulator", "none" if place.emulator is None else printable(place.emulator)),
    )


def spread_text(spread: float) -> str:
    """Say a spread in per cent: `0.02 %`; it is of one inference only where it is 0."""
    return f"{three_digits(100 * spread)} %"


def increase_text(change: CostChange) -> str:
    """Say by how much a count is above the baseline's: `+2.1 %`."""
    sign = "+" if change.now > change.baseline else "-" if change.now < change.baseline else ""
    return f"{sign}{three_digits(100 * abs(change.increase))} %"


def result_text(emulation: Emulation) -> str:
    """Say how many findings there are."""
    return plural(len(emulation.findings), "finding") if emulation.findings else "nothing found"
