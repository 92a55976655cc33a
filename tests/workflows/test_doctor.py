"""What this machine has: each check with what it found, and what is asked of it by name."""

import platform
import shutil
from pathlib import Path

import pytest

from edge.adapters.programs import HostProgram
from edge.adapters.targets import load_targets
from edge.device.facts import read_host_facts
from edge.errors import HostError, RuntimeFailure, UsageError
from edge.records.codec import from_dict, to_dict
from edge.records.doctor import HostCheck, HostReport
from edge.workflows import doctor, doctor_emulation
from edge.workflows.doctor import examine_host, require
from edge.workflows.doctor_emulation import emulation_checks, target_checks

ARM = ["rpi-zero2w", "rpi3", "rpi4", "rpi4-32bit", "rpi5", "jetson-nano", "jetson-orin-nano"]
NO_APT = "this machine has no apt with Debian's keys"
CONTAINER = "use a machine or a container with Debian 12"


def check(name: str, state: str = "ok", remedy: str | None = None) -> HostCheck:
    return HostCheck(name=name, group="emulation", state=state, found="?", remedy=remedy)  # type: ignore[arg-type]


def emulation(
    monkeypatch: pytest.MonkeyPatch, *, lack: str | None, programs: bool
) -> dict[str, HostCheck]:
    """What is said of emulation and of the targets on a machine with or without apt and programs."""

    def known(name: str) -> tuple[HostProgram | None, str]:
        program = HostProgram(name=name, command=(name,), version="7.2.22", origin="installed")
        return (program, "") if programs else (None, "it is not installed")

    monkeypatch.setattr(doctor_emulation, "archive_lack", lambda: lack)
    monkeypatch.setattr(doctor_emulation, "known_program", known)
    checks = tuple(emulation_checks())
    every = (*checks, *target_checks(load_targets(), checks))
    return {check.name: check for check in every}


def test_the_checks_of_this_machine(own_cache: Path) -> None:
    report = examine_host()
    names = [check.name for check in report.checks]
    assert len(set(names)) == len(names)
    assert names[:5] == ["python", "processor", "memory", "disk", "cache"]
    groups = list(dict.fromkeys(check.group for check in report.checks))
    assert groups == ["host", "runtimes", "packaging", "emulation", "targets", "remote"]
    found = {check.name: check for check in report.checks}
    assert found["python"].found == platform.python_version()
    assert found["processor"].found.startswith(f"{read_host_facts().cores_allowed} cores of ")
    assert found["onnxruntime"].found.startswith("onnxruntime 1.")
    assert found["onnxruntime"].found.endswith(", imports")
    assert found["wheels"].state == "on-first-use"
    assert found["cache"].found == "0 B"
    assert [name for name in names if name.startswith("target:rpi4")] == [
        "target:rpi4",
        "target:rpi4-32bit",
    ]
    assert not [name for name in names if "gpu" in name]
    assert from_dict(HostReport, to_dict(report), "doctor") == report


def test_with_everything_installed_only_the_roots_are_fetched(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    found = emulation(monkeypatch, lack=None, programs=True)
    assert found["qemu-aarch64"].found == "7.2.22, installed, loads plugins"
    assert found["mke2fs"].found == "7.2.22, installed"
    assert found["roots"].state == "on-first-use"
    assert found["target:rpi4"].state == "on-first-use"
    roots = own_cache / "emulation" / "roots"
    (roots / "bookworm-arm64-0123.json").write_text("{}")
    found = emulation(monkeypatch, lack=None, programs=True)
    assert found["roots"].found == "1 in the cache"
    assert found["target:rpi4"] == HostCheck(
        name="target:rpi4",
        group="targets",
        state="ok",
        found="user mode, cortex-a72, on Debian 12 (bookworm), arm64",
    )
    assert found["target:rpi4-32bit"].state == "on-first-use"
    assert found["target:jetson-nano"].state == "on-first-use"


def test_what_can_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    found = emulation(monkeypatch, lack=None, programs=False)
    assert found["qemu-arm"] == HostCheck(
        name="qemu-arm",
        group="emulation",
        state="on-first-use",
        found="it is not installed; Debian's qemu-user is fetched, 21 MB",
    )
    states = {found[f"target:{name}"].state for name in ARM}
    assert states == {"on-first-use"}


def test_a_machine_without_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    found = emulation(monkeypatch, lack=NO_APT, programs=False)
    assert (found["archive"].state, found["archive"].found) == ("missing", NO_APT)
    assert found["qemu-aarch64"].remedy == f"apt-get install qemu-user, or {CONTAINER}"
    assert found["target:rpi4"].remedy == CONTAINER
    # qemu alone does not help where no root can be had.
    found = emulation(monkeypatch, lack=NO_APT, programs=True)
    assert found["qemu-aarch64"].state == "ok"
    assert (found["target:rpi5"].state, found["target:rpi5"].remedy) == ("missing", CONTAINER)


def test_a_cloud_target_runs_natively_on_its_own_architecture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for machine in ("x86_64", "aarch64"):
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        found = emulation(monkeypatch, lack=None, programs=True)
        native = {name for name, check in found.items() if check.found.startswith("natively")}
        own = {"target:cloud-cpu", "target:cloud-cpu-4c"}
        assert native == (own if machine == "x86_64" else {"target:cloud-cpu-arm"})
    assert found["target:cloud-cpu"].found == "it needs x86_64"
    assert found["target:cloud-cpu"].remedy == "emulate it on a machine with x86_64"


def test_a_machine_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    found = {check.name: check for check in emulation_checks()}
    assert found["compiler"].found == "none, so none is counted"
    assert found["compiler"].remedy == "apt-get install gcc libc6-dev"


def test_a_runtime_that_is_there_and_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeFailure("libfoo.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "run_child", refuse)
    broken = next(check for check in doctor._runtime_checks() if check.name == "onnxruntime")
    assert broken.state == "missing"
    assert broken.found.endswith(": libfoo.so: cannot open shared object file")
    assert broken.remedy == "pip install --force-reinstall onnxruntime"


def test_a_cache_on_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1 << 20))  # type: ignore[attr-defined]
    disk = next(iter(doctor._cache_checks()))
    assert (disk.state, disk.found) == ("missing", "1 MiB free for the cache")
    assert disk.remedy == "have 2 GiB free, or set EDGEKIT_CACHE to another folder"


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file" / "cache"))
    (disk,) = doctor._cache_checks()
    assert disk.state == "missing"
    assert disk.remedy == "set EDGEKIT_CACHE to another folder"
    monkeypatch.setenv("PATH", "/nonexistent")
    found = {check.name: check for check in examine_host().checks}
    assert found["qemu-arm"].found == "not a directory"
    assert found["qemu-arm"].remedy == "apt-get install qemu-user"
    assert found["wheels"].found == "none in the cache"


def test_a_cache_of_very_many_files(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache.mkdir()
    for name in "abc":
        (own_cache / name).write_bytes(b"x" * 1024)
    assert doctor._size_bytes(own_cache) == (3072, True)
    monkeypatch.setattr(doctor, "_MOST_FILES", 2)
    assert doctor._size_bytes(own_cache) == (2048, False)


def test_what_is_required() -> None:
    checks = (
        check("archive"),
        check("qemu-arm", "on-first-use"),
        check("ssh", "missing", "install it"),
        check("roots", "missing", "install it"),
    )
    report = HostReport(checks=checks, edgekit_version="0")
    require(report, ["archive", "qemu-arm"])
    with pytest.raises(HostError) as missing:
        require(report, ["archive", "ssh", "roots"])
    assert (str(missing.value), missing.value.hint) == ("missing: ssh, roots", "install it")
    with pytest.raises(UsageError) as unknown:
        require(report, ["ssh", "shh"])
    assert str(unknown.value) == "shh: no check of that name"
    assert unknown.value.hint == "one of archive, qemu-arm, ssh, roots"


def test_what_is_missing_has_a_remedy() -> None:
    with pytest.raises(ValueError, match="what is missing has a remedy"):
        check("ssh", "missing")
