"""Starts the limited child in which every model is parsed and every runtime loaded.

The parent's side. The child has its own session, no stdin, limits on address space, CPU time,
file size and core dumps, dies with its parent, and answers with JSON lines on a pipe of its own;
exit status 0 without an answer is a failure. Part of the device slice: Python 3.8.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from typing import IO, Any, Callable, Dict, List, Mapping, Optional, Sequence

from edge.errors import EdgekitError, HostError, RuntimeFailure, printable

Progress = Callable[[float], None]

_LONGEST_ANSWER_BYTES = 256 << 20
_STDERR_BYTES = 1 << 20
# What the commonest ends of a native runtime mean; signal(7), and field reports.
_SIGNALS = {
    "SIGILL": "an instruction that this CPU lacks: the runtime was built for a newer one",
    "SIGSEGV": "the runtime read or wrote memory that is not its own: a damaged model or a bug",
    "SIGABRT": "the runtime gave up: an assertion, or memory that could not be had",
    "SIGBUS": "a mapped file became shorter, or memory could not be had",
    "SIGFPE": "an arithmetic error in the runtime, such as a division by zero",
    "SIGKILL": "killed from outside: most often the system ran out of memory",
    "SIGXCPU": "it used more CPU time than the limit",
    "SIGXFSZ": "it wrote a larger file than the limit",
}


@dataclass(frozen=True)
class Limits:
    """What a child may use; `memory_bytes` limits its address space, None does not limit it."""

    wall_s: float = 600.0
    cpu_s: int = 1200
    memory_bytes: Optional[int] = 1536 << 20
    file_bytes: int = 4 << 30


def memory_limit(model_bytes: int) -> int:
    """Return the address space to allow for a model: 3 times its size, and at least 1.5 GB."""
    return max(1536 << 20, (300 << 20) + 3 * model_bytes)


def run_child(
    task: str,
    request: Mapping[str, Any],
    *,
    limits: Limits,
    what: str,
    progress: Optional[Progress] = None,
    paths: Sequence[str] = (),
) -> Any:
    """Run `task` ("module:function" of this package) on `request` in a limited child.

    `request` and the answer are JSON. `what` names the work in error messages. `paths` go before
    the child's own import path (a bundle's unpacked wheels).

    Raises:
        EdgekitError: what the task raised, as the family it raised.
        RuntimeFailure: the child died, hung, or gave no answer; the reason is decoded.
        HostError: no process could be started.
    """
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as stderr, os.fdopen(read_end, "rb") as answers:
        try:
            process = _start(task, limits, write_end, stderr, paths)
        except OSError as error:
            raise HostError("cannot start a process: {}".format(error), where=what) from error
        finally:
            os.close(write_end)
        reader = _Reader(answers, process, progress)
        try:
            _send(process, request)
            status = process.wait(timeout=limits.wall_s)
        except subprocess.TimeoutExpired:
            raise RuntimeFailure(
                "no answer within {:g} s".format(limits.wall_s),
                where=what,
                hint="a hanging model or a slow machine; give it more time or a smaller model",
            ) from None
        finally:
            _end(process)
            reader.thread.join()
        return _conclude(reader, status, stderr, what)


def _start(
    task: str, limits: Limits, write_end: int, stderr: "IO[bytes]", paths: Sequence[str]
) -> "subprocess.Popen[bytes]":
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    search = [here, *paths]
    code = "import sys; sys.path[:0] = {!r}; from edge.device.child import main; main()".format(
        search
    )
    setup = {"task": task, "answer_fd": write_end, "parent": os.getpid(), **asdict(limits)}

    return subprocess.Popen(
        [sys.executable, "-I", "-c", code, json.dumps(setup)],
        stdin=subprocess.PIPE,
        stdout=stderr,
        stderr=stderr,
        pass_fds=(write_end,),
        start_new_session=True,
    )


def _send(process: "subprocess.Popen[bytes]", request: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    try:
        with process.stdin as stdin:
            stdin.write(json.dumps(request).encode())
    except BrokenPipeError:
        pass  # The child is gone already; its status tells why.


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the child and whatever it started; it leads a process group of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()


class _Reader:
    """Reads the answer pipe in a thread, so that a chatty child cannot block or flood us."""

    def __init__(
        self,
        answers: "IO[bytes]",
        process: "subprocess.Popen[bytes]",
        progress: Optional[Progress],
    ) -> None:
        self.answer: Optional[Dict[str, Any]] = None
        self.fault: Optional[str] = None
        self._answers, self._process, self._progress = answers, process, progress
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        left = _LONGEST_ANSWER_BYTES
        while left > 0:
            line = self._answers.readline(left)
            if not line:
                return
            left -= len(line)
            if not self._take(line):
                break
        else:
            self.fault = "its answer is longer than {} bytes".format(_LONGEST_ANSWER_BYTES)
        _kill(self._process)

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


def _kill(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.kill()
    except ProcessLookupError:
        pass


def _conclude(reader: _Reader, status: int, stderr: "IO[bytes]", what: str) -> Any:
    if reader.fault is not None:
        raise RuntimeFailure("the child failed: {}".format(reader.fault), where=what)
    if status == 0 and reader.answer is not None and "error" not in reader.answer:
        return reader.answer.get("answer")
    if reader.answer is not None and "error" in reader.answer:
        raise _as_error(reader.answer["error"], what)
    if status < 0:
        raise RuntimeFailure(_died_of(-status), where=what, hint=_last_line(stderr))
    raise RuntimeFailure(
        "the child ended with status {} and no answer".format(status),
        where=what,
        hint=_last_line(stderr),
    )


def _died_of(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "signal {}".format(number)
    meaning = _SIGNALS.get(name)
    return "the child died of {}{}".format(name, ": " + meaning if meaning else "")


def _last_line(stderr: "IO[bytes]") -> Optional[str]:
    stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, stderr.tell() - 4096))
    lines = stderr.read().decode("utf-8", "replace").strip().splitlines()
    return "its last words: {}".format(printable(lines[-1])) if lines else None


def _as_error(told: Mapping[str, Any], what: str) -> EdgekitError:
    """Rebuild the error that the task raised; a family is told by its class name."""
    families: List[Any] = [EdgekitError]
    for family in families:
        families.extend(family.__subclasses__())
        if family.__name__ == told.get("family"):
            error: EdgekitError = family(
                str(told.get("what")), where=told.get("where") or what, hint=told.get("hint")
            )
            return error
    return RuntimeFailure(str(told.get("what")), where=what, hint=told.get("hint"))
