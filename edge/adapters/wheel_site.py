"""Wheels of the cache as a folder to import from: another runtime version than the installed one."""

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edge.adapters.files import host_error
from edge.adapters.store import cache_folder
from edge.errors import BundleError
from edge.records.target import WheelPin

# Of a .data folder what is imported; the rest is scripts, headers and data.
_IMPORTED = ("purelib", "platlib")


def wheel_site(wheels: Sequence[tuple[WheelPin, Path]]) -> Path:
    """Return a folder of the cache with the wheels unpacked; it goes before the import path.

    The files are those of the registry, each checked by its digest when it was cached.

    Raises:
        BundleError: a wheel is no zip.
        HostError: no disk space.
    """
    names = "\n".join(sorted(f"{pin.sha256} {pin.filename}" for pin, _ in wheels))
    folder = cache_folder("sites")
    place = folder / hashlib.sha256(names.encode()).hexdigest()
    if place.is_dir():
        return place
    try:
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as scratch:
            made = Path(scratch) / "site"
            for _, path in wheels:
                _unpack(path, made)
            _rename(made, place)
    except OSError as error:
        raise host_error(error, folder) from error
    return place


def _unpack(wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise BundleError(f"not a sound wheel: {error}", where=wheel.name) from error
    for data in folder.glob("*.data"):
        for kind in _IMPORTED:
            if (data / kind).is_dir():
                shutil.copytree(data / kind, folder, dirs_exist_ok=True)
        shutil.rmtree(data)


def _rename(made: Path, place: Path) -> None:
    """Put the folder into its place, unless another process was faster."""
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():
            raise
