"""Packages with all that they depend on: what belongs to it, and what is asked for only once."""

import json
import shutil
from pathlib import Path

import pytest

from edge.adapters import debian_closure
from edge.adapters.debian import unpack_packages
from edge.adapters.debian_closure import closure, fetch_closure
from edge.adapters.debian_sources import KEYRING, stanzas
from edge.errors import BundleError, HostError

needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or not KEYRING.is_file(), reason="needs Debian's apt"
)
ROWS = stanzas("""\
Package: libc6
Section: libs

Package: debconf
Section: admin
Priority: required
Pre-Depends: perl-base (>= 5.20)

Package: perl-base
Section: perl
Essential: yes

Package: passwd
Section: admin
Priority: required
Depends: libpam0g

Package: libpam0g
Section: libs
Depends: debconf (>= 0.5) | debconf-2.0, libc6

Package: mawk
Section: interpreters
Provides: awk (= 1)

Package: data
Section: misc
Depends: icons

Package: icons
Section: x11

Package: logs
Section: admin
Priority: optional

Package: tool
Section: misc
Depends: libc6 (>= 2.36), passwd:any | adduser, awk, data
Pre-Depends: logs
""")


@pytest.mark.parametrize(
    ("names", "without", "expected"),
    [
        (["tool"], [], ["libc6", "mawk", "data", "icons", "logs", "tool"]),
        (["tool"], ["data"], ["libc6", "mawk", "logs", "tool"]),
        (["passwd"], [], ["libc6", "passwd", "libpam0g"]),
        (["libc6", "debconf"], [], ["libc6", "debconf"]),
        (["tool"], ["tool"], []),
    ],
    ids=["administration", "without", "asked-for", "two", "nothing"],
)
def test_what_belongs_to_it(names: list[str], without: list[str], expected: list[str]) -> None:
    assert closure(names, without, ROWS) == expected


def test_a_remembered_closure_needs_no_apt(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    folder = own_cache / "debian" / "bookworm" / "arm64"
    folder.mkdir(parents=True)
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    rows = []
    for name in ("a", "b"):
        (folder / f"{name}_1_arm64.deb").write_bytes(b"a")
        row = {"name": name, "version": "1", "architecture": "arm64", "sha256": digest}
        rows.append({**row, "size_bytes": 1, "file": f"{name}_1_arm64.deb"})
    (folder / "resolution.json").write_text(json.dumps(rows))
    (folder / "closures.json").write_text(json.dumps({"b -x": ["a", "b"]}))
    told: list[float] = []
    found = fetch_closure(
        ["b"], suite="bookworm", architecture="aarch64", without=["x"], progress=told.append
    )
    assert [package.name for package in found] == ["a", "b"]
    assert told == [1.0]
    # Another question is another closure, and a listing that is damaged is none.
    with pytest.raises(HostError):
        fetch_closure(["b"], suite="bookworm", architecture="aarch64")
    (folder / "closures.json").write_text("[1]")
    with pytest.raises(HostError):
        fetch_closure(["b"], suite="bookworm", architecture="aarch64", without=["x"])


@needs_apt
@pytest.mark.network
def test_fetched_once_and_whole(
    shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    found = fetch_closure(["passwd"], suite="bookworm", architecture="armhf")
    names = [package.name for package in found]
    assert names.index("libc6") < names.index("passwd")
    assert {"libselinux1", "libpcre2-8-0"} <= set(names)
    assert not {"debconf", "perl-base", "dpkg", "libpam-modules"} & set(names)
    assert {package.architecture for package in found} <= {"armhf", "all"}
    unpack_packages(found, tmp_path / "root")
    assert (tmp_path / "root/usr/bin/passwd").is_file()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert fetch_closure(["passwd"], suite="bookworm", architecture="armhf") == found


def test_a_package_that_debian_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(command: list[str], what: str, environment: dict[str, str]) -> str:
        raise BundleError("apt failed: Unable to locate package no-such", where=what)

    monkeypatch.setattr(debian_closure, "run_apt", refuse)
    with pytest.raises(BundleError) as caught:
        debian_closure._resolved(["no-such"], (), "Debian bookworm", {})
    assert str(caught.value) == "no-such: Debian bookworm has no package of that name"
