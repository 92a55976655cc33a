"""A target's limits on this machine: cores, memory, environment, and what is left afterwards."""

import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edge.adapters import native
from edge.adapters.native import NativeMode, native_place, runs_natively
from edge.adapters.targets import load_target
from edge.device.facts import read_host_facts
from edge.errors import HostError
from edge.records.emulation import Ran
from edge.records.host import HostFacts
from edge.records.target import Target
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

X86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="no target runs natively here")


@dataclass(frozen=True)
class StandsIn:
    suite: str = "bookworm"
    system: str = "Debian 12 (bookworm), amd64"
    python: str = "3.11"
    glibc: str = "2.36"
    differences: tuple[str, ...] = ("There is no cat.",)


def target_with(*, cores: int = 2, usable_bytes: int = 3 << 30) -> Target:
    target = load_target("cloud-cpu")
    return replace(
        target,
        cpu=replace(target.cpu, cores=replace(target.cpu.cores, value=cores)),
        memory=replace(
            target.memory, usable_bytes=replace(target.memory.usable_bytes, value=usable_bytes)
        ),
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandsIn:
    """Give a root that is this machine's own Python with its own loader."""
    root = tmp_path / "root"
    python = "{}.{}".format(*sys.version_info[:2])
    for name, there in {
        "lib64/ld-linux-x86-64.so.2": "/lib64/ld-linux-x86-64.so.2",
        "usr/lib/x86_64-linux-gnu": "/usr/lib/x86_64-linux-gnu",
        f"usr/bin/python{python}": os.path.realpath(sys.executable),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(there)
    monkeypatch.setattr(native, "base_root", lambda *_a, **_k: root)
    return StandsIn(python=python)


Running = Callable[..., tuple[Ran, NativeMode]]


@pytest.fixture
def running(here: StandsIn, tmp_path: Path) -> Running:
    def run(
        code: str, *arguments: str, target: Target | None = None, wall_s: float = 60.0
    ) -> tuple[Ran, NativeMode]:
        mode = NativeMode(target or target_with(), here, tmp_path)
        program = tmp_path / "program.py"
        program.write_text(code, encoding="utf-8")
        return mode.run(program, *arguments, home=tmp_path, wall_s=wall_s), mode

    return run


@X86
def test_a_program_gets_what_it_would_on_the_target(running: Running, tmp_path: Path) -> None:
    code = (
        "import json, os, sys\n"
        "told = [dict(os.environ), os.getcwd(), sys.argv[1:], sys.stdin.read(), sys.executable]\n"
        "print(json.dumps([*told, sys.flags.no_user_site]))\n"
        "sys.stderr.write('words'); sys.exit(3)\n"
    )
    ran, _ = running(code, "--json", "a b")
    environment, folder, arguments, stdin, python, alone = json.loads(ran.stdout)
    assert environment == {"HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    assert (folder, arguments, stdin, alone) == ("/", ["--json", "a b"], "", 1)
    assert python == str(
        tmp_path / f"root/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    )
    assert (ran.status, ran.stderr) == (3, "words")


@X86
def test_it_has_no_more_cores_than_the_target(running: Running) -> None:
    ran, _ = running("import os; print(len(os.sched_getaffinity(0)))", target=target_with(cores=1))
    assert ran.stdout == "1\n"


@X86
def test_it_has_no_more_memory_than_the_target(running: Running) -> None:
    small = target_with(usable_bytes=200 << 20)
    ran, _ = running("bytes(150 << 20); print('fits')", target=small)
    assert (ran.status, ran.stdout) == (0, "fits\n")
    ran, _ = running("bytes(250 << 20)", target=small)
    assert ran.status == 1
    assert ran.stderr.endswith("\nMemoryError\n")


@X86
def test_memory_that_is_only_reserved_is_not_counted(running: Running) -> None:
    code = "import mmap; mmap.mmap(-1, 4 << 30, prot=0, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON)\n"
    ran, _ = running(code, target=target_with(usable_bytes=200 << 20))
    assert (ran.status, ran.stderr) == (0, "")


@X86
def test_the_peak_is_that_of_every_process_whoever_waits_for_it(running: Running) -> None:
    # As a bundle does: a child in a session of its own, which nobody waits for.
    code = (
        "import os\n"
        "if os.fork() == 0:\n"
        "    os.setsid(); os.fork(); kept = bytearray(b'x' * (100 << 20)); os._exit(0)\n"
    )
    ran, mode = running(code)
    assert ran.status == 0
    assert mode.peak_bytes is not None
    assert 100 << 20 < mode.peak_bytes < 300 << 20


@X86
def test_the_peak_is_unknown_before_anything_ended(here: StandsIn, tmp_path: Path) -> None:
    assert NativeMode(target_with(), here, tmp_path).peak_bytes is None


@X86
def test_the_signal_that_it_died_of_is_told(running: Running) -> None:
    for number in (signal.SIGSEGV, signal.SIGILL, signal.SIGKILL, signal.SIGTERM):
        ran, _ = running(f"import os; os.kill(os.getpid(), {int(number)})")
        assert ran.status == -number


@X86
def test_one_that_hangs_is_killed_with_what_it_started(running: Running, tmp_path: Path) -> None:
    # As a bundle's child does, which asks to die with its parent.
    code = (
        "import ctypes, os, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); os.setsid()\n"
        "    open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "signal.pause()\n"
    )
    number = tmp_path / "number"
    ran, _ = running(code, str(number), wall_s=2.0)
    assert ran.status is None
    # Death goes from parent to child, which is not instant.
    while is_running(int(number.read_text())):
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        stat = (Path("/proc") / str(pid) / "stat").read_text()
    except OSError:
        return False
    # Whoever takes in orphans may not have buried it yet.
    return stat.rpartition(")")[2].split()[0] != "Z"


@X86
def test_a_root_without_python_is_told(running: Running, tmp_path: Path) -> None:
    next((tmp_path / "root" / "usr" / "bin").iterdir()).unlink()
    ran, _ = running("")
    assert ran.status == 127
    assert "cannot open shared object file" in ran.stderr


def test_only_a_cloud_cpu_of_this_architecture_runs_natively(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for machine, names in {
        "x86_64": ["cloud-cpu", "cloud-cpu-4c"],
        "aarch64": ["cloud-cpu-arm"],
        "riscv64": [],
    }.items():
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        targets = ("rpi4", "rpi4-32bit", "cloud-cpu", "cloud-cpu-4c", "cloud-cpu-arm")
        targets += ("cloud-gpu-t4",)
        assert [name for name in targets if runs_natively(load_target(name))] == names


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        NativeMode(load_target("rpi4"), StandsIn(), tmp_path)
    assert str(caught.value) == (
        "rpi4: this machine is no aarch64, so nothing for it runs here natively"
    )


def facts(**changes: object) -> HostFacts:
    target = load_target("cloud-cpu")
    same = replace(
        read_host_facts(),
        cpu_features=target.cpu.features,
        cores_allowed=2,
        cpu_quota=None,
        memory_bytes=8 << 30,
        memory_limit_bytes=None,
    )
    return replace(same, **changes)  # type: ignore[arg-type]


ALWAYS = (
    "There is no cat.",
    "A shared library that the root lacks is looked for on this machine.",
)
LIMITED = (
    "Memory is limited to 3.5 GiB of private data a process: more is refused here, where the "
    "target kills."
)

FEWER = (
    "This machine's processor lacks sse4_1, popcnt, f16c, fma, bmi1, bmi2, avx2, avx512f, "
    "avx512dq, avx512cd, avx512bw, avx512vl, avx512_vnni, avx512_bf16, avx512_fp16, amx_bf16, "
    "amx_tile, amx_int8."
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, (*ALWAYS, LIMITED)),
        (
            {"cores_allowed": 1},
            (*ALWAYS, "It has 2 cores, and 1 of this machine can be used.", LIMITED),
        ),
        (
            {"cpu_quota": 1.5},
            (*ALWAYS, "It has 2 cores, and 1 of this machine can be used.", LIMITED),
        ),
        (
            {"memory_limit_bytes": 1 << 30},
            (
                *ALWAYS,
                "A program can have 3.5 GiB of memory there, and 1 GiB here.",
                LIMITED,
            ),
        ),
        (
            {"cpu_features": ("sse4_2", "avx", "avx_vnni", "smep", "sse4a")},
            (
                *ALWAYS,
                LIMITED,
                FEWER,
                "This machine's processor also has avx_vnni, sse4a.",
            ),
        ),
        (
            {"cpu_features": ()},
            (*ALWAYS, LIMITED, "Which instructions this machine's processor has cannot be read."),
        ),
    ],
)
def test_the_place_says_in_what_it_differs(
    changes: dict[str, object], said: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    place = native_place(load_target("cloud-cpu"), StandsIn(), facts(**changes))
    assert place.differences == said
    assert (place.system, place.python, place.glibc) == (StandsIn.system, "3.11", "2.36")
    assert (place.qemu_cpu, place.emulator) == (None, None)


@X86
@pytest.mark.network
@pytest.mark.timeout(300)
def test_a_bundle_runs_with_debians_own_python(
    shared_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    target = load_target("cloud-cpu")
    bundle = package_model(resolve_model(None), target, output=tmp_path / "bundle.pyz")
    mode = NativeMode(target, StandsIn(), tmp_path)
    ran = mode.run(bundle.path, "verify", home=tmp_path, wall_s=100)
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == "this machine fits: x86_64, Python 3.11, glibc 2.36"
    ran = mode.run(bundle.path, "run", "--json", home=tmp_path, wall_s=100)
    told = json.loads(ran.stdout)
    assert (ran.status, told["count"], told["agreed"]) == (0, 16, 16)
    assert told["runtime"]["threads"] == 2
    assert mode.peak_bytes is not None
    assert mode.peak_bytes > 40_000_000
