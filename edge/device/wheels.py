"""Unpacks wheels into a folder by the wheel format's rules; every file's digest is checked.

https://packaging.python.org/en/latest/specifications/binary-distribution-format/. There is no pip
on the device, and `zipfile.extractall` checks too little. A bundle holds of each wheel what the
device uses, as an uncompressed zip compressed with xz (docs/adr/0008-slim-wheels.md). Device
slice: Python 3.8.
"""

import base64
import csv
import hashlib
import io
import os
import stat
import tempfile
import zipfile
from typing import IO, Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from edge.errors import BundleError, HostError, printable
from edge.records.manifest import BundleWheel

_MOST_FILES = 50_000
_LARGEST_UNPACKED_BYTES = 4 << 30
_LARGEST_RECORD_BYTES = 32 << 20
_BLOCK_BYTES = 1 << 20
# edgekit compresses with a dictionary of 8 MiB; each thread may take as much again beside it.
_DECODER_BYTES = 16 << 20
_ALGORITHMS = ("sha256", "sha384", "sha512")
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
# What a .data folder may install into the import path; its scripts, headers and data are not run.
_IMPORTED = ("purelib", "platlib")

PackedWheel = Tuple[BundleWheel, Iterable[bytes]]


def needed_bytes(wheels: Iterable[BundleWheel]) -> int:
    """Return how much disk space unpacking takes at most: each wheel as one file, and its files."""
    return 2 * sum(wheel.unpacked_bytes for wheel in wheels)


def unpack_wheels(
    packed: Sequence[PackedWheel], folder: str, scratch: str
) -> List[Tuple[str, int]]:
    """Unpack several wheels as `unpack_wheel` does, as many at once as there are cores.

    Raises:
        BundleError: one is damaged, or is not as a wheel must be.
        HostError: this Python cannot decompress them.
        OSError: the folder cannot be written.
    """
    # Only an installation needs it, and it takes 10 ms of a start.
    from concurrent.futures import ThreadPoolExecutor

    biggest_first = sorted(packed, key=lambda one: -one[0].unpacked_bytes)
    threads = max(1, min(len(packed), len(os.sched_getaffinity(0))))
    with ThreadPoolExecutor(threads) as pool:
        running = {
            wheel.path: pool.submit(unpack_wheel, blocks, wheel, folder, scratch)
            for wheel, blocks in biggest_first
        }
        try:
            return [file for wheel, _ in packed for file in running[wheel.path].result()]
        finally:
            # After an error, or Ctrl-C, nobody needs those that have not begun.
            for future in running.values():
                future.cancel()


def unpack_wheel(
    packed: Iterable[bytes], wheel: BundleWheel, folder: str, scratch: str
) -> List[Tuple[str, int]]:
    """Unpack a wheel into `folder` and return the paths (relative to it) and sizes of its files.

    `packed` gives the member's bytes, and fails at its end if they are not the manifest's: nothing
    is read as an archive before. Nothing is written outside `folder`, but for a nameless file in
    `scratch`, and no file that is there already is written over.

    Raises:
        BundleError: it is damaged, or is not as a wheel must be.
        HostError: this Python cannot decompress it.
        OSError: the folder cannot be written.
    """
    name = os.path.basename(wheel.path)
    if wheel.unpacked_bytes > _LARGEST_UNPACKED_BYTES:
        raise _bad(name, "it unpacks to too much")
    written = []
    with tempfile.TemporaryFile(dir=scratch) as file:
        file.writelines(_decompressed(packed, wheel.unpacked_bytes, name))
        with _open(file, name) as archive:
            infos = _checked(archive.infolist(), wheel.unpacked_bytes, name)
            digests = _record(archive, infos, wheel.left_out_files, name)
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


def _decompressed(packed: Iterable[bytes], size_bytes: int, name: str) -> Iterator[bytes]:
    """Yield what `packed` unpacks to, if it is one xz stream of exactly `size_bytes`."""
    lzma = _lzma()
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DECODER_BYTES)
    left = size_bytes
    for block in packed:
        given = block
        while not decoder.eof:
            try:
                # One byte more than is allowed is enough to know that it is too much.
                data = decoder.decompress(given, min(_BLOCK_BYTES, left + 1))
            except lzma.LZMAError as error:
                raise _bad(name, str(error).lower()) from error
            left -= len(data)
            if left < 0:
                raise _bad(name, "it unpacks to more than the manifest says")
            yield data
            given = b""
            if decoder.needs_input:
                break
        else:
            if given or decoder.unused_data:
                raise _bad(name, "something follows its compressed bytes")
    if not decoder.eof:
        raise _bad(name, "its compressed bytes end too early")
    if left:
        raise _bad(name, "it unpacks to less than the manifest says")


def _lzma() -> Any:
    """Import lzma, which a Python that was compiled without liblzma lacks."""
    try:
        import lzma
    except ImportError as error:
        what = "this Python has no lzma module, and the wheels are compressed with xz"
        hint = "use the system's Python (apt install python3), or build Python with liblzma-dev"
        raise HostError(what, hint=hint) from error
    return lzma


def _open(wheel: "IO[bytes]", name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _bad(name, str(error)) from error


def _bad(name: str, what: str) -> BundleError:
    return BundleError("not a sound wheel: {}".format(what), where=name)


def _checked(infos: List[zipfile.ZipInfo], most_bytes: int, name: str) -> List[zipfile.ZipInfo]:
    """Return the files among the members, once names, kinds and sizes are found harmless."""
    files = [info for info in infos if not info.is_dir()]
    if len(files) > _MOST_FILES or sum(i.file_size for i in files) > most_bytes:
        raise _bad(name, "it unpacks to too much")
    for info in infos:
        parts = info.filename.rstrip("/").split("/")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if any(p in ("", ".", "..") or not p.isprintable() or "\\" in p for p in parts):
            raise _bad(name, "a file has an odd name: {}".format(printable(info.filename)))
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or info.flag_bits & 1:
            raise _bad(name, "{} is not a plain file".format(info.filename))
        if info.compress_type != zipfile.ZIP_STORED:
            raise _bad(name, "{} is compressed once more".format(info.filename))
    if len({info.filename for info in files}) != len(files):
        raise _bad(name, "a name is there twice")
    return files


def _record(
    archive: zipfile.ZipFile, infos: List[zipfile.ZipInfo], left_out: int, name: str
) -> Dict[str, str]:
    """Return the digest that RECORD gives each file, if it lists what is there or was left out."""
    records = [
        i for i in infos if i.filename.count("/") == 1 and i.filename.endswith(".dist-info/RECORD")
    ]
    if len(records) != 1 or records[0].file_size > _LARGEST_RECORD_BYTES:
        raise _bad(name, "it has no RECORD")
    try:
        rows = list(csv.reader(io.StringIO(archive.read(records[0]).decode("utf-8"))))
    except (ValueError, csv.Error, zipfile.BadZipFile, EOFError) as error:
        raise _bad(name, "RECORD: {}".format(error)) from error
    folder = records[0].filename[: -len("RECORD")]
    free = {folder + name for name in _UNRECORDED}
    digests = {row[0]: row[1] for row in rows if len(row) == 3 and row[0] not in free}
    there = {info.filename for info in infos} - free
    unlisted = sorted(there.difference(digests))
    if unlisted:
        raise _bad(name, "{} is not in RECORD".format(printable(unlisted[0])))
    missing = sorted(set(digests).difference(there))
    if missing and left_out == 0:
        raise _bad(name, "{} is in RECORD only".format(printable(missing[0])))
    if len(missing) != left_out:
        what = "{} of the files in RECORD are missing, and {} were left out"
        raise _bad(name, what.format(len(missing), left_out))
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
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise _bad(name, "{}: {}".format(info.filename, error)) from error


def _recorded(digest: bytes) -> str:
    """Spell a digest as RECORD does: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
