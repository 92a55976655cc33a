"""Single files out of wheels, zips and npm archives, by name and within bounds.

Nothing is unpacked as a whole, and no name of an archive ever becomes a path of ours: a card
names the member and the name that it gets here, and its digest decides.
"""

import hashlib
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edge.adapters.files import host_error, whole_file
from edge.errors import ModelError, printable
from edge.records.pins import PackageFile

_BLOCK_BYTES = 1 << 20
# A container inside an archive is unpacked to be searched: never more than this of it.
_LARGEST_MEMBER_BYTES = 4 << 30
# How much of a tar archive is unpacked in search of one member.
_LARGEST_SEARCH_BYTES = 16 << 30
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError)


def take_files(archive: Path, files: Sequence[PackageFile], folder: Path) -> None:
    """Write each of `files` out of `archive` into `folder`, under its own name.

    Raises:
        ModelError: the archive is damaged or lacks a member, or a file has another size or
            digest than the card says; that file is not written.
        HostError: the folder cannot be written.
    """
    for file in files:
        where = f"{archive.name}: {file.member}"
        try:
            with _member(archive, file.member) as stream:
                _take(stream, file, folder, where)
        except _DAMAGE as error:
            raise ModelError(f"the archive is damaged: {error}", where=where) from error
        except OSError as error:
            raise host_error(error, folder) from error


def _take(stream: IO[bytes], file: PackageFile, folder: Path, where: str) -> None:
    if file.inner is None:
        _copy_part(stream, file, folder, where)
        return
    # zipfile has to seek; a member of an archive may not be able to.
    with tempfile.TemporaryFile(dir=folder) as container:
        _copy(stream, container, _LARGEST_MEMBER_BYTES, where)
        with zipfile.ZipFile(container) as inner, _zip_member(inner, file.inner) as part:
            _copy_part(part, file, folder, f"{where}: {file.inner}")


def _copy_part(stream: IO[bytes], file: PackageFile, folder: Path, where: str) -> None:
    """Copy exactly the bytes that the card describes, and refuse any others."""
    with whole_file(folder / file.name) as staged, staged.open("w+b") as target:
        if file.first_byte is not None:
            _skip(stream, file.first_byte, where)
        length = _copy(stream, target, file.size_bytes, where, exactly=file.end_byte is not None)
        if length != file.size_bytes:
            what = f"it is {length} bytes long, and the card says {file.size_bytes}"
            raise ModelError(what, where=where)
        target.seek(0)
        found = hashlib.sha256()
        while block := target.read(_BLOCK_BYTES):
            found.update(block)
        if found.hexdigest() != file.sha256:
            raise ModelError(
                f"its SHA-256 is {found.hexdigest()}, and the card says {file.sha256}",
                where=where,
                hint="the package holds another file than the one that was pinned; do not use it",
            )


def _skip(stream: IO[bytes], count: int, where: str) -> None:
    left = count
    while left:
        block = stream.read(min(left, _BLOCK_BYTES))
        if not block:
            raise ModelError(f"it ends before byte {count}", where=where)
        left -= len(block)


def _copy(
    stream: IO[bytes], target: IO[bytes], most: int, where: str, *, exactly: bool = False
) -> int:
    """Copy up to `most` bytes and return how many; more than that is refused, or left with `exactly`."""
    length = 0
    while block := stream.read(min(_BLOCK_BYTES, most - length + (0 if exactly else 1))):
        length += len(block)
        if length > most:
            raise ModelError(f"it is longer than {most} bytes", where=where)
        target.write(block)
    return length


@contextmanager
def _member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """Open a member of a zip (a wheel) or of a compressed tar (an sdist, an npm archive)."""
    if archive.name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as opened, _zip_member(opened, member) as stream:
            yield stream
    else:
        with tarfile.open(archive, "r|gz") as tar:
            yield _tar_member(tar, member)


def _zip_member(opened: zipfile.ZipFile, member: str) -> IO[bytes]:
    found = [info for info in opened.infolist() if info.filename == member]
    if len(found) != 1 or found[0].is_dir():
        raise _missing(member, len(found))
    if found[0].flag_bits & 1:
        raise ModelError("it is encrypted", where=member)
    return opened.open(found[0])


def _tar_member(opened: tarfile.TarFile, member: str) -> IO[bytes]:
    searched = 0
    for info in opened:
        if info.name == member and info.isreg():
            stream = opened.extractfile(info)
            assert stream is not None
            return stream
        searched += info.size
        if searched > _LARGEST_SEARCH_BYTES:
            break
    raise _missing(member, 0)


def _missing(member: str, count: int) -> ModelError:
    often = "no such file" if count == 0 else f"{count} files of that name"
    return ModelError(f"the archive has {often}", where=printable(member))
