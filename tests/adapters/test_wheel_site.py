"""Wheels become a folder to import from, whole and once."""

import zipfile
from pathlib import Path

import pytest

from edge.adapters.wheel_site import wheel_site
from edge.errors import BundleError
from edge.records.target import WheelPin


def wheel(folder: Path, name: str, files: dict[str, str]) -> tuple[WheelPin, Path]:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    pin = WheelPin(
        name=name, version="1.0", filename=path.name, sha256=f"{len(name):064x}", size_bytes=1
    )
    return pin, path


def test_wheels_are_unpacked_into_one_folder_and_that_once(tmp_path: Path) -> None:
    first = wheel(tmp_path, "one", {"one/__init__.py": "A = 1"})
    second = wheel(
        tmp_path,
        "another",
        {
            "another.py": "B = 2",
            "another-1.0.data/platlib/native.so": "machine code",
            "another-1.0.data/scripts/run": "#!python",
        },
    )
    site = wheel_site([first, second])
    files = sorted(str(p.relative_to(site)) for p in site.rglob("*") if p.is_file())
    assert files == ["another.py", "native.so", "one/__init__.py"]
    (site / "mark").touch()
    assert wheel_site([second, first]) == site
    assert (site / "mark").exists()
    assert wheel_site([first]) != site
    assert [p.name for p in site.parent.iterdir() if p.name.startswith(".")] == []


def test_what_is_no_wheel_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    pin, path = wheel(tmp_path, "one", {})
    path.write_bytes(b"PK nothing")
    with pytest.raises(BundleError, match=r"^one-1.0-py3-none-any.whl: not a sound wheel: File is"):
        wheel_site([(pin, path)])
    sites = tmp_path / "cache" / "sites"
    assert list(sites.iterdir()) == []


def test_a_wheel_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    site = wheel_site([wheel(tmp_path, "evil", {"../../outside.py": "x", "/top.py": "y"})])
    files = sorted(str(p.relative_to(site)) for p in site.rglob("*") if p.is_file())
    assert files == ["outside.py", "top.py"]
