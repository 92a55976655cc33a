"""The plugin is built once for a machine, and what it wrote is read in whole or not at all."""

import ctypes
from pathlib import Path

import pytest

from edge.adapters.counter import Counted, counter_plugin, read_counts
from edge.device import counting
from edge.errors import EmulationError, HostError
from edge.records.emulation import InstructionCounts

# Mark, instructions, and the kB of guest, emulator and peak.
MARKS = (
    (counting.BEGIN, 1_000, 100, 50, 150),
    (counting.IMPORTED, 6_010, 300, 90, 390),
    (counting.LOADED, 7_020, 400, 100, 620),
    (counting.BOUND, 7_100, 410, 100, 620),
    (counting.FIRST, 9_110, 410, 110, 620),
    (counting.WARMED, 10_120, 410, 110, 620),
    (counting.WARMED, 11_130, 410, 110, 620),
    (counting.STEADY, 12_140, 410, 110, 620),
    (counting.STEADY, 13_149, 410, 110, 620),
    (counting.STEADY, 14_160, 410, 110, 620),
    (counting.EMPTY, 14_172, 410, 110, 620),
    (counting.END, 14_182, 410, 110, 620),
)


def lines(pid: int = 7) -> list[str]:
    return [
        f"edgekit-count 1 {pid} {mark} {count} {guest} {emulator} {peak}\n"
        for mark, count, guest, emulator, peak in MARKS
    ]


def written(folder: Path, text: str) -> Path:
    path = folder / "counts"
    path.write_text(text, encoding="ascii")
    return path


def test_each_part_is_what_lies_between_two_marks_less_a_mark(tmp_path: Path) -> None:
    assert read_counts(written(tmp_path, "".join(lines()))) == Counted(
        counts=InstructionCounts(
            import_count=5_000,
            load_count=1_000,
            first_count=2_000,
            warmup_counts=(1_000, 1_000),
            steady_counts=(1_000, 999, 1_001),
        ),
        # The peak was while the model was loaded: 620 kB less the emulator's 100 kB.
        peak_bytes=520 * 1024,
    )


def test_memory_that_was_not_seen_is_unknown(tmp_path: Path) -> None:
    text = "".join(f"{' '.join(line.split()[:5])} 0 0 0\n" for line in lines())
    assert read_counts(written(tmp_path, text)).peak_bytes is None


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda told: [], "the beginning is missing"),
        (lambda told: told[1:], "the beginning is missing"),
        (lambda told: told[:4], "the first inference is missing"),
        (lambda told: [*told[:7], *told[10:]], "a steady inference is missing"),
        (lambda told: told[:10], "the empty mark is missing"),
        (lambda told: told[:-1], "the end is missing"),
        (lambda told: [*told[:-1], told[-1][:-1]], "its last line is cut off"),
        (lambda told: [*told[:-1], told[-1][:-4]], "line 12 is damaged"),
        (lambda told: [told[0], *told], "the beginning is marked 2 times"),
        (lambda told: [*told, *told], "there are marks after the end"),
        (lambda told: [told[0].replace(" 1000 ", " 6011 "), *told[1:]], "a count is less than"),
        (lambda told: [*told, *lines(8)], "2 processes marked their work"),
        (lambda told: [*told[:3], "?\n", *told[3:]], "line 4 is damaged"),
    ],
)
def test_what_is_damaged_is_refused(tmp_path: Path, damage: object, what: str) -> None:
    assert callable(damage)
    path = written(tmp_path, "".join(damage(lines())))
    with pytest.raises(EmulationError) as caught:
        read_counts(path)
    assert str(caught.value).startswith(f"{path}: the instruction counts: {what}")
    assert caught.value.hint == "run it again; the program was ended, or the disk is full"


def test_no_file_means_that_nothing_was_counted(tmp_path: Path) -> None:
    with pytest.raises(EmulationError, match="no instructions were counted"):
        read_counts(tmp_path / "nothing")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "emulation" / "plugins"


def test_the_plugin_is_built_once(cache: Path) -> None:
    plugin = counter_plugin()
    assert list(cache.iterdir()) == [plugin]
    before = plugin.stat()
    assert counter_plugin() == plugin
    assert plugin.stat().st_ino == before.st_ino
    # What qemu looks for; the functions that it brings are not here, so it cannot be loaded.
    image = plugin.read_bytes()
    assert b"qemu_plugin_install\0" in image
    assert b"qemu_plugin_version\0" in image
    with pytest.raises(OSError, match="qemu_plugin"):
        ctypes.CDLL(str(plugin))


def test_another_compiler_builds_another(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = counter_plugin()
    monkeypatch.setenv("CC", "gcc -g")
    assert counter_plugin() != plugin
    assert len(list(cache.iterdir())) == 2


def test_without_a_compiler_it_says_what_to_install(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError) as caught:
        counter_plugin()
    assert str(caught.value) == "there is no C compiler here"
    hint = "to count instructions, install one (apt-get install gcc libc6-dev), or set CC"
    assert caught.value.hint == hint


def test_a_compiler_that_is_not_there_is_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-cc -O1")
    with pytest.raises(HostError, match="there is no C compiler: no-such-cc"):
        counter_plugin()


def test_a_compiler_that_fails_leaves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "cc"
    script = (
        '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "x.c:1: error: no stdio.h" >&2\nexit 1\n'
    )
    compiler.write_text(script, encoding="ascii")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(HostError) as caught:
        counter_plugin()
    assert str(caught.value) == f"{compiler}: the C compiler fails: x.c:1: error: no stdio.h"
    assert list(cache.iterdir()) == []
