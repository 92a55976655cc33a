"""Appends documents to a journal and is killed with SIGKILL at chosen operations.

Started as a program of its own, without threads, so that each writer is a fork of it. The
operations are those of the journal on the file system: an open, each half of a write, an fsync, a
truncation. What a killed process has written stays, as it would without its fsync.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from edge.device import journal
from edge.device.journal import Journal


class Dying:
    """Stands for `os` in the journal, and dies before operation number `last`."""

    def __init__(self, last: int) -> None:
        self.taken, self._last = 0, last

    def step(self) -> None:
        self.taken += 1
        if self.taken == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def open(self, *arguments: Any) -> int:
        self.step()
        return os.open(*arguments)

    def write(self, descriptor: int, data: bytes) -> int:
        self.step()
        half = os.write(descriptor, data[: len(data) // 2])
        self.step()
        return half + os.write(descriptor, data[half:])

    def fsync(self, _descriptor: int) -> None:
        self.step()

    def ftruncate(self, descriptor: int, size: int) -> None:
        self.step()
        os.ftruncate(descriptor, size)
        self.step()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def write(path: Path, documents: list[Any], told: int, last: int) -> None:
    """Append the documents that are not there yet; tell each number once append has returned."""
    dying = Dying(last)
    vars(journal)["os"] = dying
    with Journal.open(str(path)) as opened:
        there = len(opened.documents())
        for number, document in enumerate(documents[there:], there):
            opened.append(document)
            os.write(told, b"%d\n" % number)
    os.write(told, b"steps %d\n" % dying.taken)


def killed(path: Path, documents: list[Any], last: int) -> tuple[bool, list[str]]:
    """Run a writer; return whether it was killed, and what it told."""
    read, told = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            write(path, documents, told, last)
            status = 0
        finally:
            os._exit(status)
    os.close(told)
    with os.fdopen(read) as pipe:
        words = pipe.read().splitlines()
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status != 0, words


def main(folder: Path, documents: list[Any], points: int) -> None:
    """Kill a writer at each point, then let another one go on; print what each time was found."""
    rows = []
    _, words = killed(folder / "whole", documents, 0)
    total = int(words[-1].split()[1])
    for point in sorted({1 + (total - 1) * n // (points - 1) for n in range(points)}):
        path = folder / str(point)
        died, told = killed(path, documents, point)
        readable = journal.read_journal(str(path)) if path.exists() else []
        # A second one dies a little later while it goes on; the third comes to the end.
        killed(path, documents, 7)
        _, rest = killed(path, documents, 0)
        after = journal.read_journal(str(path))
        row = {"point": point, "died": died, "told": len(told), "found": len(readable)}
        row["right"] = readable == documents[: len(readable)] and after == documents
        rows.append({**row, "ended": rest[-1].startswith("steps")})
        path.unlink()
    json.dump({"total": total, "rows": rows}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.load(sys.stdin), int(sys.argv[2]))
