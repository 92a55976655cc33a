"""Counts the instructions of an emulated program: builds qemu's plugin, and reads what it wrote."""

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.files import read_text, whole_file
from edge.adapters.store import cache_folder
from edge.device import counting
from edge.errors import EmulationError, HostError, printable
from edge.records.emulation import InstructionCounts

_SOURCE: Final = Path(__file__).with_name("counter.c")
_COMPILERS: Final = ("cc", "gcc", "clang")
_OPTIONS: Final = ("-shared", "-fPIC", "-O2", "-fvisibility=hidden")
_LONGEST_BUILD_S: Final = 120
_LINE: Final = re.compile(r"edgekit-count 1 (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", re.ASCII)
_AGAIN_HINT: Final = "run it again; the program was ended, or the disk is full"
# What has to be there, in this order; the repeated ones stand once.
_NAMES: Final[Mapping[int, str]] = {
    counting.BEGIN: "the beginning",
    counting.IMPORTED: "the import",
    counting.LOADED: "the loading of the model",
    counting.BOUND: "the binding of the inputs",
    counting.FIRST: "the first inference",
    counting.WARMED: "a warm-up",
    counting.STEADY: "a steady inference",
    counting.EMPTY: "the empty mark",
    counting.END: "the end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted in one process, and the most memory that it was seen to need."""

    counts: InstructionCounts
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class _Mark:
    """One line of the plugin; the sizes are resident, in kB."""

    pid: int
    mark: int
    count: int
    guest_kb: int
    emulator_kb: int
    peak_kb: int


def counter_plugin() -> Path:
    """Return the plugin that counts, built for this machine's qemu, from the cache if there.

    Raises:
        HostError: there is no C compiler here, it fails, or the cache cannot be written.
    """
    compiler = _compiler()
    version = _run([*compiler, "--version"])
    told = [_SOURCE.read_text(encoding="utf-8"), *compiler, version, platform.machine(), *_OPTIONS]
    digest = hashlib.sha256("\0".join(told).encode()).hexdigest()
    plugin = cache_folder("emulation", "plugins") / f"counter-{digest[:32]}.so"
    if not plugin.is_file():
        with whole_file(plugin) as staged:
            _run([*compiler, *_OPTIONS, "-o", str(staged), str(_SOURCE)])
    return plugin


def _compiler() -> list[str]:
    chosen = shlex.split(os.environ.get("CC", ""))
    for command in [chosen] if chosen else [[name] for name in _COMPILERS]:
        path = shutil.which(command[0])
        if path is not None:
            return [path, *command[1:]]
    what = f"there is no C compiler: {chosen[0]}" if chosen else "there is no C compiler here"
    hint = "to count instructions, install one (apt-get install gcc libc6-dev), or set CC"
    raise HostError(what, hint=hint)


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_BUILD_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"cannot be run: {printable(error)}", where=command[0]) from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        wrong = next((line for line in said if "error" in line), said[-1] if said else "no words")
        hint = "it needs the C library's headers: apt-get install gcc libc6-dev"
        what = f"the C compiler fails: {printable(wrong)}"
        raise HostError(what, where=command[0], hint=hint)
    return done.stdout.decode("utf-8", "replace")


def read_counts(path: Path) -> Counted:
    """Read what the plugin wrote of the one process that marked its work.

    What a mark itself costs is taken off. The peak is the largest of what the guest was seen to
    have, and of the process's own peak less what the emulator had at that mark.

    Raises:
        EmulationError: there is no such file, it is damaged, or marks are missing.
    """
    marks = _marks(path)
    at = 0
    counts: dict[int, list[int]] = {}
    for mark, name in _NAMES.items():
        first = at
        while at < len(marks) and marks[at].mark == mark:
            at += 1
        found = at - first
        if found == 0 or (found > 1 and mark not in (counting.WARMED, counting.STEADY)):
            what = f"{name} is missing" if found == 0 else f"{name} is marked {found} times"
            raise _damaged(what, path)
        counts[mark] = [
            marks[i].count - marks[i - 1].count if i else marks[i].count for i in range(first, at)
        ]
    if at != len(marks):
        raise _damaged("there are marks after the end", path)
    cost = counts[counting.END][0]
    if any(value < 0 for values in counts.values() for value in values):
        raise _damaged("a count is less than the one before it", path)

    def of(mark: int) -> tuple[int, ...]:
        return tuple(max(value - cost, 0) for value in counts[mark])

    peaks = [max(mark.guest_kb, mark.peak_kb - mark.emulator_kb) for mark in marks]
    return Counted(
        counts=InstructionCounts(
            import_count=of(counting.IMPORTED)[0],
            load_count=of(counting.LOADED)[0],
            first_count=of(counting.FIRST)[0],
            warmup_counts=of(counting.WARMED),
            steady_counts=of(counting.STEADY),
        ),
        peak_bytes=max(peaks) * 1024 if any(mark.guest_kb for mark in marks) else None,
    )


def _marks(path: Path) -> list[_Mark]:
    if not path.is_file():
        raise EmulationError(
            "no instructions were counted",
            where=path,
            hint="the emulator has no plugins, or the program ended before its first mark",
        )
    text = read_text(path, EmulationError)
    marks = []
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise _damaged(f"line {number} is damaged", path)
        marks.append(_Mark(*(int(part) for part in found.groups())))
    if text and not text.endswith("\n"):
        raise _damaged("its last line is cut off", path)
    processes = {mark.pid for mark in marks}
    if len(processes) > 1:
        raise _damaged(f"{len(processes)} processes marked their work", path)
    return marks


def _damaged(what: str, path: Path) -> EmulationError:
    return EmulationError(f"the instruction counts: {what}", where=path, hint=_AGAIN_HINT)
