"""A board that is reached over ssh: bundles and runs on it.

The modules board_* are sent as text with each request and run there by python3; a request and its
answer are small JSON documents. Nothing is believed of an answer that a file would not be.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from edge.adapters.board_answers import MARK
from edge.adapters.ssh import ConnectionLost, Ssh
from edge.errors import ConfigError, EdgekitError, HostError
from edge.records.codec import from_dict

R = TypeVar("R")
LARGEST_RESULT_BYTES: Final = 256 << 20
_LONGEST_ANSWER_BYTES: Final = 1 << 20
# In the order in which they import each other.
_PARTS: Final = ("board_shared", "board_bundle", "board_run", "board_answers")
# A module that is there already is imported without its packages.
_START: Final = """\
import json, sys, types
for name, text in json.loads(texts):
    module = sys.modules["edge.adapters." + name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
module.main(json.loads(base64.b64decode(sys.argv[1]).decode()))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """How much of a bundle is on the board: all of it, or the first bytes of a part."""

    whole: bool
    part_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """How a run on the board stands.

    `why` says why there is no proper end ("busy", "slow", "failed: ..."), `holder` who keeps the
    board busy; `complaint` is the end of the bundle's stderr.
    """

    state: Literal["waiting", "running", "ended", "died", "gone"]
    holder: str | None = None
    why: str | None = None
    status: int | None = None
    size_bytes: int = 0
    sha256: str = ""
    complaint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    refused: str
    kind: Literal["python", "full", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What is to be run: the bundle's probe with `arguments`, as `who` asks for it.

    `lock_s` is how long it may wait for the board, `wall_s` how long it may run. Without `keep` it
    unpacks into the run's own folder, which goes with the run.
    """

    run: str
    digest: str
    arguments: tuple[str, ...]
    who: str
    lock_s: int
    wall_s: int
    keep: bool


class Board:
    """One board. Every method raises ConnectionLost, HostError and Cancelled as Ssh.run does."""

    def __init__(self, ssh: Ssh, python: str) -> None:
        """Nothing is connected yet; `python` is the version that the bundle was made for."""
        self._ssh, self._python = ssh, python
        self.host = ssh.host

    def find(self, digest: str) -> Copied:
        """Look for a bundle by its digest."""
        return self._ask(Copied, {"do": "find", "digest": digest})

    def append(
        self, digest: str, size_bytes: int, offset_bytes: int, send: Iterable[bytes]
    ) -> Copied:
        """Write the bundle's bytes from an offset on; once there are `size_bytes`, it is whole.

        What has the size and is damaged is removed.
        """
        request = {"do": "append", "digest": digest, "size": size_bytes, "offset": offset_bytes}
        return self._ask(Copied, request, send=send)

    def start(self, order: RunOrder) -> None:
        """Start the run, unless an earlier call whose answer was lost has done so."""
        request = {name: getattr(order, name) for name in order.__slots__}
        self._answer({"do": "start", **request, "arguments": list(order.arguments)}, hold=True)

    def wait(self, run: str, seconds: int) -> RunState:
        """Return once the run has ended, or how it stands after so many seconds."""
        request = {"do": "wait", "run": run, "seconds": seconds}
        return self._ask(RunState, request, hold=True)

    def fetch(self, run: str, offset_bytes: int) -> bytes:
        """Return what the run printed, from an offset on.

        Raises:
            ConnectionLost: `received` is what came before.
        """
        request = {"do": "fetch", "run": run, "offset": offset_bytes}
        try:
            printed = self._run(request, (), LARGEST_RESULT_BYTES + _LONGEST_ANSWER_BYTES)
        except ConnectionLost as lost:
            lost.received = lost.received.partition(MARK)[2]
            raise
        return printed

    def end(self, run: str, digest: str, *, keep: bool) -> None:
        """End the run if it still goes on, and remove what is left of it; the bundle may stay."""
        self._answer({"do": "end", "run": run, "digest": digest, "keep": keep})

    def _ask(
        self,
        record: type[R],
        request: dict[str, Any],
        *,
        send: Iterable[bytes] = (),
        hold: bool = False,
    ) -> R:
        try:
            return from_dict(record, self._answer(request, send, hold=hold))
        except ConfigError as error:
            raise self._nonsense() from error

    def _answer(
        self, request: dict[str, Any], send: Iterable[bytes] = (), *, hold: bool = False
    ) -> Any:
        printed = self._run(request, send, _LONGEST_ANSWER_BYTES, hold=hold)
        try:
            answer = json.loads(printed)
        except (ValueError, RecursionError) as error:
            raise self._nonsense() from error
        if isinstance(answer, dict) and "refused" in answer:
            try:
                raise self._refused(from_dict(_Refusal, answer))
            except ConfigError as error:
                raise self._nonsense() from error
        return answer

    def _run(
        self,
        request: dict[str, Any],
        send: Iterable[bytes],
        longest_bytes: int,
        *,
        hold: bool = False,
    ) -> bytes:
        document = json.dumps({**request, "python": self._python}).encode()
        words = [*_program(), base64.b64encode(document).decode()]
        printed = self._ssh.run(words, send=send, longest_bytes=longest_bytes, hold=hold)
        _, mark, answer = printed.partition(MARK)
        if not mark:
            raise self._nonsense()
        return answer

    def _nonsense(self) -> EdgekitError:
        hint = f'does this print hello: ssh {self.host} "python3 -c \'print(\\"hello\\")\'"'
        return HostError("its answer makes no sense", where=self.host, hint=hint)

    def _refused(self, refusal: _Refusal) -> EdgekitError:
        hints = {
            "python": f"install the one there that the bundle was made for: python{self._python}",
            "full": "free some disk space there, or set EDGEKIT_CACHE there to another folder",
        }
        return HostError(refusal.refused, where=self.host, hint=hints.get(refusal.kind))


@cache
def _program() -> Sequence[str]:
    """Return the command for the other end: no character in it means anything to any shell."""
    here = Path(__file__).parent
    parts = [[name, (here / f"{name}.py").read_text(encoding="utf-8")] for name in _PARTS]
    texts = base64.b64encode(zlib.compress(json.dumps(parts).encode(), 9)).decode()
    start = base64.b64encode(_START.encode()).decode()
    code = (
        f'import base64,zlib;texts=zlib.decompress(base64.b64decode("{texts}")).decode();'
        f'exec(base64.b64decode("{start}"))'
    )
    return ("python3", "-I", "-c", code)
