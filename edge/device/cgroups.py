"""What a container or a service may use: cgroup v2, else v1. Device slice: Python 3.8."""

import os
from typing import Callable, Iterator, List, Optional, Tuple

# cgroup v1 spells "no limit" as the largest multiple of a page below 2**63.
_UNLIMITED_BYTES = 1 << 60
_MOUNT = "sys/fs/cgroup"
# The second is where a system with both versions keeps v2.
_MOUNTS_V2: Tuple[str, ...] = ("", "unified")


def cpu_quota(root: str = "/") -> Optional[float]:
    """Return how many cores' time a second may be used, None where there is no such limit."""
    return _least(root, _quota_v2, _quota_v1, ("cpu", "cpu,cpuacct"))


def memory_limit_bytes(root: str = "/") -> Optional[int]:
    """Return the memory that may be used, None where there is no limit."""
    limit = _least(root, _memory_v2, _memory_v1, ("memory",))
    return None if limit is None else int(limit)


def _least(
    root: str,
    read_v2: Callable[[str], Optional[float]],
    read_v1: Callable[[str], Optional[float]],
    mounts_v1: Tuple[str, ...],
) -> Optional[float]:
    """Return the least limit of our cgroup and those above it: each of them holds."""
    found: List[Optional[float]] = []
    for line in _lines(os.path.join(root, "proc/self/cgroup")):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        is_v1 = controllers != ""
        if is_v1 and not set(controllers.split(",")) & set(mounts_v1):
            continue
        mounts, read = (mounts_v1, read_v1) if is_v1 else (_MOUNTS_V2, read_v2)
        for mount in mounts:
            found.extend(
                read(folder) for folder in _folders(os.path.join(root, _MOUNT, mount), path)
            )
    return min((limit for limit in found if limit is not None), default=None)


def _folders(mount: str, path: str) -> Iterator[str]:
    """Give the folders of a cgroup and of all above it.

    In a container the path may be the host's, which is not to be seen there; the mount then shows
    the container's own cgroup.
    """
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for length in range(len(parts), -1, -1):
        yield os.path.join(mount, *parts[:length])


def _quota_v2(folder: str) -> Optional[float]:
    words = _words(os.path.join(folder, "cpu.max"))
    return _ratio(words[0], words[1]) if len(words) == 2 else None


def _quota_v1(folder: str) -> Optional[float]:
    quota = _words(os.path.join(folder, "cpu.cfs_quota_us"))
    period = _words(os.path.join(folder, "cpu.cfs_period_us"))
    return _ratio(quota[0], period[0]) if quota and period else None


def _ratio(quota: str, period: str) -> Optional[float]:
    try:
        ratio = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max" is no limit.
    return ratio if ratio > 0 else None  # And so is -1.


def _memory_v2(folder: str) -> Optional[float]:
    return _bytes(os.path.join(folder, "memory.max"))


def _memory_v1(folder: str) -> Optional[float]:
    return _bytes(os.path.join(folder, "memory.limit_in_bytes"))


def _bytes(path: str) -> Optional[int]:
    words = _words(path)
    try:
        limit = int(words[0])
    except (ValueError, IndexError):
        return None
    return limit if limit < _UNLIMITED_BYTES else None


def _words(path: str) -> List[str]:
    return " ".join(_lines(path)).split()


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
