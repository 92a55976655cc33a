"""Whether the kernel killed a process for want of memory. Device slice: Python 3.8."""

import os
from typing import Iterator, Optional

_COUNT = "oom_kill"


def oom_kills(root: str = "/") -> Optional[int]:
    """Return how many processes the kernel has killed for want of memory, None if it does not tell.

    Of our own cgroup (memory.events of v2, memory.oom_control of v1), where every process of it
    counts, whoever ran out of memory; else of the whole machine (/proc/vmstat, since Linux 4.13).
    """
    for path in _paths(root):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                for line in file:
                    name, _, count = line.partition(" ")
                    if name == _COUNT:
                        return int(count)
        except (OSError, ValueError):
            continue
    return None


def _paths(root: str) -> Iterator[str]:
    mount = os.path.join(root, "sys/fs/cgroup")
    try:
        with open(os.path.join(root, "proc/self/cgroup"), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, ValueError):
        lines = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        # In a container the mount may show our own cgroup under another path than the host's.
        for own in (parts, []):
            if controllers == "":
                yield os.path.join(mount, *own, "memory.events")
                yield os.path.join(mount, "unified", *own, "memory.events")
            elif "memory" in controllers.split(","):
                yield os.path.join(mount, "memory", *own, "memory.oom_control")
    yield os.path.join(root, "proc/vmstat")


def killed_text(before: Optional[int], root: str = "/") -> Optional[str]:
    """Return why a process was killed, `before` being the count from before it was started."""
    after = oom_kills(root)
    if before is None or after is None:
        return None
    if after > before:
        count = "({} rose from {} to {})".format(_COUNT, before, after)
        return "the kernel killed it: out of memory {}".format(count)
    return "killed from outside: not by the kernel for want of memory, but by another program"
