"""Writes a bundle: the same members give the same bytes. The format: docs/reference/bundle.md."""

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from edge.adapters.files import whole_file
from edge.device.bundle import LARGEST_BUNDLE_BYTES, MOST_MEMBERS
from edge.device.entry import HEAD_BYTES, MARK, SHEBANG, digest_below_head
from edge.errors import BundleError
from edge.records.codec import to_dict
from edge.records.manifest import MANIFEST_PATH, BundleFile, Manifest, is_member_path
from edge.units import format_bytes

Content = Path | bytes
Progress = Callable[[float], None]

# The first day that a zip can name. What runs, runs as its reader: nothing in it is executable.
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = stat.S_IFREG | 0o644
_UNIX: Final = 3
_BLOCK_BYTES = 1 << 20
# A member's two headers, and the end of the archive, at most.
_HEADERS_BYTES = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenBundle:
    """A bundle on disk; `digest` is of all bytes below its first two lines."""

    path: Path
    manifest: Manifest
    digest: str
    size_bytes: int


def write_bundle(
    path: Path,
    members: Mapping[str, Content],
    manifest_of: Callable[[tuple[BundleFile, ...]], Manifest],
    progress: Progress,
) -> WrittenBundle:
    """Write a bundle of `members`; `manifest_of` makes the manifest that lists them.

    Raises:
        BundleError: a member has an odd name or changed meanwhile, or it becomes too large.
        HostError: the file cannot be written; nothing is left of it then.
    """
    files = tuple(_listed(name, members[name]) for name in sorted(members))
    _require_bounds(files)
    try:
        manifest = manifest_of(files)
    except ValueError as error:
        raise BundleError(f"the model changed while it was packaged: {error}") from error
    document = json.dumps(to_dict(manifest), indent=1, ensure_ascii=True) + "\n"
    contents = {**members, MANIFEST_PATH: document.encode("ascii")}
    with whole_file(path) as staged, staged.open("w+b") as file:
        file.write(bytes(HEAD_BYTES))
        _write_archive(file, contents, {f.path: f for f in files}, progress)
        size_bytes = file.seek(0, 2)
        digest = digest_below_head(file)
        file.seek(0)
        file.write(SHEBANG + MARK + digest.encode("ascii") + b"\n")
    # Whoever may read it may run it, by its first line.
    mode = path.stat().st_mode
    path.chmod(mode | (mode & 0o444) >> 2)
    return WrittenBundle(path=path, manifest=manifest, digest=digest, size_bytes=size_bytes)


def _listed(name: str, content: Content) -> BundleFile:
    digest, size_bytes = hashlib.sha256(), 0
    for block in _blocks(content):
        digest.update(block)
        size_bytes += len(block)
    if not is_member_path(name):
        hint = "rename the file: letters, digits, and _ . + - between them"
        raise BundleError("a bundle cannot hold a file of that name", where=name, hint=hint)
    return BundleFile(name, size_bytes, digest.hexdigest())


def _blocks(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    try:
        with content.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise BundleError((error.strerror or str(error)).lower(), where=content) from error


def _require_bounds(files: tuple[BundleFile, ...]) -> None:
    total = sum(file.size_bytes + _HEADERS_BYTES for file in files)
    if total > LARGEST_BUNDLE_BYTES or len(files) >= MOST_MEMBERS:
        what = f"the bundle would have {format_bytes(total)} in {len(files)} files"
        most = format_bytes(LARGEST_BUNDLE_BYTES + 1)
        raise BundleError(what, hint=f"below {most} in {MOST_MEMBERS} files; take a smaller model")


def _write_archive(
    file: IO[bytes],
    contents: Mapping[str, Content],
    listed: Mapping[str, BundleFile],
    progress: Progress,
) -> None:
    """Write every member as it is: compressed bytes would differ from one zlib to another."""
    total = sum(entry.size_bytes for entry in listed.values())
    written = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name in sorted(contents):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = _UNIX
            info.external_attr = _MODE << 16
            digest = hashlib.sha256()
            with archive.open(info, "w") as member:
                for block in _blocks(contents[name]):
                    member.write(block)
                    digest.update(block)
                    written += len(block)
                    progress(min(1.0, written / total))
            if name in listed and digest.hexdigest() != listed[name].sha256:
                raise BundleError("it changed while it was packaged", where=name)
