"""Files and folders that appear whole, and are on the disk when we say so. Device slice: Python 3.8.

Everything is made under a name that ends in `.part`, written through, and renamed. What an
interrupted process leaves under such a name is nobody's and can be removed. What only a change
needs is imported by it: a program that reads what is installed has to start fast.
"""

import fcntl
import os
from contextlib import contextmanager
from typing import Callable, Iterator, Optional

PART = ".part"


def write_whole(path: str, data: bytes, mode: int = 0o644) -> None:
    """Put a file there, durably; one that is there already with these bytes stays as it is.

    Raises:
        OSError: it cannot be written.
    """
    if _holds(path, data, mode):
        return
    staged = _beside(path)
    try:
        with open(staged, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(staged, path)
    finally:
        if os.path.lexists(staged):
            os.unlink(staged)
    flush_folder(os.path.dirname(path))


def _holds(path: str, data: bytes, mode: int) -> bool:
    try:
        with open(path, "rb") as file:
            right = os.fstat(file.fileno()).st_mode & 0o777 == mode
            return right and file.read(len(data) + 1) == data
    except OSError:
        return False


def put_link(path: str, target: str) -> None:
    """Let the symbolic link at `path` point to `target`, in one step and durably.

    Raises:
        OSError: it cannot be made.
    """
    staged = _beside(path)
    if os.path.lexists(staged):
        os.unlink(staged)
    os.symlink(target, staged)
    os.rename(staged, path)
    flush_folder(os.path.dirname(path))


def _beside(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, "." + name + PART)


@contextmanager
def staging(folder: str, prefix: str) -> Iterator[str]:
    """Give a new folder in `folder`; whatever has not been renamed away by the end is removed."""
    import shutil
    import tempfile

    staged = tempfile.mkdtemp(prefix=prefix + ".", suffix=PART, dir=folder)
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def free_folder(folder: str, name: str) -> str:
    """Return where `name` can be put: what is there already, perhaps damaged, is not touched."""
    path = os.path.join(folder, name)
    number = 2
    while os.path.lexists(path):
        path = os.path.join(folder, "{}-{}".format(name, number))
        number += 1
    return path


def remove_leftovers(folder: str) -> None:
    """Remove what interrupted processes left; nobody else may be at work there."""
    import shutil

    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.endswith(PART):
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
            else:
                shutil.rmtree(path, ignore_errors=True)


def remove_folder(path: str) -> None:
    """Remove a folder: from its place in one step, then from the disk."""
    import shutil

    gone = path + PART
    if os.path.lexists(gone):
        shutil.rmtree(gone, ignore_errors=True)
    os.rename(path, gone)
    flush_folder(os.path.dirname(path))
    shutil.rmtree(gone, ignore_errors=True)


def flush_folder(folder: str) -> None:
    """Write a folder's list of names through to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_file_system(folder: str) -> None:
    """Write everything through to the disk: one call instead of one fsync for each of 1000 files."""
    import ctypes

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: str, waiting: Optional[Callable[[], None]] = None) -> Iterator[None]:
    """Keep every other process out; `waiting` is called if one is inside already."""
    with open(path, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def in_use(folder: str) -> Iterator[bool]:
    """Mark a folder as used, so that nobody prunes it; give whether it is still there.

    Where the file system knows no locks the mark is missing, and nothing else is.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except OSError:
            pass
        ours = os.fstat(descriptor)
        try:
            there = os.stat(folder)
        except FileNotFoundError:
            yield False
        else:
            yield (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
    finally:
        os.close(descriptor)


@contextmanager
def unused(folder: str) -> Iterator[bool]:
    """Give whether no process has marked the folder as used; none can before the block ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        yield True
    finally:
        os.close(descriptor)
