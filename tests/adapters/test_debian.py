"""Packages of Debian for other releases and architectures, without changing the machine."""

import json
import shutil
from pathlib import Path

import pytest

from edge.adapters import debian
from edge.adapters.debian import (
    debian_architecture,
    fetch_packages,
    python_root,
    unpack_packages,
)
from edge.errors import BundleError, ConfigError, HostError

needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or not debian.KEYRING.is_file(),
    reason="needs Debian's apt",
)


def test_the_root_of_each_python() -> None:
    assert python_root("bookworm", "3.11", "aarch64")[0] == "python3.11-minimal"
    assert "libssl1.1" in python_root("bullseye", "3.9", "arm64")
    assert "libssl3t64" in python_root("trixie", "3.13", "x86_64")


def test_a_release_has_one_python() -> None:
    with pytest.raises(ConfigError) as caught:
        python_root("bookworm", "3.8", "aarch64")
    assert str(caught.value) == "no Python 3.8 in Debian bookworm"
    assert caught.value.hint == "bullseye has 3.9, bookworm has 3.11, trixie has 3.13"


def test_architectures() -> None:
    assert [debian_architecture(name) for name in ("x86_64", "aarch64", "armv7l", "armhf")] == [
        "amd64",
        "arm64",
        "armhf",
        "armhf",
    ]
    with pytest.raises(ConfigError) as caught:
        debian_architecture("sparc")
    assert str(caught.value) == "sparc: no Debian architecture of that name"


def test_a_machine_without_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(HostError) as caught:
        fetch_packages(["zlib1g"], suite="bookworm", architecture="arm64")
    assert str(caught.value) == "this machine has no apt with Debian's keys"


def remembered(folder: Path, data: bytes, sha256: str) -> None:
    folder.mkdir(parents=True)
    (folder / "a_1_arm64.deb").write_bytes(data)
    row = {"name": "a", "version": "1", "architecture": "arm64", "sha256": sha256}
    document = [{**row, "size_bytes": len(data), "file": "a_1_arm64.deb"}]
    (folder / "resolution.json").write_text(json.dumps(document))


def test_the_cache_needs_neither_apt_nor_network(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    folder = own_cache / "debian" / "bookworm" / "arm64"
    remembered(folder, b"a", digest)
    (package,) = fetch_packages(["a"], suite="bookworm", architecture="aarch64")
    assert (package.name, package.version, package.sha256) == ("a", "1", digest)
    assert package.path == folder / "a_1_arm64.deb"
    # What was altered in the cache is not used, nor is anything when a refresh is asked for.
    with pytest.raises(HostError):
        fetch_packages(["a"], suite="bookworm", architecture="arm64", refresh=True)
    package.path.write_bytes(b"b")
    with pytest.raises(HostError):
        fetch_packages(["a"], suite="bookworm", architecture="arm64")


@needs_apt
@pytest.mark.network
def test_fetched_unpacked_and_not_asked_for_twice(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("zlib1g", "libgcc-s1")
    packages = fetch_packages(names, suite="bookworm", architecture="aarch64")
    assert [(package.name, package.architecture) for package in packages] == [
        ("zlib1g", "arm64"),
        ("libgcc-s1", "arm64"),
    ]
    assert all(package.path.stat().st_size == package.size_bytes for package in packages)
    unpack_packages(packages, tmp_path / "root")
    library = (tmp_path / "root/usr/lib/aarch64-linux-gnu/libz.so.1").read_bytes()
    assert library[:4] == b"\x7fELF"
    assert library[18] == 183  # EM_AARCH64
    assert [path.name for path in (own_cache / "debian/bookworm/arm64").glob(".apt-*")] == []
    monkeypatch.setenv("PATH", "/nonexistent")
    assert fetch_packages(names, suite="bookworm", architecture="aarch64") == packages
    with pytest.raises(HostError):
        fetch_packages(["libc6"], suite="bookworm", architecture="aarch64")


@needs_apt
@pytest.mark.network
def test_what_debian_does_not_have() -> None:
    with pytest.raises(BundleError) as caught:
        fetch_packages(["no-such-package-at-all"], suite="bookworm", architecture="amd64")
    expected = "no-such-package-at-all: Debian bookworm has no package of that name"
    assert str(caught.value) == expected
