"""Writes a bundle: the same members give the same bytes. The format: docs/reference/bundle.md."""

import base64
import hashlib
import json
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from edge.adapters.files import whole_file
from edge.adapters.signing import Signer
from edge.device.bundle import LARGEST_BUNDLE_BYTES, MOST_MEMBERS
from edge.device.entry import (
    HEAD_BYTES,
    LONGEST_SIGNATURE_LINE_BYTES,
    MARK,
    SHEBANG,
    SIGNATURE_MARK,
    UNSIGNED,
    digest_below_head,
)
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
# Stands for the archive's digest as long as the archive is not written.
_UNKNOWN: Final = "0" * 64
# A member's two headers, and the end of the archive, at most.
_HEADERS_BYTES = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenBundle:
    """A bundle on disk; `digest` is of all bytes below its first two lines.

    `key_id` is that of the key which signed it; None: unsigned.
    """

    path: Path
    manifest: Manifest
    digest: str
    size_bytes: int
    key_id: str | None


def write_bundle(
    path: Path,
    members: Mapping[str, Content],
    manifest_of: Callable[[tuple[BundleFile, ...]], Manifest],
    progress: Progress,
    signer: Signer | None = None,
) -> WrittenBundle:
    """Write a bundle of `members`; `manifest_of` makes the manifest that lists them.

    It is signed by `signer`, if there is one.

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
    line = _signature_line(signer, manifest, document, _UNKNOWN)
    with whole_file(path) as staged, staged.open("w+b") as file:
        file.write(bytes(HEAD_BYTES) + line)
        _write_archive(file, contents, {f.path: f for f in files}, progress)
        size_bytes = file.seek(0, 2)
        if signer is not None:
            archive_digest = _digest_from(file, HEAD_BYTES + len(line))
            file.seek(HEAD_BYTES)
            file.write(_signature_line(signer, manifest, document, archive_digest))
        digest = digest_below_head(file)
        file.seek(0)
        file.write(SHEBANG + MARK + digest.encode("ascii") + b"\n")
    # Whoever may read it may run it, by its first line.
    mode = path.stat().st_mode
    path.chmod(mode | (mode & 0o444) >> 2)
    return WrittenBundle(
        path=path,
        manifest=manifest,
        digest=digest,
        size_bytes=size_bytes,
        key_id=None if signer is None else signer.key_id,
    )


def _signature_line(
    signer: Signer | None, manifest: Manifest, document: str, archive_digest: str
) -> bytes:
    """Return the third line; it has the same length whatever the digest is."""
    text = UNSIGNED
    if signer is not None:
        manifest_digest = hashlib.sha256(document.encode("ascii")).hexdigest()
        text = base64.b64encode(signer.envelope(manifest, archive_digest, manifest_digest))
    line = SIGNATURE_MARK + text + b"\n"
    if len(line) > LONGEST_SIGNATURE_LINE_BYTES:
        most = format_bytes(LONGEST_SIGNATURE_LINE_BYTES)
        what = f"the signature would be longer than {most}: the runtime has too many wheels"
        raise BundleError(what, hint="package it without --sign")
    return line


def _digest_from(file: IO[bytes], start: int) -> str:
    digest = hashlib.sha256()
    file.seek(start)
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


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
