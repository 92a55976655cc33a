"""Runs a bundle's commands under qemu's user mode: another processor, this machine's kernel.

`-L` makes the guest's opens find the root's files first. What that does not cover: a program that
it starts is looked for on this machine, and scheduling calls tell of this machine's cores.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import IO, Final

from edge.adapters import guest_start
from edge.adapters.programs import HostProgram
from edge.adapters.runner import Runner
from edge.errors import HostError
from edge.records.emulation import Ran

# A bundle's longest answer is its outputs as JSON; beyond that, the middle is left out.
_MOST_KEPT_BYTES: Final = 8 << 20
_BLOCK_BYTES: Final = 1 << 16
# How long the last words of a killed process may take to get through its pipes.
_LAST_WORDS_S: Final = 5.0


class UserMode(Runner):
    """A target's root and the emulator that starts programs in it."""

    def __init__(
        self,
        emulator: HostProgram,
        root: Path,
        *,
        python: str,
        cpu: str,
        plugin: Path | None = None,
    ) -> None:
        """Keep them; `python` is the root's ("3.11"), `cpu` qemu's word for the core."""
        self._emulator, self.root = emulator, root
        self._python, self._cpu, self._plugin = python, cpu, plugin

    def run(
        self, program: Path, *arguments: str, home: Path, wall_s: float, counted: Path | None = None
    ) -> Ran:
        """Run a program with the root's Python; it is killed after `wall_s`, with what it started.

        With `counted` and a plugin its instructions are counted into that file.

        Raises:
            HostError: the emulator cannot be started.
        """
        environment = {"HOME": str(home), "LC_ALL": "C.UTF-8"}
        plugin: list[str] = []
        if counted is not None and self._plugin is not None:
            plugin = ["-plugin", f"{_escaped(self._plugin)},out={_escaped(counted)}"]
            # The order of sets and dictionaries is part of the work, and must be the same each time.
            environment |= {"EDGEKIT_COUNTED": "1", "PYTHONHASHSEED": "0"}
        own = self._emulator.environment
        command = [
            *self._emulator.command,
            *(word for name in own for word in ("-U", name)),
            *("-cpu", self._cpu, "-L", str(self.root)),
            *plugin,
            str(self.root / "usr" / "bin" / f"python{self._python}"),
            *(str(program), *arguments),
        ]
        if not Path(command[0]).is_file():
            raise HostError("the emulator is gone", where=command[0], hint="run the command again")
        # Not beside it: what a fetched emulator needs would break the Python that starts it.
        given = json.dumps({**own, **environment})
        start = (sys.executable, "-I", "-S", guest_start.__file__, given)
        return run_alone([*start, *command], {}, wall_s=wall_s)


def run_alone(command: Sequence[str], environment: Mapping[str, str], *, wall_s: float) -> Ran:
    """Run a command with this environment alone, and kill it, and what it started, in the end.

    It has no standard input, and / is its working directory; it leaves no core file.

    Raises:
        HostError: it cannot be started.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=dict(environment),
            cwd="/",
        )
    except OSError as error:
        what = f"cannot be started: {(error.strerror or str(error)).lower()}"
        raise HostError(what, where=command[0]) from error
    assert process.stdout is not None
    assert process.stderr is not None
    kept = [_Kept(process.stdout), _Kept(process.stderr)]
    # It does not reap, so that the number stays this process's until it is killed.
    waiting = Thread(target=_wait, args=(process.pid,), daemon=True)
    try:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        for each in (*kept, waiting):
            each.start()
        waiting.join(wall_s)
        ended = not waiting.is_alive()
    finally:
        # qemu can spin and ignore SIGTERM.
        os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    for stream in kept:
        stream.join(_LAST_WORDS_S)
    return Ran(
        status=status if ended else None,
        stdout=kept[0].text(),
        stderr=kept[1].text(),
    )


class _Kept(Thread):
    """Reads a pipe to its end and keeps the beginning and the end of what came."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._first, self._last = bytearray(), bytearray()
        self._dropped = 0

    def run(self) -> None:
        half = _MOST_KEPT_BYTES // 2
        with self._stream as stream:
            while block := os.read(stream.fileno(), _BLOCK_BYTES):
                room = half - len(self._first)
                self._first += block[:room]
                self._last += block[max(room, 0) :]
                excess = len(self._last) - half
                if excess > 0:
                    self._dropped += excess
                    del self._last[:excess]

    def text(self) -> str:
        """Return what was kept; what is no UTF-8 is replaced."""
        cut = f"\n[{self._dropped} bytes left out]\n".encode() if self._dropped else b""
        return bytes(self._first + cut + self._last).decode("utf-8", "replace")


def _wait(pid: int) -> None:
    # It was killed, and whoever did so has waited for it.
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _escaped(path: Path) -> str:
    """Return a path as a value of qemu's options: a comma would end it."""
    return str(path).replace(",", ",,")
