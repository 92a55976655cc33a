"""The systemd unit of an installed bundle."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_bundle import write_small

from edge.device.place import Place
from edge.device.systemd import checked_words, unit_text, write_unit
from edge.errors import HostError, UsageError

LAUNCHER = "/var/lib/edgekit/bin/digits"


def sections(text: str) -> dict[str, list[tuple[str, str]]]:
    """Parse a unit: a setting may stand there more than once."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            section.append((key, value))
    return found


def unit(*words: str, root: str = "/var/lib/edgekit") -> dict[str, list[tuple[str, str]]]:
    command = checked_words(words)
    return sections(unit_text("digits", "digits.onnx", LAUNCHER, root, command))


def test_by_default_it_runs_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = unit()
    assert found["Unit"] == [("Description", "digits: run digits.onnx")]
    service = dict(found["Service"])
    assert service["Type"] == "oneshot"
    assert service["ExecStart"] == f"{LAUNCHER} run"
    assert service["Environment"] == "EDGEKIT_HOME=/var/lib/edgekit"
    hardening = ("NoNewPrivileges", "PrivateTmp", "PrivateNetwork", "LockPersonality")
    assert [service[key] for key in hardening] == ["yes"] * 4
    assert (service["ProtectSystem"], service["CapabilityBoundingSet"]) == ("strict", "")
    assert "ReadWritePaths" not in service
    assert "User" not in service
    assert "MemoryMax" not in service
    assert found["Install"] == [("WantedBy", "multi-user.target")]


def test_files_are_absolute_and_only_their_folder_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir("/srv")
    service = dict(unit("run", "--inputs", "in/a.npz", "--outputs=out/b.npz")["Service"])
    assert service["ExecStart"] == (
        f"{LAUNCHER} run --inputs /srv/in/a.npz --outputs=/srv/out/b.npz"
    )
    assert service["ReadWritePaths"] == "/srv/out"
    # With a /tmp of its own it would not find what the user meant.
    assert "PrivateTmp" not in dict(unit("run", "--inputs", "/tmp/a.npz")["Service"])


def test_another_user_runs_it_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert dict(unit()["Service"])["User"] == "nobody"
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    assert dict(unit()["Service"])["User"] == "4000000000"


def test_odd_characters_are_quoted() -> None:
    service = dict(unit("run", "--outputs", '/srv/a b/100%/$x"\\', root="/srv/$y z")["Service"])
    assert service["ExecStart"] == f'{LAUNCHER} run --outputs "/srv/a b/100%%/$$x\\"\\\\"'
    assert service["ReadWritePaths"] == '"/srv/a b/100%%"'
    assert service["Environment"] == '"EDGEKIT_HOME=/srv/$y z"'
    with pytest.raises(UsageError, match="a unit cannot hold this"):
        unit("run", "--outputs", "/srv/a\nExecStart=b")


def test_only_what_is_a_service_gets_a_unit() -> None:
    with pytest.raises(UsageError, match="no unit can be written for probe") as caught:
        checked_words(["probe"])
    assert caught.value.hint == "after --: run"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file or directory") as caught:
        write_unit(Place(str(tmp_path)), "/proc/nowhere", "digits", "text")
    assert caught.value.hint == "choose another folder with --systemd-folder"


def test_install_writes_it_and_uninstall_removes_it(tmp_path: Path) -> None:
    path, root = tmp_path / "digits.pyz", tmp_path / "root"
    write_small(path, name="digits")
    program = root / "bin" / "digits"

    def device(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(path), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    install = ["install", "--root", str(root)]
    assert device(*install, "--", "run").returncode == 2
    assert not root.exists()
    assert device("info", "--", "run").returncode == 2
    assert device(*install, "--systemd", "--", "probe").returncode == 2
    assert not root.exists()
    done = device(*install, "--systemd", "--", "run", "--inputs", "a", "--outputs", "b")
    assert done.returncode == 0, done.stderr
    service = root / "systemd" / "digits.service"
    assert done.stdout.splitlines()[-2:] == [
        f"unit: {service}",
        f"enable it: sudo systemctl enable --now {service}",
    ]
    found = dict(sections(service.read_text())["Service"])
    assert found["ExecStart"].startswith(f"{program} run --inputs /")
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", str(service)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "digits.service" not in checked.stderr, checked.stderr
    other = tmp_path / "units"
    assert device(*install, "--systemd", "--systemd-folder", str(other)).returncode == 0
    assert (other / "digits.service").is_file()
    done = device("uninstall", "--root", str(root))
    assert done.returncode == 0
    assert not service.exists()
    assert done.stderr == (
        "its unit is gone, too; if it was enabled: sudo systemctl disable digits.service\n"
    )
