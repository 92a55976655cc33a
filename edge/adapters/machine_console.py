"""Reads an emulated machine's console: the report between whatever else it printed.

A line of the report is "@edgekit SUM N/COUNT DATA": its CRC-32, its number, and a part of the
base64 of compressed JSON (edge.adapters.machine_guest writes them). The program in the machine can
print anything, so nothing here trusts it.
"""

import base64
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.records.emulation import Ran

_LINE: Final = re.compile(r"@edgekit ([0-9a-f]{8}) ((\d{1,6})/(\d{1,6}) ([A-Za-z0-9+/=]+))")
_FAILED: Final = re.compile(r"@edgekit-failed ([a-z _]{1,40})")
_KILLED: Final = re.compile(
    r"Killed process \d+ \(([^)]{1,64})\).{0,40}?anon-rss:(\d{1,12})kB, file-rss:(\d{1,12})kB"
    r"(?:, shmem-rss:(\d{1,12})kB)?"
)
_PANIC: Final = re.compile(r"Kernel panic - not syncing: ([^\r\n]{1,200})")
_LARGEST_REPORT_BYTES: Final = 16 << 20
_LARGEST_KB: Final = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A process that the kernel killed for want of memory, with what it had, and ended the run."""

    program: str
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """What a machine told of itself.

    `total_bytes` and `free_bytes` are MemTotal and MemAvailable when it had started,
    `available_bytes` what it had left after taking away what the board's system takes.
    `peak_bytes` is of the process that ran the model: of those of a second run, where nothing is
    unpacked and prepared, the one that had most; or what the one that was killed had.
    """

    total_bytes: int
    free_bytes: int
    available_bytes: int
    peak_bytes: int
    ran: Ran
    killed: Killed | None


def read_console(console: bytes) -> Booted | None:
    """Return what a machine reported; None where it did not come to that."""
    text = console.decode("utf-8", "replace")
    report = _report(text)
    if report is None:
        return None
    try:
        status = report["status"]
        lines = [line for line in report["kernel"] if isinstance(line, str)]
        # A process that only prepares may be killed, and the bundle does without.
        killed = None if status == 0 else _killed("\n".join(lines))
        peak = _kilobytes(report, "peak_kb") if killed is None else killed.peak_bytes
        return Booted(
            total_bytes=_kilobytes(report, "total_kb"),
            free_bytes=_kilobytes(report, "free_kb"),
            available_bytes=_kilobytes(report, "available_kb"),
            peak_bytes=peak,
            ran=Ran(
                status=None if status is None else int(status),
                stdout=str(report["stdout"]),
                stderr=str(report["stderr"]),
            ),
            killed=killed,
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def failure_words(console: bytes) -> str:
    """Return why a machine that reported nothing may have ended, in one line."""
    text = console.decode("utf-8", "replace")
    if found := _PANIC.search(text):
        return f"its kernel panicked: {found.group(1).strip()}"
    if found := _FAILED.search(text):
        return f"its first process failed: {found.group(1).strip()}"
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return f"its last words: {said[-1][:200]}" if said else "it said nothing"


def _report(text: str) -> Mapping[str, Any] | None:
    parts: dict[int, str] = {}
    counts = set()
    for check, told, number, count, data in _LINE.findall(text):
        if zlib.crc32(told.encode()) == int(check, 16):
            parts[int(number)] = data
            counts.add(int(count))
    if len(counts) != 1 or set(parts) != set(range(1, counts.pop() + 1)):
        return None
    data = "".join(parts[number] for number in sorted(parts))
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(data, validate=True), _LARGEST_REPORT_BYTES)
        report = json.loads(raw)
    except (ValueError, zlib.error, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def _kilobytes(report: Mapping[str, Any], key: str) -> int:
    """Return a size in bytes.

    Raises:
        ValueError: it cannot be one.
    """
    value = int(report[key])
    if not 0 <= value <= _LARGEST_KB:
        raise ValueError(key)
    return value << 10


def _killed(text: str) -> Killed | None:
    """Return the last of those that the kernel says that it killed."""
    found = [
        Killed(program=name, peak_bytes=sum(int(size or 0) for size in sizes) << 10)
        for name, *sizes in _KILLED.findall(text)
    ]
    return found[-1] if found else None
