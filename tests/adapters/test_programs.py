"""qemu and mke2fs: which installed one does, and one that is fetched with its own libraries."""

import json
import os
import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from edge.adapters import programs
from edge.adapters.debian_sources import KEYRING
from edge.adapters.programs import HostProgram, host_program, known_program, package_of
from edge.errors import HostError

needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or not KEYRING.is_file(), reason="needs Debian's apt"
)
needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="names x86-64's loader")
PLUGIN = """\
#include <stdio.h>
int qemu_plugin_version = 1;
int qemu_plugin_install(unsigned long id, const void *info, int argc, char **argv) {
    fputs("plugged\\n", stderr);
    return 0;
}
"""


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with everything of this machine but the programs that are looked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in ("/bin", "/usr/bin"):
        for path in Path(place).iterdir():
            link = folder / path.name
            if not path.name.startswith(("qemu", "mke2fs")) and not link.is_symlink():
                link.symlink_to(path)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(programs, "_ADMINISTRATION", "/nonexistent")
    return folder


def install(folder: Path, name: str, version: str, plugin: str = "") -> Path:
    """Put a program into the folder that says its version, and `plugin` when asked for one."""
    path = folder / name
    text = f'#!/bin/sh\ncase "$1" in -plugin) echo "{plugin}";; *) echo "{version}";; esac\n'
    path.write_text(text)
    path.chmod(0o755)
    return path


SOUND = "Could not load plugin libc.so.6: undefined symbol: qemu_plugin_install"
STATIC = "qemu: unknown option 'plugin'"


@pytest.mark.parametrize(
    ("name", "said", "plugin", "version"),
    [
        ("qemu-aarch64", "qemu-aarch64 version 7.2.22 (Debian 1:7.2)", SOUND, "7.2.22"),
        ("qemu-arm", "qemu-arm version 10.0", SOUND, "10.0"),
        ("qemu-system-aarch64", "QEMU emulator version 9.1.2", STATIC, "9.1.2"),
        ("mke2fs", "mke2fs 1.47.0 (5-Feb-2023)", "", "1.47.0"),
    ],
)
def test_an_installed_one_that_does(
    name: str, said: str, plugin: str, version: str, bare_path: Path
) -> None:
    path = install(bare_path, name, said, plugin)
    expected = HostProgram(name=name, command=(str(path),), version=version, origin="installed")
    assert host_program(name) == expected
    assert known_program(name) == (expected, "")


@pytest.mark.parametrize(
    ("name", "said", "plugin", "reason"),
    [
        ("qemu-aarch64", "version 5.2.0", SOUND, "its version 5.2.0 is older than 7.2"),
        ("qemu-aarch64", "version 10.0.13", STATIC, "version 10.0.13 loads no plugins"),
        ("qemu-arm", "hello", SOUND, "it does not say its version"),
        ("mke2fs", "BusyBox v1.36", "", "it does not say its version"),
        ("mke2fs", "mke2fs 1.42.13", "", "its version 1.42.13 is older than 1.43"),
    ],
)
def test_an_installed_one_that_does_not(
    name: str, said: str, plugin: str, reason: str, bare_path: Path
) -> None:
    install(bare_path, name, said, plugin)
    assert known_program(name) == (None, reason)


def test_one_that_cannot_be_started(bare_path: Path) -> None:
    (bare_path / "qemu-arm").write_text("#!/nonexistent/interpreter\n")
    (bare_path / "qemu-arm").chmod(0o755)
    assert known_program("qemu-arm") == (None, "it does not say its version")


def test_without_apt_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(HostError) as caught:
        host_program("qemu-system-aarch64")
    assert str(caught.value) == (
        "qemu-system-aarch64: it is not installed, and this machine has no apt with Debian's keys"
    )
    assert caught.value.hint == (
        "install qemu-system-arm (Debian, Ubuntu: apt-get install qemu-system-arm), "
        "or work in a container of Debian 12"
    )


def test_a_machine_that_debian_has_no_programs_for(
    bare_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(HostError) as caught:
        host_program("qemu-arm")
    assert str(caught.value) == (
        "qemu-arm: it is not installed, and there is none to fetch for this machine "
        "(linux, riscv64)"
    )


@needs_x86
def test_a_fetched_one_is_used_while_it_is_whole(
    own_cache: Path, bare_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_suite", lambda package: "bookworm")
    root = own_cache / "emulation/programs/qemu-system-arm-bookworm-x86_64"
    for name in ("lib64/ld-linux-x86-64.so.2", "usr/bin/qemu-system-aarch64"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    assert known_program("qemu-system-aarch64") == (None, "it is not installed")
    record = {"versions": {"qemu-system-aarch64": "7.2.22"}, "linked": True}
    (root / "program.json").write_text(json.dumps(record))
    libraries = f"{root}/usr/lib/x86_64-linux-gnu"
    expected = HostProgram(
        name="qemu-system-aarch64",
        command=(
            str(root / "lib64/ld-linux-x86-64.so.2"),
            "--inhibit-cache",
            "--library-path",
            f"{libraries}:{root}/usr/lib",
            str(root / "usr/bin/qemu-system-aarch64"),
            "-L",
            str(root / "usr/share/qemu"),
        ),
        version="7.2.22",
        origin="fetched",
        environment={"QEMU_MODULE_DIR": f"{libraries}/qemu"},
    )
    assert host_program("qemu-system-aarch64") == expected
    (root / "usr/bin/qemu-system-aarch64").unlink()
    assert known_program("qemu-system-aarch64") == (None, "it is not installed")


def test_the_packages() -> None:
    names = ("qemu-aarch64", "qemu-arm", "qemu-system-aarch64", "mke2fs")
    packages = ["qemu-user", "qemu-user", "qemu-system-arm", "e2fsprogs"]
    assert [package_of(name) for name in names] == packages


def exit_program(path: Path) -> Path:
    """Write a program for 64-bit Arm that ends with 7: one segment, no libraries."""
    code = struct.pack("<3I", 0xD28000E0, 0xD2800BA8, 0xD4000001)  # exit(7)
    start, headers = 0x400000, 64 + 56
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, start + headers, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = headers + len(code)
    head += struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 0x1000)
    path.write_bytes(head + code)
    path.chmod(0o755)
    return path


def answered(program: HostProgram, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*program.command, *arguments],
        env=dict(program.environment),
        capture_output=True,
        text=True,
        check=False,
        input="quit\n",
        timeout=60,
    )


@needs_apt
@pytest.mark.network
@pytest.mark.timeout(300)
def test_fetched_programs_run(
    bare_path: Path, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    told: list[float] = []
    emulator = host_program("qemu-aarch64", told.append)
    assert (emulator.origin, emulator.environment) == ("fetched", {})
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert answered(emulator, str(exit_program(tmp_path / "seven"))).returncode == 7
    # Its own libraries, or they could be of another version of the C library than its loader.
    assert str(shared_cache) in emulator.command[-1]
    (tmp_path / "plugin.c").write_text(PLUGIN)
    plugin = tmp_path / "plugin.so"
    compiler = ["cc", "-shared", "-fPIC", "-o", str(plugin), str(tmp_path / "plugin.c")]
    subprocess.run(compiler, check=True)
    plugged = answered(emulator, "-plugin", str(plugin), str(tmp_path / "seven"))
    assert (plugged.returncode, plugged.stderr) == (7, "plugged\n")
    assert host_program("qemu-arm").origin == "fetched"
    places = shared_cache / "emulation" / "programs"
    assert [path.name for path in places.iterdir() if path.name.startswith(".new-")] == []
    # From now on neither apt nor the network is needed.
    monkeypatch.setenv("PATH", "/nonexistent")
    assert host_program("qemu-aarch64") == emulator
    # What was lost of it is unpacked again.
    Path(emulator.command[-1]).unlink()
    assert host_program("qemu-aarch64") == emulator
    assert answered(emulator, str(tmp_path / "seven")).returncode == 7


@needs_apt
@pytest.mark.network
@pytest.mark.timeout(300)
def test_fetched_programs_of_the_full_system_run(
    bare_path: Path, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    machine = ("-M", "virt", "-cpu", "cortex-a53", "-nic", "none")
    quiet = ("-display", "none", "-monitor", "stdio", "-S")
    started = answered(host_program("qemu-system-aarch64"), *machine, *quiet)
    assert (started.returncode, started.stderr) == (0, "")
    assert "QEMU 7.2" in started.stdout or "QEMU 10." in started.stdout
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "hello").write_text("there you are")
    disk = tmp_path / "disk.ext4"
    arguments = ("-q", "-F", "-t", "ext4", "-d", str(tmp_path / "files"), str(disk), "8M")
    made = answered(host_program("mke2fs"), *arguments)
    assert made.returncode == 0, made.stderr
    assert b"there you are" in disk.read_bytes()


def test_this_environment_is_not_given_on(bare_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bare_path / "qemu-system-aarch64"
    path.write_text('#!/bin/sh\necho "version 7.2.${LD_PRELOAD_MARK:-1}"\n')
    path.chmod(0o755)
    monkeypatch.setitem(os.environ, "LD_PRELOAD_MARK", "9")
    assert host_program("qemu-system-aarch64").version == "7.2.1"
