"""The first thing that runs in a bundle: it asks whether file and Python are as they must be.

A copy of this file is the bundle's __main__.py. It imports nothing of ours before the whole file
is found undamaged, so that any damage gives one clear line; Python 3.5 and later can parse it.
"""

import hashlib
import importlib
import re
import sys
from typing import IO, Optional

SHEBANG = b"#!/usr/bin/env python3\n"
# The second line: a comment to Python and to a shell, and before the archive, so that a Python
# too old for archives with a comment at their end can start the bundle and be told so.
MARK = b"# edgekit-sha256: "
HEAD_BYTES = len(SHEBANG) + len(MARK) + 64 + 1
_HEAD = re.compile(re.escape(SHEBANG + MARK) + b"([0-9a-f]{64})\n")
# The third line: base64 of a signed statement about the archive below it, or none. It stands below
# the digest, so that damage to it is found without any key.
SIGNATURE_MARK = b"# edgekit-signature: "
UNSIGNED = b"none"
LONGEST_SIGNATURE_LINE_BYTES = 16 << 10
_SIGNATURE = re.compile(re.escape(SIGNATURE_MARK) + b"([A-Za-z0-9+/]+={0,2})\n")
_BLOCK_BYTES = 1 << 20
_BUNDLE_EXIT = 5
_INTERRUPTED_EXIT = 130


def carried_digest(file: "IO[bytes]") -> Optional[str]:
    """Return the digest in the file's second line if it is that of all bytes below, else None."""
    file.seek(0)
    told = _HEAD.fullmatch(file.read(HEAD_BYTES))
    digest = digest_below_head(file)
    return digest if told is not None and told.group(1).decode() == digest else None


def signature_line(file: "IO[bytes]") -> Optional[bytes]:
    """Return what stands in the file's third line, base64 or none, and leave the file below it.

    None: it is no such line, or too long a one. It is read only as far as it may be long.
    """
    file.seek(HEAD_BYTES)
    line = _SIGNATURE.fullmatch(file.readline(LONGEST_SIGNATURE_LINE_BYTES))
    return None if line is None else line.group(1)


def digest_below_head(file: "IO[bytes]") -> str:
    """Return the SHA-256 of all bytes below the first two lines."""
    digest = hashlib.sha256()
    file.seek(HEAD_BYTES)
    for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
        digest.update(block)
    return digest.hexdigest()


def _start() -> int:
    path = sys.argv[0]
    if sys.version_info < (3, 8):  # noqa: UP036 - an older one may well start this
        running = "{}.{}".format(*sys.version_info[:2])
        return _refuse(
            path, "this is Python {}, a bundle needs 3.8 or newer: python3.8 FILE".format(running)
        )
    with open(path, "rb") as file:
        digest = carried_digest(file)
    if digest is None:
        return _refuse(path, "the file is damaged: copy it again, or package it again")
    # Only now, and by its name: this file also lies below main, which reads bundles with it.
    status: int = importlib.import_module("edge.device.main").main(path, digest)
    return status


def _refuse(path: str, what: str) -> int:
    sys.stderr.write("error: {}: {}\n".format(path, what))
    return _BUNDLE_EXIT


if __name__ == "__main__":
    try:
        sys.exit(_start())
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED_EXIT)
