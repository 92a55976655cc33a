"""The system's OpenSSH client: the one place that starts it.

The user's configuration, agent, jump hosts and known hosts count. It never asks for anything, so
it never hangs on a question.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import IO, Final

from edge.errors import HostError, UsageError, printable

_HOST: Final = re.compile(
    r"(?:ssh://)?(?:[a-z0-9_][\w.+-]*@)?(?:[a-z0-9_][\w.-]*|\[[0-9a-f:.]+(?:%\w+)?\])",
    re.ASCII | re.IGNORECASE,
)
_END_OF_ADDRESS: Final = re.compile(r"(:\d{1,5})?/?\Z")
_SETTING: Final = re.compile(r"[A-Za-z]+=.+")
# A board that is gone is noticed after 45 s; one that is not there, after 15.
_SETTINGS: Final = (
    "BatchMode=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "RequestTTY=no",
    "EscapeChar=none",
)
# What ssh itself ends with; a command there could, too, but ours do not.
_OF_SSH: Final = 255
_BLOCK_BYTES: Final = 1 << 16
_FAREWELL_S: Final = 30
_UNREACHABLE: Final = (
    "Could not resolve hostname",
    "No route to host",
    "Network is unreachable",
    "Connection refused",
    "Connection timed out",
    "Operation timed out",
    "Host is down",
)


class ConnectionLost(HostError):
    """The host does not answer, or no longer; `received` is what came before that."""

    def __init__(self, what: str, *, where: str, hint: str | None, received: bytes = b"") -> None:
        """Keep what was received: a caller may go on from there."""
        super().__init__(what, where=where, hint=hint)
        self.received = received


class Cancelled(Exception):
    """The connection was cancelled from another thread."""


def require_host(host: str) -> None:
    """Refuse what is not HOST, USER@HOST or ssh://USER@HOST:PORT; options least of all.

    Raises:
        UsageError: it is none of these.
    """
    is_address = host.startswith("ssh://")
    if not _HOST.fullmatch(_END_OF_ADDRESS.sub("", host, count=1) if is_address else host):
        what = f"not a host: {printable(repr(host), 120)}"
        raise UsageError(what, hint="USER@HOST, ssh://USER@HOST:PORT, or a name of ~/.ssh/config")


class Ssh:
    """Runs commands on one host, each by a connection of its own."""

    def __init__(self, host: str, settings: Sequence[str] = ()) -> None:
        """Check the host and the `settings`, which are ssh's own: "Port=2222".

        Raises:
            UsageError: it is no host, or no setting.
            HostError: there is no ssh client.
        """
        require_host(host)
        for setting in settings:
            if not _SETTING.fullmatch(setting):
                raise UsageError(f"not a setting of ssh: {printable(repr(setting), 120)}")
        client = shutil.which("ssh")
        if client is None:
            hint = "install OpenSSH's client: apt-get install openssh-client"
            raise HostError("there is no ssh on this machine", where=host, hint=hint)
        self.host = host
        # The first setting of a name counts.
        options = [word for setting in (*settings, *_SETTINGS) for word in ("-o", setting)]
        self._client = [client, "-T", *options, "--", host]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_cancelled = False

    def run(
        self, words: Sequence[str], *, send: Iterable[bytes] = (), longest_bytes: int, hold: bool
    ) -> bytes:
        """Run a command there with `send` as its stdin, and return what it printed.

        With `hold` its stdin stays open until it has ended. More than `longest_bytes` is an error.

        Raises:
            ConnectionLost: the host does not answer, or no longer.
            HostError: ssh refuses, the command cannot be run there, or it printed too much.
            Cancelled: by another thread.
        """
        with tempfile.TemporaryFile() as complaint:
            process = self._started(words, complaint)
            try:
                self._give(process, send, hold=hold)
                printed = self._printed(process, longest_bytes)
                status = process.wait(_FAREWELL_S)
            except subprocess.TimeoutExpired:
                status = _OF_SSH
            finally:
                self._end(process)
            if self._is_cancelled:
                raise Cancelled
            complaint.seek(0)
            # A banner may be long; what went wrong is said last.
            words_of_ssh = complaint.read()[-16384:].decode("utf-8", "replace")
        if status != 0:
            raise _ssh_error(status, words_of_ssh, self.host, printed)
        return printed

    def cancel(self) -> None:
        """End the connection that there is, and allow no other; another thread may call it."""
        with self._lock:
            self._is_cancelled = True
            if self._process is not None:
                _kill(self._process)

    def _started(self, words: Sequence[str], complaint: IO[bytes]) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._is_cancelled:
                raise Cancelled
            try:
                process = subprocess.Popen(
                    [*self._client, " ".join(shlex.quote(word) for word in words)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=complaint,
                    start_new_session=True,
                    env={**os.environ, "LC_ALL": "C"},
                )
            except OSError as error:
                raise HostError(f"cannot start ssh: {error}", where=self.host) from error
            self._process = process
            return process

    def _give(
        self, process: "subprocess.Popen[bytes]", send: Iterable[bytes], *, hold: bool
    ) -> None:
        assert process.stdin is not None
        # Who reads no more says why in the end.
        with suppress(BrokenPipeError):
            for block in send:
                process.stdin.write(block)
            process.stdin.flush()
        if not hold:
            with suppress(BrokenPipeError):
                process.stdin.close()

    def _printed(self, process: "subprocess.Popen[bytes]", longest_bytes: int) -> bytes:
        assert process.stdout is not None
        blocks: list[bytes] = []
        size = 0
        while block := process.stdout.read1(_BLOCK_BYTES):  # type: ignore[attr-defined]
            blocks.append(block)
            size += len(block)
            if size > longest_bytes:
                what = f"it printed more than {longest_bytes} bytes"
                raise HostError(what, where=self.host)
        return b"".join(blocks)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        with self._lock:
            self._process = None
            _kill(process)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill ssh, and with its group a proxy command of its own, as long as ssh is not reaped."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _ssh_error(status: int, words: str, host: str, received: bytes) -> HostError:
    if status in (126, 127):
        what = "there is no python3 that can be started"
        return HostError(what, where=host, hint="install it there: apt-get install python3")
    name = host.removeprefix("ssh://")
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in words:
        hint = f"only if it was set up anew: forget the old key with ssh-keygen -R, then ssh {name}"
        return HostError("its host key is another one than before", where=host, hint=hint)
    if "Host key verification failed" in words or "key is known for" in words:
        hint = f"connect once by hand, and compare the key that it shows: ssh {host}"
        return HostError("its host key is not known here", where=host, hint=hint)
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    last = printable(lines[-1]) if lines else None
    if "Permission denied" in words:
        hint = f"ssh asks for nothing here: use a key or the agent, and try ssh {host}"
        return HostError(last or "permission denied", where=host, hint=hint)
    if any(word in words for word in _UNREACHABLE):
        hint = f"is it switched on, in this network, and its name right? try ssh {host}"
        return ConnectionLost(last or "no answer", where=host, hint=hint, received=received)
    if status == _OF_SSH or status < 0:
        if "Bad configuration option" in words or "unsupported option" in words:
            return HostError(f"ssh: {last}", where=host, hint="look at ~/.ssh/config")
        what = "the connection was lost" + ("" if last is None else f": {last}")
        hint = "look at the network and the board's power"
        return ConnectionLost(what, where=host, hint=hint, received=received)
    what = f"the command there ended with status {status}"
    return HostError(what, where=host, hint=None if last is None else f"its last words: {last}")
