"""The chain as an attacker meets it: the tool on the device reads his bundle and runs none of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_keys import public_bytes, public_pem, signer
from small_bundle import below_head, sealed, write_small

from edge.device.signature import key_id

OURS, THEIRS = key_id(public_bytes(1)), key_id(public_bytes(2))


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bundles, and a device in `root` that was set up with the first of them."""
    folder = tmp_path_factory.mktemp("device")
    # All of the code that a bundle could run says so, if it is run.
    trap = b"open('ran', 'w').close()\n"
    evil = {"__main__.py": trap, "edge/__init__.py": trap, "edge/device/main.py": trap}
    write_small(folder / "first.pyz", signer=signer(1), sequence=7)
    write_small(folder / "newer.pyz", signer=signer(1), sequence=8)
    write_small(folder / "unsigned.pyz", members=evil, sequence=9)
    write_small(folder / "other-key.pyz", members=evil, signer=signer(2), sequence=9)
    write_small(folder / "other-target.pyz", members=evil, signer=signer(1), target="rpi4")
    write_small(folder / "older.pyz", members=evil, signer=signer(1), sequence=6)
    below = bytearray(below_head((folder / "newer.pyz").read_bytes()))
    below[below.index(b"Apache License")] ^= 1
    (folder / "altered.pyz").write_bytes(sealed(bytes(below)))
    (folder / "key.pub").write_bytes(public_pem(1))
    told = on(folder, sys.executable, "first.pyz", "trust", "key.pub", "--target", "host")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"trusted: {OURS}\n")
    done = on(folder, "root/bin/edgekit", "install", "first.pyz")
    assert done.returncode == 0, done.stderr
    return folder


def on(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "EDGEKIT_HOME": str(folder / "root")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("unsigned.pyz", f"it is unsigned, and must be signed by {OURS}"),
        ("other-key.pyz", f"it is signed by {THEIRS}, and must be signed by {OURS}"),
        ("other-target.pyz", "it was made for rpi4, and this device is host"),
        ("older.pyz", "it is older than the installed version: sequence 6, installed 7"),
        ("altered.pyz", "LICENSE"),
    ],
)
def test_what_is_not_trusted_is_refused_and_none_of_it_is_run(
    device: Path, name: str, what: str
) -> None:
    before = on(device, "root/bin/edgekit", "list", "--json").stdout
    done = on(device, "root/bin/edgekit", "install", name)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith(f"error: {name}: ")
    assert what in done.stderr
    assert not (device / "ran").exists()
    assert on(device, "root/bin/edgekit", "list", "--json").stdout == before


def test_what_the_key_signed_goes_on_to_be_installed(device: Path) -> None:
    done = on(device, "root/bin/edgekit", "install", "newer.pyz")
    assert done.returncode == 0, done.stderr
    assert "sequence 8" in done.stdout
    run = on(device, "root/bin/digits-host", "run")
    assert (run.returncode, run.stdout) == (0, "2 of 2 samples agree\n")


def test_a_key_that_cannot_be_read_is_no_reason_to_accept_anything(device: Path) -> None:
    spoilt = device / "root" / "trust" / "spoilt.pub"
    spoilt.write_text("")
    try:
        done = on(device, "root/bin/edgekit", "install", "newer.pyz")
    finally:
        spoilt.unlink()
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: {spoilt}: not a PEM file with one public key\n")
