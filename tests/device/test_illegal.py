"""Illegal instructions: which set they are of, and who says so before the process dies of one."""

import json
import mmap
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.device import illegal
from edge.device.exits import illegal_error
from edge.device.facts import read_host_facts
from edge.device.instructions import instruction_set
from edge.device.parent import Limits, run_child
from edge.errors import RuntimeFailure

HERE = Path(__file__).parent
ASSEMBLED = [
    tuple(part.strip() for part in line.split("|"))
    for line in (HERE / "instructions.txt").read_text(encoding="ascii").splitlines()[1:]
]
HINT = (
    "take another build of the runtime, or package the model again for this machine: "
    "`edgekit targets show TARGET` says what a target's CPU has"
)
only_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64's machine code")


@pytest.mark.parametrize(
    ("machine", "code", "name", "text"), ASSEMBLED, ids=[f"{m} {t}" for m, _, _, t in ASSEMBLED]
)
def test_the_set_of_an_instruction(machine: str, code: str, name: str, text: str) -> None:
    assert instruction_set(machine, bytes.fromhex(code)) == (None if name == "-" else name)


def test_enough_instructions_were_assembled() -> None:
    assert len(ASSEMBLED) > 250
    assert {machine for machine, *_ in ASSEMBLED} == {"aarch64", "arm", "thumb", "x86_64"}


@given(st.sampled_from(["x86_64", "aarch64", "arm", "thumb", "riscv64"]), st.binary(max_size=16))
def test_any_bytes_have_a_set_or_none(machine: str, code: bytes) -> None:
    assert isinstance(instruction_set(machine, code), str | None)


def says(found: dict[str, Any]) -> bytes:
    return b"some words\n\n" + illegal.MARK + json.dumps(found).encode() + b"\nand more\n"


SDOT = {"machine": "aarch64", "code": "2094824ec0035fd6", "library": "/x/libonnxruntime.so.1.21.0"}


@pytest.mark.parametrize(
    ("found", "what", "hint"),
    [
        (
            SDOT,
            "libonnxruntime.so.1.21.0 uses an instruction of asimddp, which this CPU lacks",
            HINT,
        ),
        (
            {"machine": "x86_64", "code": "c5fc58c1", "library": "/x/a\x1b.so (deleted)"},
            (
                "a\\x1b.so uses an instruction of avx, which this CPU has by its own account: what "
                "runs it (an emulator, a hypervisor, the kernel) does not"
            ),
            "its last words: and more",
        ),
        (
            {"machine": "x86_64", "code": "0f0b", "library": "/x/a.so"},
            "a.so ran into a trap that its compiler had set: a bug in it, or a damaged model",
            "its last words: and more",
        ),
        (
            {"machine": "x86_64", "code": "06", "library": None},
            "code that was made at run time uses an instruction (06) that this CPU lacks",
            HINT,
        ),
    ],
)
def test_the_error_says_what_is_missing_and_where(
    found: dict[str, Any], what: str, hint: str
) -> None:
    error = illegal_error(says(found), "the model", ["sse2", "avx"])
    assert str(error) == f"the model: the child died of SIGILL: {what}"
    assert error.hint == hint


@pytest.mark.parametrize(
    "words",
    [b"", b"{}", b'{"machine": 1, "code": ""}', b'{"machine": "arm"}', b'{"code": "zz"}', b"[]"],
)
def test_nonsense_says_nothing(words: bytes) -> None:
    assert illegal.told(illegal.MARK + words) is None


def lacking() -> tuple[str, str, str]:
    """Return (set, bytes, instruction) that this processor would die of."""
    here = read_host_facts().cpu_features
    # Wide ones only: the bytes of an older set mean something else on an older processor.
    sets = ("avx512_fp16", "amx_int8", "avx512_vp2intersect", "avx512_bf16", "avx512f", "avx2")
    for name in sets:
        for machine, code, of, text in ASSEMBLED:
            if machine == "x86_64" and of == name and of not in here:
                return name, code, text
    raise AssertionError("this processor has everything: add a newer instruction")


def run_code(code: str, way: str) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        run_child(
            "illegal_tasks:run",
            {"code": code, "way": way},
            limits=Limits(wall_s=60),
            what="the model",
            paths=[str(HERE)],
        )
    return caught.value


@only_x86
@pytest.mark.parametrize("way", ["here", "thread", "native thread", "with the lock"])
def test_a_real_one_is_named_in_any_thread(way: str) -> None:
    name, code, _ = lacking()
    error = run_code(code, way)
    assert str(error) == (
        "the model: the child died of SIGILL: code that was made at run time uses an instruction "
        f"of {name}, which this CPU lacks"
    )
    assert error.hint == HINT


@only_x86
def test_the_library_is_named(tmp_path: Path) -> None:
    name, code, _ = lacking()
    library = tmp_path / "libmade.so"
    # The end of a file is the end of its page: what is read there is short.
    library.write_bytes(bytes(4096 - len(bytes.fromhex(code))) + bytes.fromhex(code))
    error = run_code(str(library), "file")
    assert str(error) == (
        "the model: the child died of SIGILL: libmade.so uses an instruction of "
        f"{name}, which this CPU lacks"
    )


@only_x86
def test_a_trap_is_no_missing_set() -> None:
    assert "ran into a trap" in str(run_code("0f0b", "here"))


@only_x86
def test_whoever_waits_for_us_with_the_lock_is_ended() -> None:
    error = run_code(lacking()[1], "native thread, the lock kept")
    assert str(error) == (
        "the model: the child died of SIGALRM: an instruction that this CPU lacks; which one could "
        "not be found out in time"
    )


def test_a_signal_that_somebody_sends_still_kills() -> None:
    program = (
        "import os, signal; from edge.device.illegal import watch; assert watch(); assert watch();"
        "os.kill(os.getpid(), signal.SIGILL); signal.pause()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGILL, b"", b"")


def test_a_machine_that_is_not_known_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(illegal, "machine", lambda: "riscv64")
    assert illegal.watch() is False


def test_the_place_is_found_in_our_own_memory(tmp_path: Path) -> None:
    path = tmp_path / "two pages"
    path.write_bytes(bytes(2 * mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE) as mapped:
        import ctypes

        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        found = {"library": os.fspath(path), "offset": 4100, "code": "00" * 16}
        assert illegal._place(address + 4100) == found
        assert len(illegal._place(address + 8192 - 3)["code"]) == 6
    assert illegal._place(0) == {"library": None, "offset": None, "code": ""}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm"])
def test_the_machine_code_is_basic_and_leaves_room_for_its_data(machine: str) -> None:
    code = bytes.fromhex(illegal._CODE[machine])
    assert len(code) <= illegal._DATA_AT
    step = len(code) if machine == "x86_64" else 4
    words = [code[at : at + step] for at in range(0, len(code), step)]
    assert [instruction_set(machine, word) for word in words] == [None] * len(words)
