"""Unpacks a Debian package as data: no dpkg, no rights, none of its programs run.

The format: deb(5), an ar archive with one data.tar in it. Files, folders and links are written,
inside the folder only; links become relative, so that the folder works as a root without chroot.
"""

import lzma
import os
import posixpath
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Literal

from edge.errors import BundleError, printable

_DATA: Final[Mapping[str, Literal["r|", "r|gz", "r|xz"]]] = {
    "data.tar": "r|",
    "data.tar.gz": "r|gz",
    "data.tar.xz": "r|xz",
}
_MAGIC: Final = b"!<arch>\n"
_HEADER_BYTES: Final = 60
# Since Debian 12 these are links into usr; files that still name them belong there.
_MERGED: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_MOST_FILES: Final = 50_000
_LARGEST_UNPACKED_BYTES: Final = 2 << 30
_BLOCK_BYTES: Final = 1 << 20
_DAMAGE: Final = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError)


def unpack_archive(path: Path, folder: Path) -> None:
    """Unpack the files of one package into `folder`.

    Raises:
        BundleError: it is damaged, or is not as a package must be.
        OSError: the folder cannot be written.
    """
    try:
        with path.open("rb") as file, _data(file, path) as data:
            for name in ("usr", *(f"usr/{merged}" for merged in ("bin", "lib"))):
                (folder / name).mkdir(parents=True, exist_ok=True)
            for merged in ("bin", "sbin", "lib"):
                _merge(folder, merged)
            _unpack(data, folder, path)
    except _DAMAGE as error:
        raise _bad(path, str(error)) from error


def _bad(path: Path, what: str) -> BundleError:
    return BundleError(f"not a sound Debian package: {printable(what)}", where=path.name)


@contextmanager
def _data(file: IO[bytes], path: Path) -> Iterator[tarfile.TarFile]:
    """Open the data.tar inside."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _bad(path, "it is no ar archive")
    while header := file.read(_HEADER_BYTES):
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        size = int(header[48:58])
        if name.startswith("data.tar"):
            if name not in _DATA:
                raise _bad(path, f"{name} is compressed in a way that no release of Debian uses")
            # It is the last member, so the compressed stream ends where the file ends.
            with tarfile.open(fileobj=file, mode=_DATA[name]) as data:
                yield data
            return
        file.seek(size + size % 2, os.SEEK_CUR)
    raise _bad(path, "it has no data.tar")


def _unpack(data: tarfile.TarFile, folder: Path, path: Path) -> None:
    left_bytes, left_files = _LARGEST_UNPACKED_BYTES, _MOST_FILES
    for info in data:
        left_bytes -= info.size
        left_files -= 1
        if left_bytes < 0 or left_files < 0:
            raise _bad(path, "it unpacks to too much")
        name = _inside(info.name, path)
        if not name:
            continue
        place = _place(folder, name, path)
        if info.isdir():
            if place.is_symlink():
                continue
            place.mkdir(parents=True, exist_ok=True)
        elif info.isreg():
            _write(data, info, place)
        elif info.issym():
            _replace(place)
            place.symlink_to(_relative(info, name, path))
        elif info.islnk():
            _copy(_place(folder, _inside(info.linkname, path), path), place, path)
        # Device files and pipes need rights that nobody has here, and no program uses them.


def _inside(name: str, path: Path) -> str:
    """Return a member's name below the root, with lib read as usr/lib."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or any(not p.isprintable() for p in parts):
        raise _bad(path, f"a file has an odd name: {name}")
    if parts and parts[0] in _MERGED:
        parts.insert(0, "usr")
    return "/".join(parts)


def _place(folder: Path, name: str, path: Path) -> Path:
    """Return where a member goes; no link is followed on the way there."""
    *parents, last = name.split("/")
    if parents == ["usr"] and last in _MERGED:
        (folder / name).mkdir(parents=True, exist_ok=True)
        _merge(folder, last)
    elif len(parents) > 1 and parents[1] in _MERGED:
        _merge(folder, parents[1])
    at = folder
    for part in parents:
        at /= part
        if at.is_symlink():
            raise _bad(path, f"{name} lies behind a link")
    at.mkdir(parents=True, exist_ok=True)
    return at / last


def _merge(folder: Path, name: str) -> None:
    """Make the link that a release with merged folders has: lib is usr/lib."""
    (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
    if not (folder / name).is_symlink():
        (folder / name).symlink_to(f"usr/{name}")


def _relative(info: tarfile.TarInfo, name: str, path: Path) -> str:
    """Return a link's target relative to where the link lies now."""
    target = info.linkname
    if not target.startswith("/"):
        target = posixpath.join(posixpath.dirname(info.name), target)
    plain = posixpath.normpath(target.lstrip("/"))
    if plain == ".." or plain.startswith("../"):
        raise _bad(path, f"the link {info.name} leaves the root")
    return posixpath.relpath(_inside(plain, path) or ".", posixpath.dirname(name) or ".")


def _write(data: tarfile.TarFile, info: tarfile.TarInfo, place: Path) -> None:
    _replace(place)
    content = data.extractfile(info)
    assert content is not None
    with place.open("xb") as target:
        while block := content.read(_BLOCK_BYTES):
            target.write(block)
    place.chmod(0o755 if info.mode & 0o111 else 0o644)


def _copy(source: Path, place: Path, path: Path) -> None:
    """Write a hard link as a file of its own."""
    if source.is_symlink() or not source.is_file():
        raise _bad(path, f"a link to {source.name}, which is no file of it")
    _replace(place)
    place.write_bytes(source.read_bytes())
    place.chmod(source.stat().st_mode)


def _replace(place: Path) -> None:
    if place.is_symlink() or place.is_file():
        place.unlink()
