"""Instructions and memory are counted right, and repeat whatever else the machine does.

What is counted exactly are programs of a few instructions, written here byte by byte; what repeats
is a bundle's own count in a root.
"""

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.adapters.counter import Counted, counter_plugin, read_counts
from edge.adapters.programs import host_program
from edge.adapters.qemu_user import UserMode
from edge.adapters.roots import base_root, dressed_root
from edge.adapters.targets import load_target
from edge.device import counting
from edge.reasoning.board_files import board_files
from edge.reasoning.stand_in import stand_in_for
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

ROUNDS = 100_000
PAGES = 16_384
KB = 4 * PAGES


class Aarch64:
    """A static program for a 64-bit Arm (Arm ARM, C6.2, and the kernel's call numbers)."""

    QEMU = "qemu-aarch64"
    PRCTL, MMAP, MUNMAP, CLONE, WAIT, EXIT = 167, 222, 215, 220, 260, 93
    CALL_REGISTER = 8
    SUPERVISOR = 0xD4000001
    # subs x9, x9, #1; b.ne to it
    ROUND = (0xF1000529, 0x54FFFFE1)
    # mov x10, x0; loop: str xzr, [x10]; add x10, x10, #4096; subs x9, x9, #1; b.ne loop
    TOUCH = (0xAA0003EA, 0xF900015F, 0x9140054A, 0xF1000529, 0x54FFFFA1)

    @staticmethod
    def put(register: int, value: int) -> list[int]:
        low, high = value & 0xFFFF, value >> 16 & 0xFFFF
        return [0xD2800000 | low << 5 | register, 0xF2A00000 | high << 5 | register]

    @staticmethod
    def image(code: bytes) -> bytes:
        start, base, size = 64 + 56, 0x400000, 64 + 56 + len(code)
        header = struct.pack(
            "<16sHHIQQQIHHHHHH",
            b"\x7fELF\x02\x01\x01",
            *(2, 183, 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0),
        )
        return header + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096) + code


class Arm:
    """The same for a 32-bit Arm (Arm ARM, F5.1)."""

    QEMU = "qemu-arm"
    PRCTL, MMAP, MUNMAP, CLONE, WAIT, EXIT = 172, 192, 91, 120, 114, 1
    CALL_REGISTER = 7
    SUPERVISOR = 0xEF000000
    ROUND = (0xE2599001, 0x1AFFFFFD)
    # mov r10, r0; loop: str r9, [r10]; add r10, r10, #4096; subs r9, r9, #1; bne loop
    TOUCH = (0xE1A0A000, 0xE58A9000, 0xE28AAA01, 0xE2599001, 0x1AFFFFFB)

    @staticmethod
    def put(register: int, value: int) -> list[int]:
        def half(code: int, part: int) -> int:
            return code | (part >> 12) << 16 | register << 12 | part & 0xFFF

        return [half(0xE3000000, value & 0xFFFF), half(0xE3400000, value >> 16 & 0xFFFF)]

    @staticmethod
    def image(code: bytes) -> bytes:
        start, base, size = 52 + 32, 0x10000, 52 + 32 + len(code)
        header = struct.pack(
            "<16sHHIIIIIHHHHHH",
            b"\x7fELF\x01\x01\x01",
            *(2, 40, 1, base + start, 52, 0, 0x05000000, 52, 32, 1, 0, 0, 0),
        )
        return header + struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 4096) + code


Machine = type[Aarch64] | type[Arm]
MACHINES: tuple[Machine, ...] = (Aarch64, Arm)


def call(machine: Machine, number: int, *arguments: int) -> list[int]:
    words = [word for i, value in enumerate(arguments) for word in machine.put(i, value)]
    return [*words, *machine.put(machine.CALL_REGISTER, number), machine.SUPERVISOR]


def mark(machine: Machine, number: int) -> list[int]:
    return call(machine, machine.PRCTL, counting.MAGIC, number, 0, counting.MAGIC, 0)


def run_marked(machine: Machine, code: list[int], folder: Path) -> list[list[int]]:
    """Run a program and return the numbers of its marks' lines, from the process number on."""
    emulator = shutil.which(machine.QEMU)
    if emulator is None:
        pytest.skip("missing here: apt-get install qemu-user")
    program, out = folder / "program", folder / "counts"
    program.write_bytes(machine.image(struct.pack(f"<{len(code)}I", *code)))
    program.chmod(0o755)
    plugin = f"{counter_plugin()},out={out}"
    done = subprocess.run(
        [emulator, "-plugin", plugin, str(program)], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [line.split() for line in out.read_text(encoding="ascii").splitlines()]
    assert {tuple(line[:2]) for line in lines} == {("edgekit-count", "1")}
    return [[int(word) for word in line[2:]] for line in lines]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_loop_has_the_instructions_that_it_has(machine: Machine, tmp_path: Path) -> None:
    one = mark(machine, 2)
    code = [
        *mark(machine, 1),
        *machine.put(9, ROUNDS),
        *machine.ROUND,
        *one,
        *mark(machine, 3),
        *call(machine, machine.EXIT, 0),
    ]
    marks = run_marked(machine, code, tmp_path)
    assert [line[1] for line in marks] == [1, 2, 3]
    counts = [line[2] for line in marks]
    assert counts[0] == len(one)
    assert counts[1] - counts[0] == 2 + 2 * ROUNDS + len(one)
    assert counts[2] - counts[1] == len(one)


@pytest.mark.parametrize("machine", MACHINES)
def test_memory_is_the_guests_own(machine: Machine, tmp_path: Path) -> None:
    # Readable and writable; private and anonymous.
    code = [
        *mark(machine, 1),
        *call(machine, machine.MMAP, 0, 4096 * PAGES, 3, 0x22, 0xFFFFFFFF, 0),
        *machine.put(9, PAGES),
        *machine.TOUCH,
        *mark(machine, 2),
        *call(machine, machine.EXIT, 0),
    ]
    before, after = run_marked(machine, code, tmp_path)
    assert before[3] <= 256
    assert KB <= after[3] - before[3] <= KB + 64
    # The emulator's own share hardly changes, and the peak is both.
    assert after[4] - before[4] <= 4096
    assert after[5] >= after[3]


def test_a_forked_guest_has_marks_of_its_own(tmp_path: Path) -> None:
    machine = Aarch64
    waited = call(machine, machine.WAIT, 0xFFFFFFFF, 0, 0, 0)
    parent = [*waited, *mark(machine, 2), *call(machine, machine.EXIT, 0)]
    # cbz x0 over the parent's part: where it is 0, this is the child.
    over = 0xB4000000 | (len(parent) + 1) << 5
    child = [
        *machine.put(9, ROUNDS),
        *machine.ROUND,
        *mark(machine, 3),
        *call(machine, machine.EXIT, 0),
    ]
    # 17: SIGCHLD.
    forks = [*mark(machine, 1), *call(machine, machine.CLONE, 17, 0, 0, 0, 0)]
    marks = run_marked(machine, [*forks, over, *parent, *child], tmp_path)
    assert [line[1] for line in marks] == [1, 3, 2]
    first, forked, last = marks
    assert first[0] == last[0] != forked[0]
    one = len(mark(machine, 1))
    begun = first[2] + len(forks) - one + 1
    assert forked[2] == begun + 2 + 2 * ROUNDS + one
    assert last[2] == begun + len(waited) + one


@contextmanager
def loaded_machine() -> Iterator[None]:
    """Keep both cores busy while the block runs."""
    command = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(command) for _ in range(2)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def counted(target_name: str, model: str, folder: Path, times: int) -> list[Counted]:
    """Package a model, and count its bundle so often on a busy machine, with the target's root."""
    target = load_target(target_name)
    stand_in = stand_in_for(target)
    assert stand_in.qemu_cpu is not None
    architecture = target.cpu.architecture
    base = base_root(stand_in.suite, stand_in.python, architecture)
    root = dressed_root(base, folder / "root", board_files(target))
    bundle = package_model(resolve_model(model), target_name, output=folder / "bundle.pyz")
    place = UserMode(
        host_program("qemu-aarch64", lambda _fraction: None),
        root,
        python=stand_in.python,
        cpu=stand_in.qemu_cpu,
        plugin=counter_plugin(),
    )
    found = []
    with loaded_machine():
        for number in range(times):
            out = folder / f"counts-{number}"
            ran = place.run(bundle.path, "count", "--json", home=folder, wall_s=240, counted=out)
            assert ran.status == 0, ran.stderr
            found.append(read_counts(out))
    return found


@pytest.mark.network
def test_counts_repeat_while_the_machine_is_busy(
    shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    found = counted("rpi4", "digits-cnn:digits-cnn-fp32.onnx", tmp_path, 5)
    steady = [each.counts.steady for each in found]
    assert max(steady) - min(steady) <= 0.005 * min(steady), steady
    assert {len(each.counts.warmup_counts) for each in found} == {2}
    assert {len(each.counts.steady_counts) for each in found} == {5}
    # numpy and ONNX Runtime take tens of MB, and this model next to nothing.
    for each in found:
        assert each.peak_bytes is not None
        assert 30 << 20 < each.peak_bytes < 200 << 20


@pytest.mark.network
def test_dot_products_save_instructions(
    shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    model = "digits-cnn:digits-cnn-int8.onnx"
    folders = {name: tmp_path / name for name in ("rpi4", "rpi5")}
    counts = {}
    for name, folder in folders.items():
        folder.mkdir()
        (found,) = counted(name, model, folder, 1)
        counts[name] = found.counts.steady
    # The Cortex-A76 has them, the Cortex-A72 has not.
    assert counts["rpi5"] < 0.95 * counts["rpi4"], counts
