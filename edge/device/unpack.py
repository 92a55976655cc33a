"""Unpacks a bundle's wheels, model and samples where they can be used, once and whole.

The folder is named by the digest of the whole bundle. It is staged beside its place, written
through to the disk and renamed, so that at any moment there is all of it or nothing; a second run
finds it and checks that every file is there. Device slice: Python 3.8.
"""

import errno
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import Iterator, List, Optional, Tuple

from edge.device.bundle import Bundle
from edge.device.durable import (
    flush_file_system,
    in_use,
    locked,
    remove_folder,
    remove_leftovers,
    staging,
    unused,
)
from edge.device.parts import (
    Unpacked,
    is_complete,
    is_run_from,
    parts_in,
    require_room,
    write_listing,
    write_parts,
)
from edge.device.place import Unusable, require_usable
from edge.device.ready import make_ready
from edge.errors import HostError
from edge.records.manifest import MANIFEST_PATH

_MORE = "free some disk space, or set EDGEKIT_CACHE to a folder with more"
# The one that runs and the one before it: who goes back to that need not wait.
_KEPT = 2


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
    except Unusable as unusable:
        with _temporary_root(unusable) as root:
            yield parts_in(_find_or_unpack(bundle, root))
        return
    while True:
        folder = _find_or_unpack(bundle, root)
        with in_use(folder) as there:
            if there:
                yield parts_in(folder)
                return


def _cache_root() -> str:
    chosen = os.environ.get("EDGEKIT_CACHE")
    user = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = os.path.join(chosen or os.path.join(user, "edgekit"), "bundles")
    try:
        require_usable(root, 0o700)
    except Unusable as error:
        if chosen:
            hint = "set EDGEKIT_CACHE to another folder"
            raise HostError(str(error), where=root, hint=hint) from error
        raise
    return root


@contextmanager
def _temporary_root(unusable: Unusable) -> Iterator[str]:
    try:
        root = tempfile.mkdtemp(prefix="edgekit-")
    except OSError as error:
        raise HostError(str(error), hint="set EDGEKIT_CACHE to a folder with space") from error
    try:
        require_usable(root)
        yield root
    except Unusable as error:
        what = "no place to unpack to: {}, and {}".format(unusable, error)
        hint = "set EDGEKIT_CACHE to a folder whose files may be run"
        raise HostError(what, where=root, hint=hint) from error
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _find_or_unpack(bundle: Bundle, root: str) -> str:
    folder = os.path.join(root, bundle.digest)
    if not is_complete(folder):
        try:
            with locked(os.path.join(root, ".lock")):
                # Another process may have unpacked it while this one waited.
                if not is_complete(folder):
                    _unpack(bundle, root, folder)
        except OSError as error:
            raise _no_room(error, root) from error
    return folder


def _unpack(bundle: Bundle, root: str, folder: str) -> None:
    remove_leftovers(root)
    require_room(bundle, root, _MORE)
    with staging(root, bundle.digest[:16]) as staged:
        write_parts(bundle, staged, lambda path: is_run_from(bundle.manifest, path))
        make_ready(staged, bundle.manifest, parts_in(staged).site)
        write_listing(staged, digests=False)
        flush_file_system(staged)
        if os.path.lexists(folder):
            # Incomplete: somebody deleted from it. It must go before the rename.
            os.rename(folder, os.path.join(staged, "incomplete"))
        os.rename(staged, folder)
        flush_file_system(root)
        shutil.rmtree(os.path.join(folder, "incomplete"), ignore_errors=True)
    _prune(bundle.manifest.name, root)


def _prune(name: str, root: str) -> None:
    """Keep the newest folders of that bundle, and those that are being run from."""
    folders: List[Tuple[int, str]] = []
    for entry in os.listdir(root):
        folder = os.path.join(root, entry)
        try:
            with open(os.path.join(folder, MANIFEST_PATH), encoding="ascii") as file:
                if json.load(file)["name"] == name:
                    folders.append((os.stat(folder).st_mtime_ns, folder))
        except (OSError, ValueError, LookupError, TypeError):
            continue
    for _, folder in sorted(folders, reverse=True)[_KEPT:]:
        with unused(folder) as free:
            if free:
                remove_folder(folder)


def _no_room(error: OSError, root: str) -> HostError:
    hint: Optional[str] = "set EDGEKIT_CACHE to a folder that can be written"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        hint = _MORE
    return HostError((error.strerror or str(error)).lower(), where=root, hint=hint)
