"""Layers of an image: tar files in which the same files give the same bytes.

Sorted names, no times, no owners, no host paths; not compressed, since zlib's bytes differ from one
machine to another (docs/adr/0014-oci-images.md).
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from edge.adapters.files import host_error

LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A blob on disk; `diff_id` is the digest of the tar in it, `digest` that of the blob."""

    path: Path
    digest: str
    diff_id: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file, link or folder of a layer at `name`; exactly one of content and link, or neither."""

    name: str
    content: Path | bytes | None = None
    link: str | None = None
    mode: int = 0o755


def folder_entries(folder: Path) -> list[Entry]:
    """Return what lies in a folder, as it shall lie in a layer.

    Raises:
        HostError: the folder cannot be read.
    """
    entries = []

    def fail(error: OSError) -> None:
        raise host_error(error, error.filename)

    for place, folders, files in os.walk(folder, onerror=fail):
        for name in (*folders, *files):
            path = Path(place, name)
            inside = path.relative_to(folder).as_posix()
            if path.is_symlink():
                entries.append(Entry(name=inside, link=str(path.readlink()), mode=0o777))
            elif path.is_dir():
                entries.append(Entry(name=inside))
            else:
                mode = 0o755 if path.stat().st_mode & 0o111 else 0o644
                entries.append(Entry(name=inside, content=path, mode=mode))
    return entries


def write_layer(path: Path, entries: Iterable[Entry]) -> Layer:
    """Write an uncompressed layer at `path`; folders above an entry come before it by themselves.

    Raises:
        HostError: a file cannot be read, or the layer cannot be written.
    """
    given = {entry.name: entry for entry in entries}
    for name in tuple(given):
        parts = name.split("/")
        for end in range(1, len(parts)):
            parent = "/".join(parts[:end])
            given.setdefault(parent, Entry(name=parent))
    try:
        with path.open("wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
            for name in sorted(given):
                add_entry(archive, given[name])
    except OSError as error:
        raise host_error(error, error.filename or path) from error
    digest, size_bytes = digest_of(path)
    return Layer(
        path=path, digest=digest, diff_id=digest, size_bytes=size_bytes, media_type=LAYER_TYPE
    )


def add_entry(archive: tarfile.TarFile, entry: Entry) -> None:
    """Add one entry to a tar that is being written: its name, kind, mode and bytes, no more."""
    info = tarfile.TarInfo(entry.name)
    info.mode = entry.mode
    content: IO[bytes] | None = None
    if entry.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
    elif isinstance(entry.content, bytes):
        info.size, content = len(entry.content), io.BytesIO(entry.content)
    elif entry.content is not None:
        content = entry.content.open("rb")
        info.size = os.fstat(content.fileno()).st_size
    else:
        info.type = tarfile.DIRTYPE
    if content is None:
        archive.addfile(info)
        return
    with content:
        archive.addfile(info, content)


def digest_of(path: Path) -> tuple[str, int]:
    """Return an OCI digest ("sha256:HEX") of a file, and its size in bytes."""
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size_bytes += len(block)
    return f"sha256:{digest.hexdigest()}", size_bytes
