"""`edgekit verify` as a user meets it: exit codes, streams, whole messages; nothing is run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_keys import public_bytes, public_pem, signer
from small_bundle import write_small

from edge.device.signature import key_id
from edge.units import format_bytes

ID = key_id(public_bytes(1))


def edgekit(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles whose code would leave a file behind if any of it were run."""
    path = tmp_path_factory.mktemp("verify")
    trap = b"open('ran', 'w').close()\n"
    members = {"__main__.py": trap, "edge/__init__.py": trap, "edge/device/__init__.py": trap}
    write_small(path / "signed.pyz", members=members, signer=signer(1), sequence=7)
    write_small(path / "unsigned.pyz", members=members)
    data = bytearray((path / "signed.pyz").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "damaged.pyz").write_bytes(data)
    (path / "key.pub").write_bytes(public_pem(1))
    (path / "other.pub").write_bytes(public_pem(2))
    return path


@pytest.mark.parametrize(
    ("name", "options", "last"),
    [
        ("signed.pyz", (), f"signed by {ID}, by its own word: check it with --key KEY.pub"),
        ("signed.pyz", ("--key", "key.pub"), f"signed by {ID}, the key that was given"),
        ("unsigned.pyz", (), "unsigned"),
    ],
)
def test_what_is_whole_is_said(
    folder: Path, name: str, options: tuple[str, ...], last: str
) -> None:
    done = edgekit("verify", name, *options, folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, third = done.stdout.splitlines()
    size = format_bytes((folder / name).stat().st_size)
    digest = (folder / name).read_bytes().split(b"\n")[1].decode().split()[-1]
    assert first.startswith("intact: ")
    assert first.endswith(f" members, {size}, sha256 {digest}")
    assert second == f"digits-host for host, sequence {7 if name == 'signed.pyz' else 0}"
    assert third == last
    assert not (folder / "ran").exists()


def test_json(folder: Path) -> None:
    done = edgekit("verify", "signed.pyz", "--key", "key.pub", "--json", folder=folder)
    document = json.loads(done.stdout)
    assert (done.returncode, document.pop("members") > 30) == (0, True)
    assert document == {
        "path": "signed.pyz",
        "name": "digits-host",
        "target": "host",
        "sequence": 7,
        "sha256": (folder / "signed.pyz").read_bytes().split(b"\n")[1].decode().split()[-1],
        "size_bytes": (folder / "signed.pyz").stat().st_size,
        "named_keys": [ID],
        "signed_by": ID,
    }


OTHER = key_id(public_bytes(2))


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (("damaged.pyz",), 5, "damaged.pyz: the file is damaged: its digest is not the one that"),
        (
            ("signed.pyz", "--key", "other.pub"),
            5,
            f"signed.pyz: it is signed by {ID}, and must be signed by {OTHER}\nhint: ",
        ),
        (
            ("unsigned.pyz", "--key", "key.pub"),
            5,
            f"unsigned.pyz: it is unsigned, and must be signed by {ID}\nhint: ",
        ),
        (("key.pub",), 5, "key.pub: not a bundle\n"),
        (("missing.pyz",), 5, "missing.pyz: no such file or directory\n"),
        (("signed.pyz", "--key", "signed.pyz"), 3, "signed.pyz: not a PEM file with one public"),
        (("signed.pyz", "--key", "no.pub"), 3, "no.pub: no such file\n"),
    ],
)
def test_what_is_not_is_refused(
    folder: Path, arguments: tuple[str, ...], status: int, error: str
) -> None:
    done = edgekit("verify", *arguments, "--json", folder=folder)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("error: " + error)
    assert not (folder / "ran").exists()
