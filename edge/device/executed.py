"""A Python program of ours in an interpreter of its own, and the limited child as one.

Device slice: Python 3.8.
"""

import json
import os
import sys
from typing import Any, Mapping, Optional, Sequence

from edge.device.child import ENVIRONMENT
from edge.errors import HostError

# An answer is the last thing that a child gives; it ends at once.
FAREWELL_S = 30.0


def python_command(code: str, paths: Sequence[str]) -> "list[str]":
    """Return the command that runs `code` isolated, with us and then `paths` imported first."""
    import site

    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    # -I leaves out the user's own packages, but numpy and the runtime may well be there.
    users = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    search = "import sys; sys.path[:0] = {!r}; sys.path += {!r}; ".format([here, *paths], users)
    return [sys.executable, "-I", "-c", search + code]


def not_started(error: OSError, what: str) -> HostError:
    """Return the error for a process that could not be started."""
    return HostError("cannot start a process: {}".format(error), where=what)


class Program:
    """A running interpreter of its own."""

    def __init__(
        self, command: Sequence[str], what: str, *, keep: Sequence[int] = (), stderr_apart: bool
    ) -> None:
        """Start it, with the descriptors to `keep`.

        Raises:
            HostError: it cannot be started.
        """
        import subprocess  # A fork needs none of it, and it takes its time.

        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if stderr_apart else subprocess.STDOUT,
                pass_fds=keep,
                start_new_session=True,
                env={**os.environ, **ENVIRONMENT},
            )
        except OSError as error:
            raise not_started(error, what) from error
        self.pid = self._process.pid
        self.output, self.complaints = self._process.stdout, self._process.stderr

    def give(self, data: bytes) -> None:
        """Write all of its standard input."""
        assert self._process.stdin is not None
        try:
            with self._process.stdin as stdin:
                stdin.write(data)
        except BrokenPipeError:
            pass  # The child is gone already; its status tells why.

    def terminate(self) -> None:
        """Ask it to end, if it still runs, and give it time for that."""
        if self._process.poll() is None:
            self._process.terminate()
            self.wait(FAREWELL_S)

    def kill(self) -> None:
        """Kill it, unless it is gone."""
        self._process.kill()

    def wait(self, timeout_s: Optional[float] = None) -> Optional[int]:
        """Return its exit status, or minus the signal that it died of; None while it runs."""
        import subprocess

        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


class Executed(Program):
    """A child that is an interpreter of its own."""

    def __init__(self, setup: Mapping[str, Any], paths: Sequence[str], what: str) -> None:
        """Start a child that puts `paths` before its import path.

        Raises:
            HostError: it cannot be started.
        """
        answers, answered = os.pipe()
        self.answers = os.fdopen(answers, "rb")
        code = "from edge.device.child import main; main()"
        command = [*python_command(code, paths), json.dumps({**setup, "answer_fd": answered})]
        try:
            super().__init__(command, what, keep=[answered], stderr_apart=False)
        except HostError:
            self.answers.close()
            raise
        finally:
            os.close(answered)

    def send(self, _setup: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Tell it what to do; within which limits it was told when it was started."""
        self.give(json.dumps(request).encode())
