"""Roots from Debian's packages: made once, whole, complete, and dressed as a board."""

import os
import sys
import tarfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_debs import made_deb, member

from edge.adapters import roots
from edge.adapters.debian import DebianPackage
from edge.adapters.roots import base_root, dressed_root
from edge.errors import BundleError, ConfigError, HostError

# The Python whose bytecode this one can write, where a release has it.
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
TRIPLET = "arm-linux-gnueabihf"


def package(folder: Path, name: str, *members: tuple[tarfile.TarInfo, bytes]) -> DebianPackage:
    folder.mkdir(exist_ok=True)
    path = made_deb(folder / f"{name}.deb", *members)
    size = path.stat().st_size
    return DebianPackage(
        name=name, version="1", architecture="arm64", sha256=name * 8, size_bytes=size, path=path
    )


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Serve made packages in place of Debian's; what is asked for is listed."""
    lib = "./usr/lib/python3.11"
    python = package(
        tmp_path / "debs",
        "python",
        member("./usr/bin/python3.11", b"elf", mode=0o755),
        member(f"{lib}/os.py", b"name = 'posix'\n"),
        member(f"{lib}/bad.py", b"not Python at all\n"),
        member("./lib/x.so.1", kind=tarfile.SYMTYPE, link="x.so.1.0"),
        member("./var/lib/x/", kind=tarfile.DIRTYPE),
    )
    numpy = package(
        tmp_path / "debs",
        "numpy",
        member("./usr/lib/python3/dist-packages/numpy/__init__.py", b""),
        member(f"./usr/lib/{TRIPLET}/blas/libblas.so.3", b"elf"),
        member(f"./usr/lib/{TRIPLET}/lapack/liblapack.so.3", b"elf"),
    )
    calls: list[Sequence[str]] = []

    def fetch(names: Sequence[str], **_: Any) -> tuple[DebianPackage, ...]:
        calls.append(names)
        return (python,)

    def closure(names: Sequence[str], *, without: Sequence[str], **_: Any) -> tuple[Any, ...]:
        calls.append(names)
        assert "libc6" in without
        return (numpy,)

    monkeypatch.setattr(roots, "fetch_packages", fetch)
    monkeypatch.setattr(roots, "fetch_closure", closure)
    return calls


def made(**more: Any) -> Path:
    return base_root("bookworm", "3.11", "aarch64", **more)


def test_a_root_is_made_once(asked: list[Sequence[str]], own_cache: Path) -> None:
    told: list[float] = []
    root = made(progress=told.append)
    assert root.parent == own_cache / "emulation" / "roots"
    assert root.name.startswith("bookworm-arm64-")
    assert told[-1] == 1.0
    assert told == sorted(told)
    assert made() == root
    assert base_root("bookworm", "3.11", "arm64") == root
    assert len(asked) == 1
    # Nothing of the making is left.
    assert len(list(root.parent.iterdir())) == 2


def test_what_the_scripts_of_packages_would_do(asked: list[Sequence[str]]) -> None:
    root = made(apt_packages=["python3-numpy"])
    assert asked[-1] == ["python3-numpy"]
    library = root / "usr" / "lib" / TRIPLET
    links = [root / "usr/bin/python3", library / "libblas.so.3", library / "liblapack.so.3"]
    assert [str(link.readlink()) for link in links] == [
        "python3.11",
        "blas/libblas.so.3",
        "lapack/liblapack.so.3",
    ]
    assert all(link.is_file() for link in links)
    assert (root / "etc/os-release").read_text(encoding="ascii").splitlines() == [
        'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"',
        'NAME="Debian GNU/Linux"',
        "ID=debian",
        'VERSION_ID="12"',
        "VERSION_CODENAME=bookworm",
    ]


@pytest.mark.skipif(HERE != "3.11", reason="this Python writes another bytecode")
def test_the_standard_library_is_compiled(asked: list[Sequence[str]]) -> None:
    root = made(apt_packages=["python3-numpy"])
    compiled = sorted(str(path.relative_to(root)) for path in root.rglob("*.pyc"))
    assert compiled == [
        "usr/lib/python3.11/__pycache__/os.cpython-311.pyc",
        "usr/lib/python3/dist-packages/numpy/__pycache__/__init__.cpython-311.pyc",
    ]
    # PEP 552: flags 1, a hash that is not checked.
    assert (root / compiled[0]).read_bytes()[4:8] == b"\x01\0\0\0"


def test_this_machine_s_libraries_are_hidden(asked: list[Sequence[str]]) -> None:
    root = made()
    for name in ("etc/ld.so.cache", "etc/ld.so.preload"):
        assert (root / name).read_bytes() == b""


def test_other_packages_make_another_root(asked: list[Sequence[str]]) -> None:
    assert made() != made(apt_packages=["python3-numpy"])
    assert made() != base_root("bookworm", "3.11", "armhf")


def test_bytecode_that_the_guest_writes_does_no_harm(asked: list[Sequence[str]]) -> None:
    root = made()
    folder = root / "usr/lib/python3.11/__pycache__"
    folder.mkdir(exist_ok=True)
    (folder / "more.pyc").write_bytes(b"1234")
    assert made() == root
    assert len(asked) == 1


@pytest.mark.parametrize(
    "harm",
    [
        lambda root: (root / "usr/bin/python3.11").unlink(),
        lambda root: (root / "usr/lib/python3.11/os.py").write_bytes(b""),
        lambda root: root.rename(root.with_name("away")),
        lambda root: next(root.parent.glob("*.json")).write_text("{", encoding="ascii"),
        lambda root: next(root.parent.glob("*.json")).write_text("[]", encoding="ascii"),
    ],
    ids=["a file is gone", "a file is empty", "it is gone", "no JSON", "another JSON"],
)
def test_a_damaged_root_is_made_anew(
    harm: Callable[[Path], Any], asked: list[Sequence[str]]
) -> None:
    root = made()
    harm(root)
    assert made() == root
    assert (root / "usr/bin/python3.11").read_bytes() == b"elf"
    assert (root / "usr/lib/python3.11/os.py").read_bytes() == b"name = 'posix'\n"
    assert len(asked) == 2


def test_several_at_once_make_one(asked: list[Sequence[str]]) -> None:
    found: list[Path] = []
    together = threading.Barrier(6)

    def make() -> None:
        together.wait()
        found.append(made())

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    assert len(list(found[0].parent.iterdir())) == 2
    assert (found[0] / "usr/bin/python3.11").read_bytes() == b"elf"


def test_what_fails_leaves_nothing(
    asked: list[Sequence[str]], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_packages: Sequence[DebianPackage], folder: Path) -> None:
        (folder / "half").write_bytes(b"1")
        raise BundleError("damaged")

    monkeypatch.setattr(roots, "unpack_packages", damaged)
    with pytest.raises(BundleError):
        made()
    assert list((own_cache / "emulation" / "roots").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written(asked: list[Sequence[str]], own_cache: Path) -> None:
    (own_cache / "emulation" / "roots").mkdir(parents=True)
    (own_cache / "emulation" / "roots").chmod(0o500)
    with pytest.raises(HostError) as caught:
        made()
    assert caught.value.hint == "choose a folder that you may write to"


def test_another_python_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        base_root("bookworm", "3.8", "aarch64")
    assert str(caught.value) == "no Python 3.8 in Debian bookworm"


def test_a_dressed_root(tmp_path: Path) -> None:
    base = tmp_path / "base"
    for name in ("usr/bin/tool", "etc/conf", "proc/of-the-base"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(b"1")
    files = {"proc/cpuinfo": b"a\0b", "sys/class/hwmon/": b"", "sys/a/b": b""}
    root = dressed_root(base, tmp_path / "new" / "root", files)
    assert root == tmp_path / "new" / "root"
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert found == ["proc/cpuinfo", "sys/a/b"]
    assert (root / "usr").readlink() == base / "usr"
    assert (root / "usr/bin/tool").read_bytes() == b"1"
    assert (root / "proc/cpuinfo").read_bytes() == b"a\0b"
    assert list((root / "sys/class/hwmon").iterdir()) == []
    assert (base / "proc").is_dir()


def test_a_folder_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "base" / "usr").mkdir(parents=True)
    (tmp_path / "root" / "usr").mkdir(parents=True)
    with pytest.raises(HostError) as caught:
        dressed_root(tmp_path / "base", tmp_path / "root", {})
    assert str(caught.value) == f"{tmp_path / 'root'}: file exists"


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "proc/../../x", "etc/conf", "proc/../etc/x"]
)
def test_only_the_kernel_s_files_are_dressed(name: str, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    with pytest.raises(ValueError, match="not of a kernel: "):
        dressed_root(tmp_path / "base", tmp_path / "root", {name: b""})


@pytest.mark.network
def test_a_real_root_comes_from_the_cache(
    shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    root = base_root("bullseye", "3.9", "aarch64")
    assert (root / "usr/bin/python3").resolve() == root / "usr/bin/python3.9"
    assert (root / "lib/aarch64-linux-gnu/libc.so.6").exists()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert base_root("bullseye", "3.9", "aarch64") == root
