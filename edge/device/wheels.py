"""Unpacks wheels into a folder by the wheel format's rules; every file's digest is checked.

https://packaging.python.org/en/latest/specifications/binary-distribution-format/. There is no pip
on the device, and `zipfile.extractall` checks too little. Device slice: Python 3.8.
"""

import base64
import csv
import hashlib
import io
import os
import stat
import zipfile
import zlib
from typing import IO, Dict, Iterator, List, Optional, Tuple

from edge.errors import BundleError, printable

_MOST_FILES = 50_000
_LARGEST_UNPACKED_BYTES = 4 << 30
_LARGEST_RECORD_BYTES = 32 << 20
_BLOCK_BYTES = 1 << 20
_ALGORITHMS = ("sha256", "sha384", "sha512")
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
# What a .data folder may install into the import path; its scripts, headers and data are not run.
_IMPORTED = ("purelib", "platlib")


def unpacked_bytes(wheel: "IO[bytes]") -> int:
    """Return how many bytes a wheel unpacks to, by its own directory.

    Raises:
        BundleError: it is no zip archive.
    """
    with _open(wheel, "wheel") as archive:
        return sum(info.file_size for info in archive.infolist())


def unpack_wheel(wheel: "IO[bytes]", name: str, folder: str) -> List[Tuple[str, int]]:
    """Unpack a wheel into `folder` and return the paths (relative to it) and sizes of its files.

    Nothing is written outside `folder`, and no file that is there already is written over.

    Raises:
        BundleError: it is damaged, or is not as a wheel must be.
        OSError: the folder cannot be written.
    """
    written = []
    with _open(wheel, name) as archive:
        infos = _checked(archive.infolist(), name)
        digests = _record(archive, infos, name)
        for info in infos:
            path = _destination(info.filename)
            if path is None:
                continue
            place = os.path.join(folder, *path.split("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            try:
                _write(archive, info, place, digests.get(info.filename), name)
            except FileExistsError:
                raise _bad(name, "{} is in another wheel too".format(path)) from None
            written.append((path, info.file_size))
    return written


def _open(wheel: "IO[bytes]", name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _bad(name, str(error)) from error


def _bad(name: str, what: str) -> BundleError:
    return BundleError("not a sound wheel: {}".format(what), where=name)


def _checked(infos: List[zipfile.ZipInfo], name: str) -> List[zipfile.ZipInfo]:
    """Return the files among the members, once names, kinds and sizes are found harmless."""
    files = [info for info in infos if not info.is_dir()]
    if len(files) > _MOST_FILES or sum(i.file_size for i in files) > _LARGEST_UNPACKED_BYTES:
        raise _bad(name, "it unpacks to too much")
    for info in infos:
        parts = info.filename.rstrip("/").split("/")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if any(p in ("", ".", "..") or not p.isprintable() or "\\" in p for p in parts):
            raise _bad(name, "a file has an odd name: {}".format(printable(info.filename)))
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or info.flag_bits & 1:
            raise _bad(name, "{} is not a plain file".format(info.filename))
    if len({info.filename for info in files}) != len(files):
        raise _bad(name, "a name is there twice")
    return files


def _record(archive: zipfile.ZipFile, infos: List[zipfile.ZipInfo], name: str) -> Dict[str, str]:
    """Return the digest that RECORD gives each file, if it lists exactly what is there."""
    records = [
        i for i in infos if i.filename.count("/") == 1 and i.filename.endswith(".dist-info/RECORD")
    ]
    if len(records) != 1 or records[0].file_size > _LARGEST_RECORD_BYTES:
        raise _bad(name, "it has no RECORD")
    try:
        rows = list(csv.reader(io.StringIO(archive.read(records[0]).decode("utf-8"))))
    except (ValueError, csv.Error, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _bad(name, "RECORD: {}".format(error)) from error
    folder = records[0].filename[: -len("RECORD")]
    free = {folder + name for name in _UNRECORDED}
    digests = {row[0]: row[1] for row in rows if len(row) == 3 and row[0] not in free}
    there = {info.filename for info in infos} - free
    odd = sorted(there.symmetric_difference(digests))
    if odd:
        where = "in RECORD only" if odd[0] in digests else "not in RECORD"
        raise _bad(name, "{} is {}".format(printable(odd[0]), where))
    return digests


def _destination(filename: str) -> Optional[str]:
    """Return where a member goes below the import path, or None if it is not for importing."""
    top, _, rest = filename.partition("/")
    if not top.endswith(".data"):
        return filename
    kind, _, inner = rest.partition("/")
    return inner if kind in _IMPORTED and inner else None


def _write(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str, told: Optional[str], name: str
) -> None:
    algorithm, _, value = (told or "sha256=").partition("=")
    if algorithm not in _ALGORITHMS:
        raise _bad(name, "RECORD: {} has no digest of a kind that counts".format(info.filename))
    digest = hashlib.new(algorithm)
    left = info.file_size
    with open(place, "xb") as target:
        for block in _blocks(archive, info, name):
            left -= len(block)
            if left < 0:
                break
            digest.update(block)
            target.write(block)
    if left != 0:
        raise _bad(name, "{} has another size than it says".format(info.filename))
    if told is not None and value != _recorded(digest.digest()):
        raise _bad(name, "{} is not what RECORD lists".format(info.filename))


def _blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
    try:
        with archive.open(info) as member:
            yield from iter(lambda: member.read(_BLOCK_BYTES), b"")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _bad(name, "{}: {}".format(info.filename, error)) from error


def _recorded(digest: bytes) -> str:
    """Spell a digest as RECORD does: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
