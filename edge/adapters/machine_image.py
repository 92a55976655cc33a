"""An emulated machine's files: the archive that its kernel starts from, and its disk.

Neither takes root rights: the archive is written here, and mke2fs fills the disk as it makes it.
"""

import gzip
import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters import machine_guest
from edge.adapters.files import host_error
from edge.adapters.programs import HostProgram
from edge.errors import HostError, printable

# Where the disk has them.
BUNDLE: Final = "edgekit/bundle.pyz"
GUEST: Final = "edgekit/guest.py"

_TRAILER: Final = "TRAILER!!!"
_LONGEST_MKE2FS_S: Final = 300
# A file system's own tables, and what the system itself writes.
_LEAST_ROOM_BYTES: Final = 256 << 20
# The wheels are compressed and the model may be prepared; the file is sparse, so room costs nothing.
_BUNDLE_TIMES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """One entry of an archive: a folder where `content` is None."""

    name: str
    content: bytes | None
    executable: bool = False


def cpio_archive(files: Sequence[ArchiveFile]) -> bytes:
    """Return an archive in the "newc" format, owned by root, without times.

    The format: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    entries = [_entry(number, file) for number, file in enumerate(files, 1)]
    return b"".join([*entries, _record(0, 0, _TRAILER, b"")])


def initramfs(files: Sequence[ArchiveFile]) -> bytes:
    """Return the compressed archive that a kernel starts from; the same files give the same bytes."""
    return gzip.compress(cpio_archive(files), mtime=0)


def _entry(number: int, file: ArchiveFile) -> bytes:
    if file.content is None:
        return _record(number, stat.S_IFDIR | 0o755, file.name, b"")
    mode = stat.S_IFREG | (0o755 if file.executable else 0o644)
    return _record(number, mode, file.name, file.content)


def _record(number: int, mode: int, name: str, content: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    # inode, mode, owner, group, links, time, size, four device numbers, length of the name, no sum.
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return _padded(head) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def disk_bytes(root_bytes: int, bundle_bytes: int) -> int:
    """Return how large a disk must be for a root and a bundle that unpacks itself there."""
    return 2 * root_bytes + _BUNDLE_TIMES * bundle_bytes + _LEAST_ROOM_BYTES


def make_disk(base: Path, bundle: Path, disk: Path, mke2fs: HostProgram) -> None:
    """Write a disk with the files of a root and a bundle; `disk.tree` beside it is left.

    Raises:
        HostError: the disk cannot be written, or mke2fs fails.
    """
    tree = disk.with_suffix(".tree")
    try:
        shutil.copytree(base, tree, symlinks=True, copy_function=_linked)
        for name in ("edgekit", "dev", "proc", "root", "sys", "tmp"):
            (tree / name).mkdir(exist_ok=True)
        _linked(str(bundle.resolve()), str(tree / BUNDLE))
        shutil.copyfile(machine_guest.__file__, tree / GUEST)
        size = disk_bytes(_size_bytes(base), bundle.stat().st_size)
    except (OSError, shutil.Error) as error:
        raise _disk_error(error, disk) from error
    options = "root_owner=0:0,nodiscard,lazy_itable_init=1"
    command = [
        *mke2fs.command,
        *("-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-E", options),
        *("-d", str(tree), str(disk), f"{size >> 10}k"),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_LONGEST_MKE2FS_S,
            env={"PATH": os.defpath, "LC_ALL": "C", **mke2fs.environment},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"mke2fs does not run: {printable(str(error), 200)}", where=disk) from error
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        hint = "free some disk space, or set TMPDIR to a folder with more"
        raise HostError(f"mke2fs failed: {printable(words[-1], 200)}", where=disk, hint=hint)


def _linked(source: str, place: str) -> str:
    """Link a file, or copy it to another file system; mke2fs only reads it."""
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, place, follow_symlinks=False)
    return place


def _size_bytes(folder: Path) -> int:
    """Return what the files of a folder take, each in whole blocks."""
    total = 0
    for parent, _, names in os.walk(folder):
        total += sum(os.lstat(os.path.join(parent, name)).st_size + 4096 for name in names)  # noqa: PTH118 - fast
    return total


def _disk_error(error: Exception, disk: Path) -> HostError:
    if isinstance(error, shutil.Error):
        return HostError(printable(str(error), 200), where=disk)
    assert isinstance(error, OSError)
    return host_error(error, disk)
