"""Reads small text files under a root, once or again and again. Device slice: Python 3.8.

The root stands for / in a recorded tree. What is missing or cannot be read is None.
"""

import os
import re
from typing import List, Optional

# More than any file of /sys, and the part of /proc/meminfo that counts.
_MOST_BYTES = 4096


def text_of(root: str, path: str) -> Optional[str]:
    """Return a file's text without NULs and surrounding blanks, None where there is none."""
    try:
        with open(os.path.join(root, path), "rb") as file:
            return _decoded(file.read())
    except OSError:
        return None


def number_of(text: Optional[str]) -> Optional[float]:
    """Return a text as a number, None where it is none."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def names_in(root: str, folder: str, pattern: str) -> List[str]:
    """Return the paths under the root of a folder's entries that match, in the order of numbers."""
    try:
        names = [n for n in os.listdir(os.path.join(root, folder)) if re.fullmatch(pattern, n)]
    except OSError:
        return []
    return [folder + "/" + name for name in sorted(names, key=lambda name: (len(name), name))]


class KeptOpen:
    """A file that is opened once and read many times: sysfs and procfs answer anew each time."""

    def __init__(self, root: str, path: str) -> None:
        """Open it, if it is there."""
        try:
            self._descriptor: Optional[int] = os.open(
                os.path.join(root, path), os.O_RDONLY | os.O_CLOEXEC
            )
        except OSError:
            self._descriptor = None

    def text(self) -> Optional[str]:
        """Return what the file says now."""
        if self._descriptor is None:
            return None
        try:
            return _decoded(os.pread(self._descriptor, _MOST_BYTES, 0))
        except OSError:
            return None

    def number(self) -> Optional[float]:
        """Return what the file says now as a number."""
        return number_of(self.text())

    def close(self) -> None:
        """Close it; from then on it says nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _decoded(data: bytes) -> Optional[str]:
    return data.replace(b"\0", b"").decode("utf-8", "replace").strip() or None
