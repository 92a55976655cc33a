"""Programs under qemu's user mode: what they get, how they end, and what they see of this machine."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.adapters import qemu_user
from edge.adapters.programs import HostProgram, host_program
from edge.adapters.qemu_user import UserMode, run_alone
from edge.adapters.roots import base_root, dressed_root
from edge.adapters.targets import load_target
from edge.errors import HostError
from edge.reasoning.board_files import board_files
from edge.records.emulation import Ran
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model


def python(code: str, wall_s: float = 60) -> Ran:
    return run_alone([sys.executable, "-c", textwrap.dedent(code)], {"A": "1"}, wall_s=wall_s)


def test_status_and_words() -> None:
    ran = python(
        """
        import os, sys
        print(sorted(set(os.environ) - {"LC_CTYPE"}), os.getcwd(), sys.stdin.read())
        sys.stderr.write("caf\\udce9")
        sys.exit(3)
        """
    )
    assert ran == Ran(status=3, stdout="['A'] / \n", stderr="caf\\udce9")


def test_a_signal_is_its_number_below_zero() -> None:
    assert python("import os; os.kill(os.getpid(), 9)").status == -9
    assert python("import os; os.abort()").status == -signal.SIGABRT


def test_what_does_not_end_is_killed() -> None:
    code = """
        import signal, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("begun", flush=True)
        while True: pass
        """
    assert python(code, wall_s=2) == Ran(status=None, stdout="begun\n", stderr="")


def test_what_it_started_ends_with_it() -> None:
    code = """
        import os, time
        child = os.fork()
        if child == 0:
            time.sleep(600)
        print(child)
        """
    ran = python(code)
    assert ran.status == 0
    with pytest.raises(ProcessLookupError):
        wait_for_the_end(int(ran.stdout))


def wait_for_the_end(pid: int) -> None:
    """Look until a killed process is gone, which its new parent has to see to."""
    for _ in range(200):
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        if stat.rpartition(")")[2].split()[0] == "Z":
            raise ProcessLookupError
        time.sleep(0.05)


def test_it_ends_when_we_are_interrupted(tmp_path: Path) -> None:
    code = """
        import sys
        from edge.adapters.qemu_user import run_alone
        run_alone([sys.executable, "-c", sys.argv[1]], {}, wall_s=600)
        """
    inner = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}} ');"
    inner += "time.sleep(600)"
    outer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), inner], stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text(encoding="ascii"):
        assert outer.poll() is None
        time.sleep(0.05)
    outer.send_signal(signal.SIGINT)
    assert outer.wait(60) != 0
    with pytest.raises(ProcessLookupError):
        wait_for_the_end(int((tmp_path / "pid").read_text(encoding="ascii")))


def test_beginning_and_end_of_long_output_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu_user, "_MOST_KEPT_BYTES", 20)
    ran = python("import sys; sys.stdout.write('a' * 10 + 'b' * 1_000_000 + 'c' * 10)")
    assert ran.stdout == "a" * 10 + "\n[1000000 bytes left out]\n" + "c" * 10
    assert python("print('x' * 19)").stdout == "x" * 19 + "\n"


def test_what_cannot_be_started() -> None:
    with pytest.raises(HostError) as caught:
        run_alone(["/nonexistent"], {}, wall_s=1)
    assert str(caught.value) == "/nonexistent: cannot be started: no such file or directory"


def shown_by(
    tmp_path: Path, *, plugin: Path | None, counted: Path | None
) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and the environment that an emulator gets."""
    code = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    emulator = HostProgram(
        name="qemu-aarch64",
        command=(sys.executable, "-c", code),
        version="0",
        origin="fetched",
        environment={"QEMU_MODULE_DIR": "/modules"},
    )
    mode = UserMode(emulator, tmp_path, python="3.11", cpu="cortex-a72", plugin=plugin)
    ran = mode.run(Path("/p.pyz"), "run", "--json", home=Path("/h"), wall_s=60, counted=counted)
    assert ran.status == 0, ran.stderr
    arguments, environment = json.loads(ran.stdout)
    # Which this machine's Python sets for itself.
    environment.pop("LC_CTYPE", None)
    return arguments, environment


def test_what_the_emulator_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    arguments, environment = shown_by(tmp_path, plugin=Path("/c.so"), counted=None)
    assert arguments == [
        *("-U", "QEMU_MODULE_DIR", "-cpu", "cortex-a72", "-L", str(tmp_path)),
        *(f"{tmp_path}/usr/bin/python3.11", "/p.pyz", "run", "--json"),
    ]
    assert environment == {"HOME": "/h", "LC_ALL": "C.UTF-8", "QEMU_MODULE_DIR": "/modules"}


def test_what_it_gets_to_count(tmp_path: Path) -> None:
    arguments, environment = shown_by(tmp_path, plugin=Path("/a,b.so"), counted=Path("/c,d"))
    place = arguments.index("-plugin")
    assert arguments[place + 1] == "/a,,b.so,out=/c,,d"
    assert environment["EDGEKIT_COUNTED"] == "1"
    assert environment["PYTHONHASHSEED"] == "0"
    arguments, environment = shown_by(tmp_path, plugin=None, counted=Path("/c"))
    assert "-plugin" not in arguments
    assert "EDGEKIT_COUNTED" not in environment


def test_an_emulator_that_is_gone(tmp_path: Path) -> None:
    gone = HostProgram(name="qemu-arm", command=("/gone",), version="0", origin="fetched")
    mode = UserMode(gone, tmp_path, python="3.11", cpu="cortex-a15")
    with pytest.raises(HostError) as caught:
        mode.run(Path("/p.pyz"), home=tmp_path, wall_s=1)
    assert str(caught.value) == "/gone: the emulator is gone"


Guest = Callable[[str], Ran]


@pytest.fixture(scope="module")
def cache(shared_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(shared_cache))
        yield


def user_mode(name: str, folder: Path) -> UserMode:
    target = load_target(name)
    assert target.emulation is not None
    is_32bit = target.cpu.architecture == "armv7l"
    base = base_root(
        "bookworm",
        "3.11",
        target.cpu.architecture,
        apt_packages=("python3-numpy",) if is_32bit else (),
    )
    root = dressed_root(base, folder / "root", board_files(target))
    emulator = host_program("qemu-arm" if is_32bit else "qemu-aarch64")
    return UserMode(emulator, root, python="3.11", cpu=target.emulation.qemu_cpu)


@pytest.fixture(scope="module", params=["rpi4", "rpi4-32bit"])
def board(
    request: pytest.FixtureRequest, cache: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, UserMode]:
    return request.param, user_mode(request.param, tmp_path_factory.mktemp("board"))


@pytest.fixture
def guest(board: tuple[str, UserMode], tmp_path: Path) -> Guest:
    def run(code: str) -> Ran:
        program = tmp_path / "program.py"
        program.write_text(textwrap.dedent(code), encoding="utf-8")
        return board[1].run(program, home=tmp_path, wall_s=240)

    return run


@pytest.mark.network
def test_a_guest_that_dies_of_a_signal(guest: Guest, tmp_path: Path) -> None:
    said = {4: "Illegal instruction", 11: "Segmentation fault", 6: "Aborted", 9: None}
    before = set(Path("/").iterdir())
    for number, words in said.items():
        ran = guest(f"import os; os.kill(os.getpid(), {number})")
        assert ran.status == -number
        told = f"qemu: uncaught target signal {number} ({words}) - core dumped\n"
        assert ran.stderr == ("" if words is None else told)
    assert set(Path("/").iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


@pytest.mark.network
def test_a_guest_sees_the_board(guest: Guest, board: tuple[str, UserMode]) -> None:
    code = """
        import json, os, platform
        names = ["proc/device-tree/model", "sys/class/dmi/id/sys_vendor"]
        print(json.dumps([
            os.uname().machine, os.cpu_count(), platform.libc_ver()[1],
            [os.path.exists("/" + name) for name in names],
            [open("/" + name).read() for name in names],
            os.listdir("/sys/class/hwmon"), open("/proc/self/cgroup").read(),
            os.path.exists("/nothing/of/that/name"),
            open("/etc/os-release").read().splitlines()[0],
        ]))
        """
    ran = guest(code)
    assert ran.stderr == ""
    target = load_target(board[0])
    assert json.loads(ran.stdout) == [
        target.cpu.architecture,
        4,
        "2.36",
        # A 32-bit Python asks by statx, which qemu does not redirect of itself.
        [True, True],
        [f"{target.title}\0", ""],
        [],
        "0::/\n",
        False,
        'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"',
    ]


@pytest.mark.network
def test_nothing_of_this_machine_can_be_imported(
    guest: Guest, board: tuple[str, UserMode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    code = """
        import json, sys
        found = []
        for name in ("numpy", "pytest", "onnxruntime", "click"):
            try:
                found.append(__import__(name).__file__)
            except ImportError:
                pass
        print(json.dumps([sys.path[1:], found, sys.flags.no_user_site]))
        """
    ran = guest(code)
    assert ran.stderr == ""
    path, found, _ = json.loads(ran.stdout)
    folder = str(board[1].root)
    assert path != []
    assert [entry for entry in path if not entry.startswith(folder)] == []
    own = [f"{folder}/usr/lib/python3/dist-packages/numpy/__init__.py"]
    assert found == (own if board[0] == "rpi4-32bit" else [])


@pytest.mark.network
def test_libraries_are_the_root_s(guest: Guest, board: tuple[str, UserMode]) -> None:
    ran = guest(
        """
        import ctypes, ssl, zlib, lzma, bz2
        with open("/proc/self/maps") as maps:
            files = {line.split(None, 5)[5].strip() for line in maps if "/" in line}
        print("\\n".join(sorted(name for name in files if ".so" in name)))
        """
    )
    assert ran.stderr == ""
    root = board[1].root
    roots = str(root), str((root / "usr").resolve())
    loaded = ran.stdout.splitlines()
    assert len(loaded) > 5
    assert [name for name in loaded if not name.startswith(roots)] == []


@pytest.mark.network
def test_a_library_that_only_this_machine_has_is_not_found(guest: Guest) -> None:
    # No root has SQLite's, and this machine's Python links it.
    ran = guest("import sqlite3")
    assert ran.status == 1
    assert ran.stderr.splitlines()[-1] == (
        "ImportError: libsqlite3.so.0: cannot open shared object file: No such file or directory"
    )


@pytest.mark.network
def test_a_32_bit_bundle_runs_its_samples(
    shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    choice = resolve_model("digits-cnn:digits-cnn-int8.tflite")
    bundle = package_model(choice, "rpi4-32bit", output=tmp_path / "bundle.pyz")
    mode = user_mode("rpi4-32bit", tmp_path)
    ran = mode.run(bundle.path, "run", "--json", home=tmp_path, wall_s=240)
    assert ran.status == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert (answer["count"], answer["agreed"]) == (16, 16)
    manifest = bundle.manifest
    told = (answer["runtime"]["distribution"], answer["runtime"]["version"])
    assert told == ("tflite-runtime", manifest.runtime_version)
