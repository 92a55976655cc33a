"""`edgekit keys` as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.adapters.keys import load_private_key
from edge.cli import keys


def edgekit(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {k: v for k, v in os.environ.items() if k != "EDGEKIT_KEY_PASSWORD"}
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env={**plain, **environment},
    )


def test_a_key_is_made_and_shown(tmp_path: Path) -> None:
    made = edgekit("keys", "generate", folder=tmp_path)
    assert made.returncode == 0
    named = made.stdout.strip()
    assert made.stderr == (
        "written: edgekit-key (keep it secret) and edgekit-key.pub (for the devices)\n"
    )
    groups = " ".join(named[at : at + 4] for at in range(0, 64, 4))
    for file, kind in (("edgekit-key", "private"), ("edgekit-key.pub", "public")):
        shown = edgekit("keys", "show", file, folder=tmp_path)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout == (
            f"{kind} key, Ed25519\nkey id       {named}\nfingerprint  {groups}\n"
        )
    shown = edgekit("keys", "show", "edgekit-key", "--json", folder=tmp_path)
    assert json.loads(shown.stdout) == {
        "path": "edgekit-key",
        "kind": "private",
        "key_id": named,
        "fingerprint": groups,
        "encrypted": False,
        "warning": None,
    }
    again = edgekit("keys", "generate", folder=tmp_path)
    assert (again.returncode, again.stdout) == (9, "")
    assert again.stderr == (
        "error: edgekit-key: it is there already, and no key is written over\n"
        "hint: choose another name with -o; a key that is lost cannot be made again\n"
    )


def test_a_password_comes_from_the_environment(tmp_path: Path) -> None:
    made = edgekit("keys", "generate", "-o", "k", folder=tmp_path, EDGEKIT_KEY_PASSWORD="sesame")
    assert made.stderr == "written: k (encrypted, keep it secret) and k.pub (for the devices)\n"
    shown = edgekit("keys", "show", "k", folder=tmp_path, EDGEKIT_KEY_PASSWORD="sesame")
    assert shown.stdout.startswith("private key, Ed25519, encrypted\n")
    wrong = edgekit("keys", "show", "k", folder=tmp_path, EDGEKIT_KEY_PASSWORD="no")
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert wrong.stderr == "error: k: the password is wrong, or the key is damaged\n"
    missing = edgekit("keys", "show", "k", folder=tmp_path)
    assert missing.returncode == 3
    assert missing.stderr == (
        "error: k: the key has a password\n"
        "hint: set EDGEKIT_KEY_PASSWORD, or run this on a terminal\n"
    )


def test_a_password_is_asked_for_on_a_terminal_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = edgekit("keys", "generate", "--encrypt", folder=tmp_path)
    assert asked.returncode == 2
    assert asked.stderr == (
        "error: --encrypt asks for a password, and this is no terminal\n"
        "hint: set EDGEKIT_KEY_PASSWORD instead\n"
    )
    assert list(tmp_path.iterdir()) == []

    class Terminal:
        stdin = type("", (), {"isatty": lambda _self: True})()

    monkeypatch.delenv("EDGEKIT_KEY_PASSWORD", raising=False)
    monkeypatch.setattr(keys, "sys", Terminal)
    path = tmp_path / "k"
    generate = ["generate", "--encrypt", "-o", str(path)]
    done = CliRunner().invoke(keys.command, generate, input="sesame\nsesame\n")
    assert done.exit_code == 0, done.output
    shown = CliRunner().invoke(keys.command, ["show", str(path)], input="sesame\n")
    assert shown.exit_code == 0, shown.output
    assert "private key, Ed25519, encrypted\n" in shown.output
    assert load_private_key(path, lambda: "sesame").key_id in shown.output


def test_what_is_unsafe_is_warned_of(tmp_path: Path) -> None:
    edgekit("keys", "generate", "-o", "k", folder=tmp_path)
    (tmp_path / "k").chmod(0o644)
    shown = edgekit("keys", "show", "k", folder=tmp_path)
    assert shown.returncode == 0
    assert shown.stderr == "warning: k: others may use this private key: chmod 600 k\n"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "no such file\nhint: edgekit keys generate makes one\n"),
        (
            b"ssh-ed25519 AAAA\n",
            "not a PEM file with one public key\nhint: edgekit keys generate makes one\n",
        ),
        (
            b"-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n",
            "a public key of another kind than Ed25519\nhint: edgekit keys generate makes one\n",
        ),
    ],
)
def test_what_is_no_key_is_said(tmp_path: Path, content: bytes | None, error: str) -> None:
    if content is not None:
        (tmp_path / "k").write_bytes(content)
    shown = edgekit("keys", "show", "k", folder=tmp_path)
    assert (shown.returncode, shown.stdout) == (3, "")
    assert shown.stderr == f"error: k: {error}"
