"""What an emulated machine tells on its console, whatever else is printed there."""

import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.adapters import machine_guest
from edge.adapters.machine_console import Booted, Killed, failure_words, read_console
from edge.records.emulation import Ran

REPORT: dict[str, Any] = {
    "total_kb": 490_000,
    "free_kb": 450_000,
    "available_kb": 307_200,
    "peak_kb": 73_728,
    "status": 0,
    "stdout": "é\n" * 2000,
    "stderr": "",
    "kernel": [],
}
KILL = (
    "Out of memory: Killed process 77 (python3.11) total-vm:990000kB, anon-rss:300000kB, "
    "file-rss:1000kB, shmem-rss:24kB, UID:0 pgtables:1kB oom_score_adj:0"
)


def told(report: Any) -> bytes:
    """Return what the guest prints for a report."""
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        machine_guest._tell(report)
    return stream.getvalue().encode()


def test_a_report_is_read_between_other_lines() -> None:
    lines = told({**REPORT, "stdout": json.dumps(list(range(3000)))}).splitlines()
    assert len(lines) > 4
    console = b"[    0.1] Booting\r\n" + b"\r\nnoise @edgekit\r\n".join(lines) + b"\r\nPower down"
    assert read_console(console) == Booted(
        total_bytes=490_000 << 10,
        free_bytes=450_000 << 10,
        available_bytes=307_200 << 10,
        peak_bytes=72 << 20,
        ran=Ran(status=0, stdout=json.dumps(list(range(3000))), stderr=""),
        killed=None,
    )


def test_the_last_process_that_was_killed_is_the_one_that_ended_the_run() -> None:
    earlier = KILL.replace("300000", "350000")
    booted = read_console(told({**REPORT, "status": 6, "kernel": [earlier, "x", KILL]}))
    assert booted is not None
    assert booted.killed == Killed(program="python3.11", peak_bytes=301_024 << 10)
    assert booted.peak_bytes == 301_024 << 10


def test_a_kill_that_the_run_did_without_is_none() -> None:
    booted = read_console(told({**REPORT, "kernel": [KILL]}))
    assert booted is not None
    assert (booted.killed, booted.peak_bytes) == (None, 72 << 20)


def test_a_run_that_took_too_long_has_no_status() -> None:
    booted = read_console(told({**REPORT, "status": None}))
    assert booted is not None
    assert booted.ran.status is None


@pytest.mark.parametrize(
    "report",
    [
        [],
        {},
        {**REPORT, "total_kb": -1},
        {**REPORT, "peak_kb": 1 << 50},
        {**REPORT, "status": "x"},
        {**REPORT, "kernel": None},
    ],
)
def test_a_report_that_cannot_be_is_none(report: Any) -> None:
    assert read_console(told(report)) is None


def test_a_report_with_a_line_missing_or_altered_is_none() -> None:
    lines = told({**REPORT, "stdout": json.dumps(list(range(3000)))}).splitlines(keepends=True)
    for place in [number for number, line in enumerate(lines) if b"@edgekit" in line]:
        assert read_console(b"".join(lines[:place] + lines[place + 1 :])) is None
        altered = lines[place][:-3] + b"@@\n"
        assert read_console(b"".join([*lines[:place], altered, *lines[place + 1 :]])) is None


@given(st.binary(max_size=400))
def test_any_bytes_are_no_report(noise: bytes) -> None:
    assert read_console(noise) is None
    assert failure_words(noise)
    assert read_console(noise + b"\n" + told(REPORT) + noise.replace(b"@", b"")) is not None


@pytest.mark.parametrize(
    ("console", "words"),
    [
        (b"", "it said nothing"),
        (b"a\r\n  b \r\n\r\n", "its last words: b"),
        (b"@edgekit-failed mount\r\nPower down", "its first process failed: mount"),
        (
            b"x\nKernel panic - not syncing: Out of memory\r\nend",
            "its kernel panicked: Out of memory",
        ),
    ],
)
def test_a_machine_without_a_report_says_why(console: bytes, words: str) -> None:
    assert failure_words(console) == words
