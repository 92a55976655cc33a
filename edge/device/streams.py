"""Reads what a child says, in threads of the parent. Device slice: Python 3.8."""

import json
import os
import threading
from typing import IO, Any, Callable, Dict, Optional

_LONGEST_ANSWER_BYTES = 256 << 20
# Who is gone has said all it will say; a pipe that is still open then is somebody else's.
_FAREWELL_S = 30.0


class Output:
    """Reads a pipe to its end in a thread and keeps the last bytes of it."""

    def __init__(self, pipe: "Optional[IO[bytes]]", longest: int) -> None:
        """Start to read."""
        assert pipe is not None
        self.is_cut = False
        self._pipe, self._longest, self._kept = pipe, longest, bytearray()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self._pipe as pipe:
            while True:
                block = os.read(pipe.fileno(), 1 << 16)
                if not block:
                    return
                self._kept += block
                surplus = len(self._kept) - self._longest
                if surplus > 0:
                    self.is_cut = True
                    del self._kept[:surplus]

    def bytes(self) -> bytes:
        """Return what was kept, once the process has ended."""
        self.thread.join(_FAREWELL_S)
        return bytes(self._kept)


class Answers:
    """Reads the answer pipe in a thread, so that a chatty child cannot block or flood us."""

    def __init__(
        self,
        pipe: "IO[bytes]",
        kill: Callable[[], None],
        progress: Optional[Callable[[float], None]],
    ) -> None:
        """Start to read; `kill` ends a child that says too much, or nonsense."""
        self.answer: Optional[Dict[str, Any]] = None
        self.fault: Optional[str] = None
        self._pipe, self._kill, self._progress = pipe, kill, progress
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            self._read_lines()
        except (OSError, ValueError):
            # An interrupt that came while the child was being started closed the pipe.
            self.fault = "its answer was not read to the end"

    def _read_lines(self) -> None:
        left = _LONGEST_ANSWER_BYTES
        while left > 0:
            line = self._pipe.readline(left)
            if not line:
                return
            left -= len(line)
            if not self._take(line):
                break
            if self.answer is not None:
                return  # It is the last thing that counts.
        else:
            self.fault = "its answer is longer than {} bytes".format(_LONGEST_ANSWER_BYTES)
        self._kill()

    def _take(self, line: bytes) -> bool:
        try:
            message = json.loads(line)
            if "progress" in message:
                if self._progress is not None:
                    self._progress(float(message["progress"]))
            else:
                self.answer = dict(message)
        except (ValueError, TypeError):
            self.fault = "its answer is not JSON"
            return False
        return True
