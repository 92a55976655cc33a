"""Unpacks a bundle's wheels, model and samples where they can be used, once and whole.

The folder is named by the digest of the whole bundle. It is staged beside its place, written
through to the disk and renamed, so that at any moment there is all of it or nothing; a second run
finds it and checks that every file is there. Device slice: Python 3.8.
"""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Iterator, List, Optional, Tuple

from edge.device.bundle import Bundle
from edge.device.wheels import unpack_wheel, unpacked_bytes
from edge.errors import HostError
from edge.records.manifest import MODEL_FOLDER, BundleFile
from edge.units import format_bytes

_LISTING = "unpacked.json"
_SITE = "site"
# Blocks, folders and what the first import compiles, beside the files themselves.
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Unpacked:
    """Where a bundle's parts lie as files: `site` goes onto the import path."""

    folder: str
    site: str

    def path(self, member: str) -> str:
        """Return the file of a member."""
        return os.path.join(self.folder, *member.split("/"))


@contextmanager
def unpacked(bundle: Bundle) -> Iterator[Unpacked]:
    """Give the bundle's unpacked folder: the one in the cache, made if it is not there yet.

    Without a home folder that can be written it is a temporary one, which goes with the block.

    Raises:
        BundleError: the bundle is damaged or not as it must be.
        HostError: there is no place to unpack to.
    """
    try:
        root = _cache_root()
    except _Unusable as unusable:
        with _temporary_root(unusable) as root:
            yield _find_or_unpack(bundle, root)
        return
    yield _find_or_unpack(bundle, root)


class _Unusable(Exception):
    """A folder that bundles cannot be unpacked to."""


def _cache_root() -> str:
    chosen = os.environ.get("EDGEKIT_CACHE")
    user = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = os.path.join(chosen or os.path.join(user, "edgekit"), "bundles")
    try:
        return _usable(root)
    except _Unusable as error:
        if chosen:
            hint = "set EDGEKIT_CACHE to another folder"
            raise HostError(str(error), where=root, hint=hint) from error
        raise


def _usable(root: str) -> str:
    """Make a folder and return it if files can be written there and code be run from there."""
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
        flags = os.statvfs(root).f_flag
    except OSError as error:
        raise _Unusable((error.strerror or str(error)).lower()) from error
    if flags & os.ST_NOEXEC:
        raise _Unusable(
            "its file system is mounted noexec, and the runtime's code has to run there"
        )
    return root


@contextmanager
def _temporary_root(unusable: _Unusable) -> Iterator[str]:
    try:
        root = tempfile.mkdtemp(prefix="edgekit-")
    except OSError as error:
        raise HostError(str(error), hint="set EDGEKIT_CACHE to a folder with space") from error
    try:
        _usable(root)
        yield root
    except _Unusable as error:
        what = "no place to unpack to: {}, and {}".format(unusable, error)
        hint = "set EDGEKIT_CACHE to a folder whose files may be run"
        raise HostError(what, where=root, hint=hint) from error
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _find_or_unpack(bundle: Bundle, root: str) -> Unpacked:
    folder = os.path.join(root, bundle.digest)
    if not _is_complete(folder):
        try:
            with _locked(root):
                # Another process may have unpacked it while this one waited.
                if not _is_complete(folder):
                    _unpack(bundle, root, folder)
        except OSError as error:
            raise _no_room(error, root) from error
    return Unpacked(folder, os.path.join(folder, _SITE))


@contextmanager
def _locked(root: str) -> "Iterator[IO[bytes]]":
    with open(os.path.join(root, ".lock"), "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _is_complete(folder: str) -> bool:
    """Return whether every file of the listing is there with its size."""
    try:
        with open(os.path.join(folder, _LISTING), encoding="utf-8") as file:
            listing = json.load(file)
        return all(os.lstat(os.path.join(folder, path)).st_size == size for path, size in listing)
    except (OSError, ValueError, TypeError):
        return False


def _unpack(bundle: Bundle, root: str, folder: str) -> None:
    for name in os.listdir(root):
        # What an interrupted process left; nobody else is here, because of the lock.
        if name.endswith(".part"):
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)
    _require_room(bundle, root)
    staged = tempfile.mkdtemp(prefix=bundle.digest[:16] + ".", suffix=".part", dir=root)
    try:
        listing = _write_parts(bundle, staged)
        with open(os.path.join(staged, _LISTING), "w", encoding="utf-8") as file:
            json.dump(listing, file)
        _flush_file_system(staged)
        if os.path.lexists(folder):
            # Incomplete: somebody deleted from it. It must go before the rename.
            os.rename(folder, os.path.join(staged, "incomplete"))
        os.rename(staged, folder)
        _flush_file_system(root)
        shutil.rmtree(os.path.join(folder, "incomplete"), ignore_errors=True)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _require_room(bundle: Bundle, root: str) -> None:
    needed = bundle.size_bytes + _SPARE_BYTES
    for wheel in bundle.manifest.wheels:
        with bundle.archive.open(bundle.members[wheel.path]) as member:
            needed += unpacked_bytes(member)
    free = shutil.disk_usage(root).free
    if free < needed:
        what = "unpacking needs {}, and {} are free".format(
            format_bytes(needed), format_bytes(free)
        )
        hint = "free some disk space, or set EDGEKIT_CACHE to a folder with more"
        raise HostError(what, where=root, hint=hint)


def _write_parts(bundle: Bundle, staged: str) -> List[Tuple[str, int]]:
    """Write the model's files, the samples and the wheels' contents; return paths and sizes."""
    listing = []
    wheels = {wheel.path: wheel for wheel in bundle.manifest.wheels}
    site = os.path.join(staged, _SITE)
    os.mkdir(site)
    for listed in bundle.manifest.files:
        if listed.path in wheels:
            with _verified_copy(bundle, listed, staged) as file:
                name = os.path.basename(listed.path)
                files = unpack_wheel(file, name, site)
            listing += [(_SITE + "/" + path, size) for path, size in files]
        elif _is_used_as_a_file(bundle, listed.path):
            place = os.path.join(staged, *listed.path.split("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "xb") as target:
                target.writelines(bundle.blocks(listed))
            listing.append((listed.path, listed.size_bytes))
    return listing


def _is_used_as_a_file(bundle: Bundle, path: str) -> bool:
    return path == bundle.manifest.samples.path or path.startswith(MODEL_FOLDER)


@contextmanager
def _verified_copy(bundle: Bundle, listed: BundleFile, staged: str) -> "Iterator[IO[bytes]]":
    """Give a private copy of a member whose digest is checked: exactly those bytes are used."""
    with tempfile.TemporaryFile(dir=staged) as file:
        file.writelines(bundle.blocks(listed))
        file.seek(0)
        yield file


def _flush_file_system(folder: str) -> None:
    """Write everything through to the disk: one call instead of one fsync for each of 1000 files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def _no_room(error: OSError, root: str) -> HostError:
    hint: Optional[str] = "set EDGEKIT_CACHE to a folder that can be written"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = "free some disk space, or set EDGEKIT_CACHE to a folder with more"
    return HostError((error.strerror or str(error)).lower(), where=root, hint=hint)
