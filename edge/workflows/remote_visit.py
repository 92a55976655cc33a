"""One host's part of a measurement over ssh, from the copying to the last folder removed."""

import getpass
import hashlib
import json
import math
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from edge.adapters.board import LARGEST_RESULT_BYTES, Board, Copied, RunOrder, RunState
from edge.adapters.files import host_error
from edge.adapters.ssh import Cancelled, ConnectionLost, Ssh
from edge.device.exits import program_error
from edge.errors import EdgekitError, HostError, RuntimeFailure
from edge.records.codec import from_dict
from edge.records.measurement import Measurement

R = TypeVar("R")
Told = Callable[[str, float, str], None]

# A board that restarts is back in two minutes; so many tries in a row take eight at least.
_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, *[30.0] * 15)
_LOCK_S: Final = 600
# First one wants to know who else is there; then the answer comes with the end.
_FIRST_WAIT_S, _WAITING_S, _RUNNING_S = 1, 15, 3600
_BLOCK_BYTES: Final = 1 << 16
_COPIES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is the same for every host."""

    bundle: Path
    digest: str
    python: str
    size_bytes: int
    arguments: tuple[str, ...]
    wall_s: float
    keep: bool


class Visit:
    """One host's part of the work, in a thread of its own."""

    def __init__(
        self, host: str, task: Task, told: Told, stop: threading.Event, options: Sequence[str]
    ) -> None:
        """Check the host; nothing is connected yet."""
        self.ssh = Ssh(host, options)
        self._host, self._task, self._told, self._stop = host, task, told, stop
        self._options = options
        self._board = Board(self.ssh, task.python)
        self._offset = 0
        self._run = secrets.token_hex(8)
        self._wait_s = _FIRST_WAIT_S
        # The host has answered once; and since the last loss of the connection something was done.
        self._is_met = self._is_going = False

    def measured(self) -> Measurement:
        """Copy, run, and bring back."""
        self._copy()
        try:
            return self._ran()
        finally:
            with suppress(EdgekitError):
                self._end()

    def _ran(self) -> Measurement:
        order = RunOrder(
            run=self._run,
            digest=self._task.digest,
            arguments=self._task.arguments,
            who=f"{_user()}@{socket.gethostname()}",
            lock_s=_LOCK_S,
            wall_s=max(1, math.ceil(self._task.wall_s)),
            keep=self._task.keep,
        )
        self._tried(lambda: self._board.start(order))
        state = self._ended()
        printed = self._fetched(state)
        try:
            answer = json.loads(printed, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise RuntimeFailure("its probe printed no JSON", where=self._host) from error
        return from_dict(Measurement, answer, self._host)

    def _copy(self) -> None:
        if any(self._tried(self._copied).whole for _ in range(_COPIES)):
            return
        hint = "try again; if it stays so, look at the board's disk"
        raise HostError("the bundle arrives damaged", where=self._host, hint=hint)

    def _copied(self) -> Copied:
        task = self._task
        # Asked each time: a lost connection has left more there than it could tell.
        found = self._board.find(task.digest)
        self._is_met = True
        if found.whole:
            return found
        offset = min(found.part_bytes, task.size_bytes)
        self._is_going, self._offset = offset > self._offset, offset
        return self._board.append(task.digest, task.size_bytes, offset, self._rest(offset))

    def _rest(self, offset: int) -> Iterator[bytes]:
        total = self._task.size_bytes
        try:
            with self._task.bundle.open("rb") as file:
                file.seek(offset)
                while block := file.read(min(_BLOCK_BYTES, total - file.tell())):
                    self._told(self._host, (file.tell() - len(block)) / total, "copying")
                    yield block
        except OSError as error:
            raise host_error(error, self._task.bundle) from error
        self._told(self._host, 1.0, "copying")

    def _ended(self) -> RunState:
        """Wait for the run's end.

        Raises:
            EdgekitError: it has no good one.
        """
        self._told(self._host, 0.0, "starting")
        while True:
            state = self._tried(self._wait)
            if state.state == "running":
                self._told(self._host, 0.0, "measuring")
                self._wait_s = _RUNNING_S
            elif state.state == "waiting":
                self._told(self._host, 0.0, f"waiting for {state.holder or 'another probe'}")
                self._wait_s = _WAITING_S
            else:
                break
        error = self._failure(state)
        if error is not None:
            raise error
        return state

    def _wait(self) -> RunState:
        # If the connection is lost now, the next one is first asked for a sign of life.
        seconds, self._wait_s = self._wait_s, _FIRST_WAIT_S
        return self._board.wait(self._run, seconds)

    def _failure(self, state: RunState) -> EdgekitError | None:
        if state.state == "ended" and state.why is None and state.status == 0:
            return None
        if state.state != "ended":
            what = "the run ended and left nothing: was the board restarted, or out of memory?"
            return RuntimeFailure(what, where=self._host)
        if state.why == "busy":
            what = f"another probe keeps the board busy: {state.holder or 'it does not say whose'}"
            hint = "wait for it, or end it there by its process group: kill -- -GROUP"
            return HostError(what, where=self._host, hint=hint)
        if state.why == "slow":
            what = f"no result within {self._task.wall_s:g} s"
            hint = "a hanging model or a slow machine; give it more time or a smaller model"
            return RuntimeFailure(what, where=self._host, hint=hint)
        if state.why is not None or state.status is None:
            return HostError(state.why or "the run did not begin", where=self._host)
        # Where the bundle stands there is nobody's business but ours.
        path = rf"\S*/{self._task.digest}/bundle\.pyz"
        complaint = re.sub(path, lambda _: self._task.bundle.name, state.complaint)
        error = program_error(state.status, complaint.encode(), self._host)
        error.where = self._host
        return error

    def _fetched(self, state: RunState) -> bytes:
        if state.size_bytes > LARGEST_RESULT_BYTES:
            what = f"its result is larger than {LARGEST_RESULT_BYTES} bytes"
            raise RuntimeFailure(what, where=self._host)
        came = bytearray()

        def fetch() -> None:
            try:
                came.extend(self._board.fetch(self._run, len(came)))
            except ConnectionLost as lost:
                came.extend(lost.received)
                self._is_going = bool(lost.received)
                raise

        self._told(self._host, 0.0, "fetching")
        self._tried(fetch)
        self._told(self._host, 1.0, "fetching")
        if len(came) != state.size_bytes or hashlib.sha256(came).hexdigest() != state.sha256:
            raise HostError("its result arrived damaged", where=self._host, hint="try again")
        return bytes(came)

    def _tried(self, ask: Callable[[], R]) -> R:
        """Ask until there is an answer; a host that never answered is not waited for."""
        tries = 0
        while True:
            try:
                answer = ask()
            except ConnectionLost:
                tries = 0 if self._is_going else tries + 1
                self._is_going = False
                if not self._is_met or tries >= len(_PAUSES_S):
                    raise
                self._told(self._host, 0.0, "connecting again")
                if self._stop.wait(_PAUSES_S[tries]):
                    raise Cancelled from None
            else:
                self._is_met = True
                return answer

    def _end(self) -> None:
        """Leave nothing of the run there, by a connection that the interruption does not end."""
        digest, keep = self._task.digest, self._task.keep
        with suppress(Cancelled, ConnectionLost):
            self._board.end(self._run, digest, keep=keep)
            return
        Board(Ssh(self._host, self._options), self._task.python).end(self._run, digest, keep=keep)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
