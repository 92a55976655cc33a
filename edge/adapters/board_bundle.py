"""The bundle on the board: found, copied piece by piece, removed. Sent over ssh: Python 3.6."""

import errno
import fcntl
import hashlib
import os
import re
import shutil

from edge.adapters.board_shared import (
    BLOCK_BYTES,
    BUNDLE,
    Request,
    bundle_path,
    is_held,
    root,
    tell,
)

_HEAD = re.compile(b"#!/usr/bin/env python3\n# edgekit-sha256: ([0-9a-f]{64})\n")
_HEAD_BYTES = 106
# The one that is measured and the one before it.
_KEPT = 2


def find(request: Request) -> None:
    """Tell whether the bundle is there, and how much of it has been copied."""
    path = bundle_path(request)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + ".part"
    whole = _is_whole(path, request["digest"])
    tell(whole=whole, part_bytes=os.stat(part).st_size if os.path.exists(part) else 0)


def append(request: Request) -> None:
    """Write what comes on stdin at an offset of the part.

    A lost connection's own append may still be there: it writes the same bytes at the same place.
    """
    part = bundle_path(request) + ".part"
    to = os.open(part, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        if os.fstat(to).st_size < request["offset"]:
            raise OSError(errno.EINVAL, "it became shorter meanwhile", part)
        fcntl.flock(to, fcntl.LOCK_SH)
        os.lseek(to, request["offset"], os.SEEK_SET)
        for block in iter(lambda: os.read(0, BLOCK_BYTES), b""):
            left = memoryview(block)
            while left:
                left = left[os.write(to, left) :]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            os.unlink(part)
        raise
    finally:
        os.close(to)
    size = os.stat(part).st_size
    if size < request["size"]:
        tell(whole=False, part_bytes=size)
    else:
        _finish(request)


def _finish(request: Request) -> None:
    """Make the part the bundle if it is whole, else remove it."""
    path = bundle_path(request)
    part = path + ".part"
    if _is_whole(part, request["digest"]):
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _prune()
    elif os.path.exists(part):
        os.unlink(part)
    tell(whole=_is_whole(path, request["digest"]), part_bytes=0)


def _is_whole(path: str, digest: str) -> bool:
    try:
        with open(path, "rb") as file:
            told = _HEAD.match(file.read(_HEAD_BYTES))
            below = hashlib.sha256()
            for block in iter(lambda: file.read(BLOCK_BYTES), b""):
                below.update(block)
    except FileNotFoundError:
        return False
    return told is not None and told.group(1).decode() == digest == below.hexdigest()


def _prune() -> None:
    """Remove all bundles but the newest, and those that are in use."""
    folders = [os.path.join(root(), name) for name in os.listdir(root())]
    bundles = [folder for folder in folders if re.search("/[0-9a-f]{64}$", folder)]
    for folder in sorted(bundles, key=lambda path: -os.stat(path).st_mtime_ns)[_KEPT:]:
        remove_bundle(folder)


def remove_bundle(folder: str) -> None:
    """Remove a bundle unless somebody uses it."""
    paths = [os.path.join(folder, name) for name in (BUNDLE, BUNDLE + ".part")]
    if not any(is_held(path) for path in paths):
        shutil.rmtree(folder, ignore_errors=True)
