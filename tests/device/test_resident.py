"""The resident tool: where it comes from, and that it only reads what was not accepted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_keys import public_bytes, public_pem, signer
from small_bundle import write_small

from edge.device.launcher import first_line, write_interpreter, write_launcher
from edge.device.place import Place
from edge.device.signature import key_id

OURS = key_id(public_bytes(1))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path / "root"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "ours.pub"
    path.write_bytes(public_pem(1))
    return path


def device(*command: str | Path) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    if words[0].endswith(".pyz"):
        words.insert(0, sys.executable)
    return subprocess.run(words, capture_output=True, text=True, check=False)


def tool(place: Place, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return device(Path(place.program("edgekit")), *words)


def test_with_a_key_only_what_it_signed_is_installed(
    tmp_path: Path, place: Place, key: Path
) -> None:
    unsigned, ours, theirs = (tmp_path / f"{name}.pyz" for name in ("unsigned", "ours", "theirs"))
    write_small(unsigned)
    write_small(ours, signer=signer(1), sequence=1)
    write_small(theirs, signer=signer(2), sequence=2)

    done = device(unsigned, "trust", "--root", place.root)
    assert done.stdout == "no key is trusted: every bundle that is whole is accepted\n"
    assert not Path(place.root).exists()
    done = device(unsigned, "trust", key, "--target", "host", "--root", place.root)
    assert (done.returncode, done.stdout) == (
        0,
        f"trusted: {OURS}\nonly bundles for the target host are accepted\n",
    )
    assert done.stderr == f"from now on install with: {place.program('edgekit')} install FILE\n"

    environment = {**os.environ, "EDGEKIT_HOME": place.root}
    for path in (unsigned, theirs):
        done = tool(place, "install", path)
        assert done.returncode == 5
        assert f"signed by {OURS}\n" in done.stderr
        done = tool(place, "verify", path)
        assert done.returncode == 0
        assert "which this device trusts" not in done.stdout
        for words in (["run"], ["probe"], ["install"], ["trust", str(key)]):
            done = subprocess.run(
                [sys.executable, str(path), *words],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
            )
            assert done.returncode == 5, words
            assert f"signed by {OURS}\n" in done.stderr
    assert tool(place, "list").stdout == f"nothing is installed in {place.root}\n"

    done = tool(place, "install", ours)
    assert done.returncode == 0, done.stderr
    assert tool(place, "run", "digits-host").returncode == 0
    head = Path(place.root, "bundles", "digits-host", "current", "bundle.head").read_bytes()
    assert ours.read_bytes().startswith(head)
    assert head.count(b"\n") == 3

    done = tool(place, "trust", "--remove", OURS, "--json")
    assert json.loads(done.stdout) == {"added": None, "keys": [], "target": "host"}
    assert tool(place, "install", theirs).returncode == 0
    assert tool(place, "trust", key, "--remove", OURS).returncode == 2


def test_code_of_a_refused_bundle_never_runs(tmp_path: Path, place: Place, key: Path) -> None:
    good, evil, marker = tmp_path / "good.pyz", tmp_path / "evil.pyz", tmp_path / "marker"
    write_small(good)
    code = f"open({str(marker)!r}, 'w')\n".encode()
    members = {"edge/__init__.py": code, "edge/device/__init__.py": code, "__main__.py": code}
    write_small(evil, members=members, edgekit_version="99.0")
    assert device(good, "trust", key, "--root", place.root).returncode == 0
    for command in ("install", "verify"):
        tool(place, command, evil)
    assert not marker.exists()
    assert tool(place, "list").returncode == 0
    # It is live: whoever starts the file itself runs it.
    device(evil, "info")
    assert marker.exists()


def test_only_a_newer_edgekit_replaces_it(tmp_path: Path, place: Place) -> None:
    current = Path(place.tool, "current")
    seen = []
    for number, version in enumerate(("0.2.0", "0.1.9", "0.10.0", "0.9.0")):
        path = tmp_path / f"{number}.pyz"
        code = f'__version__ = "{version}"\n'.encode()
        write_small(
            path, members={"edge/__init__.py": code}, edgekit_version=version, sequence=number
        )
        done = device(path, "install", "--root", place.root)
        assert done.returncode == 0, done.stderr
        seen.append((current / "edgekit-version").read_text().strip())
        assert len([p for p in Path(place.tool).iterdir() if not p.is_symlink()]) == 1
    assert seen == ["0.2.0", "0.2.0", "0.10.0", "0.10.0"]
    assert tool(place, "list").returncode == 0
    # A damaged one is replaced, whatever its version.
    (current / "edge" / "errors.py").unlink()
    assert device(tmp_path / "3.pyz", "install", "--root", place.root).returncode == 0
    assert (current / "edgekit-version").read_text() == "0.9.0\n"
    assert tool(place, "list").returncode == 0


def test_its_command_line(tmp_path: Path, place: Place, small: Path) -> None:
    assert device(small, "install", "--root", place.root).returncode == 0
    assert tool(place).returncode == 2
    assert tool(place, "install").returncode == 2
    done = tool(place, "install", tmp_path / "none.pyz")
    assert (done.returncode, done.stderr) == (
        5,
        f"error: {tmp_path / 'none.pyz'}: no such file or directory\n",
    )
    assert tool(place, "run", "nothing").stderr == (
        f"error: {place.root}: nothing is not installed\nhint: installed: digits-host\n"
    )
    done = tool(place, "trust", "--target", "rpi4")
    assert (done.returncode, done.stderr) == (2, "error: --target goes with a key\n")
    done = tool(place, "trust", tmp_path / "none.pub")
    assert (done.returncode, done.stderr) == (
        9,
        f"error: {tmp_path / 'none.pub'}: no such file or directory\n",
    )


def test_the_first_line() -> None:
    assert first_line("/usr/bin/python3", "-IS") == "#!/usr/bin/python3 -IS\n"
    for odd in ("/opt/my python/bin/python3", "/" + "x" * 130):
        assert first_line(odd, "-IS") == (
            f"#!/bin/sh\n'''exec' \"{odd}\" -IS \"$0\" \"$@\"\n' '''\n"
        )


@pytest.mark.parametrize("folder", ["a b", "x" * 120])
def test_a_python_with_an_odd_path_starts_a_launcher(
    folder: str, tmp_path: Path, place: Place, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert device(small, "install", "--root", place.root).returncode == 0
    python = tmp_path / folder / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(python))
        launcher = write_launcher(place, "digits-host")
    assert device(Path(launcher), "info").returncode == 0


def test_a_version_for_another_python_is_started_with_it(
    tmp_path: Path, place: Place, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert device(small, "install", "--root", place.root).returncode == 0
    program = Path(place.program("digits-host"))
    current = program.parent.parent / "bundles" / "digits-host" / "current"
    other = tmp_path / "python3.99"
    other.write_text('#!/bin/sh\necho "$@"\n')
    other.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "version_info", (3, 99, 0))
        patched.setattr(sys, "executable", str(other))
        write_interpreter(str(current))
    assert device(program, "run", "--json").stdout == f"-IS {program} run --json\n"
    other.unlink()
    assert device(program, "run").stderr == (
        f"error: digits-host: {other}: No such file or directory: install it again\n"
    )
    (current / "interpreter").write_text(f"3.99\n{sys.executable}\n")
    done = device(program, "run")
    assert (done.returncode, done.stderr) == (
        5,
        "error: digits-host: it was installed with Python 3.99: install it again\n",
    )


def test_a_launcher_without_its_bundle(place: Place) -> None:
    Path(place.programs).mkdir(parents=True)
    done = device(Path(write_launcher(place, "digits")), "run")
    assert (done.returncode, done.stderr) == (5, "error: digits: not installed\n")
