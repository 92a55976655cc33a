"""Boots a machine with the target's memory and runs a bundle in it, to see whether it is enough."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.files import host_error
from edge.adapters.machine import Machine, host_memory_bytes
from edge.adapters.machine_console import Booted
from edge.adapters.machine_image import make_disk
from edge.adapters.machine_kernel import machine_kernel
from edge.adapters.programs import host_program
from edge.adapters.roots import base_root
from edge.errors import ConfigError, EmulationError, printable
from edge.reasoning.findings import findings_of
from edge.reasoning.memory_search import Attempt, Smallest, board_bytes, smallest_memory
from edge.reasoning.stand_in import stand_in_for, system_packages
from edge.records.emulation import Finding, MemoryUse, Step
from edge.records.manifest import Manifest
from edge.records.target import Target
from edge.units import format_bytes

Progress = Callable[[float], None]

# In what a booted machine differs from the board, whatever the target.
DIFFERENCES: Final = (
    "The full system has Debian's kernel for virtual machines, and none of the board's devices.",
    "The full system has no swap, where the board's system may have some.",
    "In the full system, what the board's system and GPU take is taken away in one piece.",
)
_LARGEST_BYTES: Final = 8 << 30
_MOST_BOOTS: Final = 4
_CORE: Final = re.compile(r"cortex-a(?:35|53|55|57|72|76)\b")
_PREPARED, _FIRST = 0.2, 0.5
# What a runtime says when the system refuses it memory before anything is killed.
_REFUSED: Final = (
    "std::bad_alloc",
    "MemoryError",
    "Cannot allocate memory",
    "out of memory",
    "ran out of the memory",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FullSystem:
    """What a booted machine showed of a bundle."""

    step: Step
    findings: tuple[Finding, ...]
    memory: MemoryUse


def full_system(
    bundle: Path,
    manifest: Manifest,
    target: Target,
    *,
    progress: Progress = lambda _fraction: None,
    search: bool = True,
) -> FullSystem:
    """Boot the target's memory, run the bundle's samples in it, and say whether it sufficed.

    Where it did not, with `search` the smallest memory that does is found by booting.

    Raises:
        ConfigError: no machine like the target can be booted.
        EmulationError: the machine did not start, or told nothing.
        HostError: what it needs cannot be had here, with a remedy.
    """
    qemu_cpu = machine_core(target)
    try:
        scratch = tempfile.TemporaryDirectory(prefix="edgekit-machine-", ignore_cleanup_errors=True)
    except OSError as error:
        raise host_error(error, tempfile.gettempdir()) from error
    with scratch as name:
        machine = _prepared(
            bundle, target, qemu_cpu, Path(name), lambda part: progress(_PREPARED * part)
        )
        fitted = int(target.memory.capacity_bytes.value)
        usable = int(target.memory.usable_bytes.value)
        booted = machine.boot(
            fitted,
            usable_bytes=usable,
            progress=lambda part: progress(_PREPARED + (_FIRST - _PREPARED) * part),
        )
        smallest = None
        if search and _ran_out(booted):
            smallest = _smallest(
                machine, fitted, booted, lambda part: progress(_FIRST + (1 - _FIRST) * part)
            )
    progress(1.0)
    return _told(booted, smallest, manifest, target, searched=search)


def machine_core(target: Target) -> str:
    """Return the core of a machine for the target; a 32-bit system has a 64-bit kernel there.

    Raises:
        ConfigError: there is none.
    """
    if target.emulation is not None and target.cpu.architecture == "aarch64":
        return target.emulation.qemu_cpu
    found = _CORE.search(target.cpu.model.lower())
    if found is None or target.cpu.architecture != "armv7l":
        what = "only machines with a 64-bit Arm processor can be booted"
        hint = "leave out --full-system: its memory is limited all the same"
        raise ConfigError(what, where=target.name, hint=hint)
    return found.group()


def _prepared(
    bundle: Path, target: Target, qemu_cpu: str, folder: Path, progress: Progress
) -> Machine:
    stand_in = stand_in_for(target)
    emulator = host_program("qemu-system-aarch64", lambda part: progress(0.4 * part))
    mke2fs = host_program("mke2fs")
    kernel = machine_kernel(lambda part: progress(0.4 + 0.2 * part))
    base = base_root(
        stand_in.suite,
        stand_in.python,
        target.cpu.architecture,
        apt_packages=system_packages(target),
        progress=lambda part: progress(0.6 + 0.3 * part),
    )
    disk = folder / "disk"
    make_disk(base, bundle, disk, mke2fs)
    progress(1.0)
    return Machine(
        emulator=emulator,
        kernel=kernel,
        disk=disk,
        python=stand_in.python,
        qemu_cpu=qemu_cpu,
        # qemu's virt machine has at most eight with the interrupt controller that all cores know.
        cores=min(int(target.cpu.cores.value), 8),
    )


def _ran_out(booted: Booted) -> bool:
    if booted.killed is not None:
        return True
    words = booted.ran.stdout + booted.ran.stderr
    return booted.ran.status != 0 and any(word in words for word in _REFUSED)


def _smallest(
    machine: Machine, failed_bytes: int, first: Booted, progress: Progress
) -> Smallest | None:
    """Boot machines with more memory, of which as much is taken away as of the first."""
    reserved = first.free_bytes - first.available_bytes
    boots = 0

    def attempt(size: int) -> Attempt:
        nonlocal boots
        before, boots = boots, boots + 1
        try:
            booted = machine.boot(
                size,
                reserved_bytes=reserved,
                progress=lambda part: progress((before + part) / _MOST_BOOTS),
            )
        except EmulationError:
            # With too little memory the kernel gives up.
            return Attempt(sufficed=False)
        if booted.ran.status != 0:
            return Attempt(sufficed=False)
        # What the system takes on a machine of that size, and what the bundle does.
        return Attempt(sufficed=True, needs_bytes=size - booted.available_bytes + booted.peak_bytes)

    largest = min(_LARGEST_BYTES, host_memory_bytes())
    return smallest_memory(attempt, failed_bytes, largest_bytes=largest, most=_MOST_BOOTS)


def _told(
    booted: Booted, smallest: Smallest | None, manifest: Manifest, target: Target, *, searched: bool
) -> FullSystem:
    fitted = int(target.memory.capacity_bytes.value)
    memory = MemoryUse(
        mode="full-system",
        peak_bytes=booted.peak_bytes,
        usable_bytes=int(target.memory.usable_bytes.value),
        machine_bytes=fitted,
        available_bytes=booted.available_bytes,
        sufficient_bytes=smallest.bytes if smallest else None,
    )
    findings: tuple[Finding, ...]
    if _ran_out(booted):
        findings = (_out_of_memory(booted, smallest, target, searched=searched),)
    else:
        findings = findings_of("memory", booted.ran, manifest)
    spare = booted.available_bytes - booted.peak_bytes
    note = (
        f"it takes {format_bytes(booted.peak_bytes)} of the {format_bytes(booted.available_bytes)} "
        f"that are free of {format_bytes(fitted)}: {format_bytes(max(spare, 0))} to spare"
    )
    step = Step(
        name="memory",
        outcome="failed" if findings else "passed",
        note=findings[0].what if findings else note,
    )
    return FullSystem(step=step, findings=findings, memory=memory)


def _out_of_memory(
    booted: Booted, smallest: Smallest | None, target: Target, *, searched: bool
) -> Finding:
    available = format_bytes(booted.available_bytes)
    if booted.killed is not None:
        what = (
            f"out of memory: the kernel killed {printable(booted.killed.program)} when it had "
            f"{format_bytes(booted.peak_bytes)} of the {available} that {target.title} has free"
        )
    else:
        what = (
            f"out of memory: it was refused more than the {available} that {target.title} has free"
        )
    remedy = "take a smaller model or batch, or one in int8"
    if smallest is not None:
        suffices = f"{smallest.bytes >> 20} MiB"
        what += f"; a machine with {suffices} suffices"
        what += "" if smallest.exact else ", perhaps one with less"
        if board := board_bytes(smallest.bytes):
            remedy += f", or a board with {board >> 30} GB"
    elif searched:
        what += f"; not even {_LARGEST_BYTES >> 30} GB were seen to suffice"
    return Finding(
        kind="out-of-memory",
        step="memory",
        what=what,
        remedy=remedy,
        peak_bytes=booted.peak_bytes,
        sufficient_bytes=smallest.bytes if smallest else None,
    )
