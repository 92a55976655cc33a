"""The processes that this one started, and those that they started."""

import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path

# The parent's number is the second field after the name, which may hold anything; proc(5).
_PARENT_FIELD = 1


def descendants() -> frozenset[int]:
    """Return the process numbers of all running descendants of this process."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # It may have ended meanwhile.
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
                children.setdefault(int(fields[_PARENT_FIELD]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        ours = [pid for pid in children.get(waiting.pop(), []) if pid not in found]
        found.update(ours)
        waiting.extend(ours)
    return frozenset(found)


def kill_descendants(spared: Collection[int] = ()) -> None:
    """Kill all descendants but the spared ones; whoever started them still has to wait for them."""
    for pid in descendants() - frozenset(spared):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
