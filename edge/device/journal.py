"""Results that are on the disk as soon as they are there. Device slice: Python 3.8.

A file of lines, each a CRC-32 of the rest in hex, a blank, and a JSON object. A line is written at
once and flushed; what a crash leaves of the last one has no line break or a wrong sum, and goes.
"""

import fcntl
import json
import os
import re
import stat
import zlib
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

from edge.device.durable import flush_folder
from edge.errors import ConfigError, HostError

_SUM_LETTERS = 8
# How a first line can begin that was never finished; a power cut can leave zeros.
_BEGUN = re.compile(rb"[0-9a-f]{0,7}\Z|[0-9a-f]{8}(?: ?\Z| \{)|\0")


class Journal:
    """An open journal, which no other process can open meanwhile; a context manager.

    `lost` is how many lines were damaged though others follow them: a disk's fault, or an
    editor's. They stay in the file, and the whole ones around them count.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        """Read what is there, and cut off what is not whole at the end."""
        self.path, self._descriptor = path, descriptor
        _, self.lost, self._size_bytes = _read(descriptor, path)
        self._cut()

    @classmethod
    def open(cls, path: str) -> "Journal":
        """Open the journal at `path`, made if need be.

        Raises:
            ConfigError: it is no journal.
            HostError: another process has it open, or it cannot be read or written.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _host_error(error, path) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _no_journal(path)
            _lock(descriptor, path)
            # Whoever was here first may have died between making the file and this.
            flush_folder(os.path.dirname(os.path.abspath(path)))
            return cls(path, descriptor)
        except OSError as error:
            os.close(descriptor)
            raise _host_error(error, path) from error
        except BaseException:
            os.close(descriptor)
            raise

    def append(self, document: Mapping[str, Any]) -> None:
        """Add a document; once this has returned, neither a crash nor a power cut loses it.

        Never call it while timing: a flush takes milliseconds.

        Raises:
            HostError: it cannot be written; the documents before it are safe.
        """
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("utf-8")
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        try:
            self._cut()
            written = 0
            while written < len(line):
                # The first write is all of it, unless the disk is full.
                written += os.write(self._descriptor, line[written:])
            os.fsync(self._descriptor)
        except OSError as error:
            raise _host_error(error, self.path) from error
        self._size_bytes += len(line)

    def documents(self) -> List[Dict[str, Any]]:
        """Return all documents in the order in which they were added.

        Raises:
            HostError: the file cannot be read.
        """
        try:
            return _read(self._descriptor, self.path)[0]
        except OSError as error:
            raise _host_error(error, self.path) from error

    def _cut(self) -> None:
        """Remove what is not whole at the end, of a crash or of a disk that was full."""
        if os.fstat(self._descriptor).st_size > self._size_bytes:
            os.ftruncate(self._descriptor, self._size_bytes)
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Let others open it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Journal":  # noqa: PYI034 - Python 3.8 has no Self
        return self

    def __exit__(
        self,
        _type: Optional[Type[BaseException]],
        _error: Optional[BaseException],
        _trace: Optional[TracebackType],
    ) -> None:
        self.close()


def read_journal(path: str) -> List[Dict[str, Any]]:
    """Return the documents of a journal without changing it, also while another process writes it.

    Raises:
        ConfigError: it is no journal.
        HostError: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _host_error(error, path) from error
    try:
        return _read(descriptor, path)[0]
    except OSError as error:
        raise _host_error(error, path) from error
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: str) -> Tuple[List[Dict[str, Any]], int, int]:
    """Return the documents, how many damaged lines stand before the last, and how much to keep.

    Each line was flushed before the next was begun, so a crash can have damaged only the last.
    """
    documents: List[Dict[str, Any]] = []
    damaged = position = end = 0
    line = b""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        for line in file:
            position += len(line)
            document = _document(line)
            if document is None:
                damaged += 1
            else:
                documents.append(document)
                end = position
    if damaged and end < position:
        damaged -= 1
        end = position - len(line)
    if not documents and position and (damaged or not _BEGUN.match(line)):
        raise _no_journal(path)
    return documents, damaged, end


def _document(line: bytes) -> Optional[Dict[str, Any]]:
    try:
        text = line[_SUM_LETTERS + 1 : -1]
        if line != b"%08x %b\n" % (zlib.crc32(text), text):
            return None
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise HostError(
            "another probe is writing it", where=path, hint="wait for it, or name another folder"
        ) from error


def _no_journal(path: str) -> ConfigError:
    hint = "name another file, or move this one away"
    return ConfigError("not a journal of measurements", where=path, hint=hint)


def _host_error(error: OSError, path: str) -> HostError:
    return HostError((error.strerror or str(error)).lower(), where=path)
