"""Opens a bundle: limits before content, the digest of the whole file, the digest of every member.

Who signed it is not asked here: edge/device/trust.py does that.

The format is in docs/reference/bundle.md. Device slice: Python 3.8.
"""

import hashlib
import json
import os
import stat
import struct
import zipfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Dict, Iterator, List, Optional

from edge.device.entry import SHEBANG, UNSIGNED, carried_digest, signature_line
from edge.device.signature import decoded_base64, short_integer
from edge.errors import BundleError, ConfigError, printable
from edge.records.codec import from_dict
from edge.records.manifest import MANIFEST_PATH, BundleFile, Manifest, is_member_path

# zipimport cannot read more than this, and no target has the memory for it.
LARGEST_BUNDLE_BYTES = (2 << 30) - 1
MOST_MEMBERS = 4096
# 4096 members of the longest names take 1.4 MB; what is larger costs memory and says nothing more.
_LARGEST_MANIFEST_BYTES = 4 << 20
# The end of a zip file's central directory, APPNOTE.TXT 4.3.16, and a local header's fixed part.
_END = struct.Struct("<4s4H2LH")
_LOCAL_HEADER_BYTES = 30
# What the directory says of one member: the fixed part (4.3.12), and a name of our length.
_LARGEST_ENTRY_BYTES = 46 + 200
_BLOCK_BYTES = 1 << 20
_AGAIN = "copy it again, or package it again"


@dataclass(frozen=True)
class Bundle:
    """An open bundle; `digest` is of all bytes below the file's first two lines, where it stands.

    `envelope` is what the third line holds, which starts the archive at `archive_at`; None:
    unsigned. `manifest_sha256` is of the bytes that `manifest` was read from.
    """

    path: str
    digest: str
    size_bytes: int
    envelope: Optional[bytes]
    archive_at: int
    manifest: Manifest
    manifest_sha256: str
    members: Dict[str, zipfile.ZipInfo]
    archive: zipfile.ZipFile
    file: "IO[bytes]"

    def archive_sha256(self) -> str:
        """Return the SHA-256 of all bytes below the third line: what a signature is about."""
        digest = hashlib.sha256()
        self.file.seek(self.archive_at)
        for block in iter(lambda: self.file.read(_BLOCK_BYTES), b""):
            digest.update(block)
        return digest.hexdigest()

    def verify_members(self) -> None:
        """Check every member's bytes against the manifest.

        Raises:
            BundleError: a member is not what the manifest says.
        """
        for listed in self.manifest.files:
            for _ in self.blocks(listed):
                pass

    def blocks(self, listed: BundleFile) -> Iterator[bytes]:
        """Yield a member's bytes; the end is reached only if they are what the manifest says.

        Raises:
            BundleError: they are not.
        """
        digest = hashlib.sha256()
        try:
            with self.archive.open(self.members[listed.path]) as member:
                for block in iter(lambda: member.read(_BLOCK_BYTES), b""):
                    digest.update(block)
                    yield block
        except zipfile.BadZipFile as error:
            raise self._damaged(str(error)) from error
        if digest.hexdigest() != listed.sha256:
            raise self._damaged("{} is not what the manifest lists".format(listed.path))

    def listed(self, path: str) -> BundleFile:
        """Return what the manifest says of a member."""
        return next(file for file in self.manifest.files if file.path == path)

    def _damaged(self, what: str) -> BundleError:
        return BundleError("the bundle is damaged: " + what, where=self.path, hint=_AGAIN)


@contextmanager
def open_bundle(path: str, digest: Optional[str] = None) -> "Iterator[Bundle]":
    """Open a bundle; with `digest` its bytes were just checked to have that digest.

    Raises:
        BundleError: it is no bundle, is damaged, or was made by a newer edgekit.
    """
    with ExitStack() as opened:
        file = opened.enter_context(_open_regular(path))
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > LARGEST_BUNDLE_BYTES:
            raise BundleError("too large to be a bundle", where=path)
        if file.read(len(SHEBANG)) != SHEBANG:
            raise BundleError("not a bundle", where=path, hint="edgekit package writes bundles")
        whole = digest or carried_digest(file)
        if whole is None:
            what = "the file is damaged: its digest is not the one that it carries"
            raise BundleError(what, where=path, hint=_AGAIN)
        try:
            envelope = _read_envelope(file)
            archive_at = file.tell()
            directory_at = _directory_start(file, size_bytes, archive_at)
            archive = opened.enter_context(zipfile.ZipFile(file))
            members = _checked_members(archive.infolist(), archive_at, directory_at)
            document = _manifest_document(archive, members)
            manifest = _manifest_of(document)
            _refuse_unlisted(manifest, members)
        except (zipfile.BadZipFile, _Odd, NotImplementedError, ValueError, struct.error) as error:
            raise BundleError("not a bundle: {}".format(error), where=path, hint=_AGAIN) from error
        except ConfigError as error:
            what = "{}: {}".format(MANIFEST_PATH, error.what)
            raise BundleError(what, where=path, hint=error.hint) from error
        yield Bundle(
            path,
            whole,
            size_bytes,
            envelope,
            archive_at,
            manifest,
            hashlib.sha256(document).hexdigest(),
            members,
            archive,
            file,
        )


class _Odd(Exception):
    """The archive is not as edgekit writes it."""


def _open_regular(path: str) -> "IO[bytes]":
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BundleError(reason.lower(), where=path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BundleError("not a regular file", where=path)
    return os.fdopen(descriptor, "rb")


def _read_envelope(file: "IO[bytes]") -> Optional[bytes]:
    """Return what the third line holds, and leave the file where the archive starts."""
    text = signature_line(file)
    if text is None:
        raise _Odd("its third line is no signature line")
    if text == UNSIGNED:
        return None
    envelope = decoded_base64(text)
    if envelope is None:
        raise _Odd("its signature is not base64")
    return envelope


def _directory_start(file: "IO[bytes]", size_bytes: int, archive_at: int) -> int:
    """Return where the central directory starts, if it is as small and whole as ours is."""
    end_at = size_bytes - _END.size
    if end_at < archive_at:
        raise _Odd("too short")
    file.seek(end_at)
    mark, disk, first_disk, here, count, length, start, comment = _END.unpack(file.read(_END.size))
    if mark != b"PK\x05\x06" or (disk, first_disk) != (0, 0) or here != count:
        raise _Odd("no zip archive of one part")
    if comment != 0 or start + length != end_at:
        raise _Odd("something stands between the archive's parts")
    if count > MOST_MEMBERS:
        raise _Odd("{} members, and {} are allowed".format(count, MOST_MEMBERS))
    # The zip module reads the whole directory into memory.
    if length > count * _LARGEST_ENTRY_BYTES:
        raise _Odd("the directory has more than the members' names")
    return int(start)


def _checked_members(
    infos: List[zipfile.ZipInfo], archive_at: int, directory_at: int
) -> Dict[str, zipfile.ZipInfo]:
    """Require plain stored files with plain names, one after the other and nothing between."""
    at = archive_at
    members: Dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = printable(info.filename)
        if not is_member_path(info.filename):
            raise _Odd("a member has an odd name: {}".format(name))
        kind = info.external_attr >> 16
        if kind != stat.S_IFREG | 0o644 or info.flag_bits or info.extra or info.comment:
            raise _Odd("{} is not a plain file".format(name))
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise _Odd("{} is compressed".format(name))
        if info.header_offset != at:
            raise _Odd("{} does not follow the member before it".format(name))
        at += _LOCAL_HEADER_BYTES + len(info.filename) + info.file_size
        members[info.filename] = info
    if at != directory_at:
        raise _Odd("something follows the last member")
    if len({name.lower() for name in members}) != len(infos):
        raise _Odd("a name is there twice")
    return members


def _manifest_document(archive: zipfile.ZipFile, members: Dict[str, zipfile.ZipInfo]) -> bytes:
    info = members.get(MANIFEST_PATH)
    if info is None or info.file_size > _LARGEST_MANIFEST_BYTES:
        raise _Odd("no {} of at most 4 MiB".format(MANIFEST_PATH))
    return archive.read(info)


def _manifest_of(document: bytes) -> Manifest:
    try:
        plain = json.loads(document.decode("utf-8"), parse_int=short_integer)
    except (ValueError, RecursionError) as error:
        raise _Odd("{} is not JSON: {}".format(MANIFEST_PATH, error)) from error
    return from_dict(Manifest, plain)


def _refuse_unlisted(manifest: Manifest, members: Dict[str, zipfile.ZipInfo]) -> None:
    sizes = {file.path: file.size_bytes for file in manifest.files}
    for path, info in members.items():
        if path != MANIFEST_PATH and sizes.pop(path, None) != info.file_size:
            raise _Odd("the manifest does not list {} as it is".format(path))
    if sizes:
        raise _Odd("{} is listed and not there".format(min(sizes)))
