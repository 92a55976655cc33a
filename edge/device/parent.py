"""Starts the limited child in which every model is parsed and every runtime loaded.

The parent's side. The child has its own session, no stdin, limits on address space, CPU time,
file size and core dumps, dies with its parent, and answers with JSON lines on a pipe of its own;
exit status 0 without an answer is a failure. Part of the device slice: Python 3.8.
"""

import json
import os
import signal
import site
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import IO, Any, Callable, Dict, Mapping, Optional, Sequence

from edge.device.exits import child_error, program_error, told_error
from edge.errors import HostError, RuntimeFailure

Progress = Callable[[float], None]

_LONGEST_ANSWER_BYTES = 256 << 20
_LAST_WORDS_BYTES = 16 << 10
_LEAST_MEMORY_BYTES = 1536 << 20
# A thread's stack and its part of the C library's heap are reserved, though hardly any is used.
_THREAD_BYTES = (8 + 128) << 20
# An answer is the last thing that a child gives; it ends at once.
_FAREWELL_S = 30.0


@dataclass(frozen=True)
class Limits:
    """What a child may use; `memory_bytes` limits its address space, None does not limit it."""

    wall_s: float = 600.0
    cpu_s: int = 1200
    memory_bytes: Optional[int] = _LEAST_MEMORY_BYTES
    file_bytes: int = 4 << 30


def memory_limit(model_bytes: int, threads: int = 1) -> int:
    """Return the address space to allow for a model: 3 times its size, and at least 1.5 GB."""
    room = max(_LEAST_MEMORY_BYTES, (300 << 20) + 3 * model_bytes)
    return room + (threads - 1) * _THREAD_BYTES


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
    with os.fdopen(read_end, "rb") as answers:
        setup = {"task": task, "answer_fd": write_end, "parent": os.getpid(), **asdict(limits)}
        code = "from edge.device.child import main; main()"
        command = [*_python(code, paths), json.dumps(setup)]
        try:
            process = _start(command, what, pass_fds=(write_end,))
        finally:
            os.close(write_end)
        reader = None
        try:
            last_words = _Output(process.stdout, _LAST_WORDS_BYTES)
            reader = _Reader(answers, process, progress)
            _send(process, request)
            # The pipe closes when the child ends: waiting for that wakes nobody up meanwhile.
            reader.thread.join(limits.wall_s)
            if reader.thread.is_alive():
                raise _too_slow(limits.wall_s, what)
            status = process.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            raise _too_slow(limits.wall_s, what) from None
        finally:
            _end(process)
            if reader is not None:
                reader.thread.join(_FAREWELL_S)
        return _conclude(reader, status, last_words.bytes(), what)


def run_program(arguments: Sequence[str], *, wall_s: float, what: str) -> bytes:
    """Run a Python program of ours (a bundle) to its end and return what it printed.

    `arguments` are the program's file and its own arguments. When we are interrupted or die, it
    is terminated.

    Raises:
        EdgekitError: of the family that its exit code stands for, with its own words.
        RuntimeFailure: it died, hung, or printed too much.
        HostError: no process could be started.
    """
    command = _python("from edge.device.child import become; become()", ())
    command += [str(os.getpid()), sys.executable, *arguments]
    process = _start(command, what, stderr=subprocess.PIPE)
    printed = _Output(process.stdout, _LONGEST_ANSWER_BYTES)
    complaints = _Output(process.stderr, _LAST_WORDS_BYTES)
    try:
        if process.stdin is not None:
            process.stdin.close()
        printed.thread.join(wall_s)
        if printed.thread.is_alive():
            raise _too_slow(wall_s, what)
        status = process.wait(_FAREWELL_S)
    except subprocess.TimeoutExpired:
        raise _too_slow(wall_s, what) from None
    finally:
        _ask_to_end(process)
        _end(process)
    if status != 0:
        raise program_error(status, complaints.bytes(), what)
    if printed.is_cut:
        raise RuntimeFailure("it printed too much", where=what)
    return printed.bytes()


def _python(code: str, paths: Sequence[str]) -> "list[str]":
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    # -I leaves out the user's own packages, but numpy and the runtime may well be there.
    users = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    search = "import sys; sys.path[:0] = {!r}; sys.path += {!r}; ".format([here, *paths], users)
    return [sys.executable, "-I", "-c", search + code]


def _start(
    command: Sequence[str],
    what: str,
    *,
    pass_fds: Sequence[int] = (),
    stderr: int = subprocess.STDOUT,
) -> "subprocess.Popen[bytes]":
    # numpy only makes inputs; a pool of threads with a buffer each is not for that.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
            env=environment,
        )
    except OSError as error:
        raise HostError("cannot start a process: {}".format(error), where=what) from error


def _send(process: "subprocess.Popen[bytes]", request: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    try:
        with process.stdin as stdin:
            stdin.write(json.dumps(request).encode())
    except BrokenPipeError:
        pass  # The child is gone already; its status tells why.


def _ask_to_end(process: "subprocess.Popen[bytes]") -> None:
    """Let a program that still runs tidy up what it unpacked."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            pass


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the child and whatever it started; it leads a process group of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()


def _too_slow(wall_s: float, what: str) -> RuntimeFailure:
    return RuntimeFailure(
        "no answer within {:g} s".format(wall_s),
        where=what,
        hint="a hanging model or a slow machine; give it more time or a smaller model",
    )


class _Output:
    """Reads a pipe to its end in a thread and keeps the last bytes of it."""

    def __init__(self, pipe: "Optional[IO[bytes]]", longest: int) -> None:
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
        try:
            self._read_lines()
        except (OSError, ValueError):
            # An interrupt that came while the child was being started closed the pipe.
            self.fault = "its answer was not read to the end"

    def _read_lines(self) -> None:
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
        self._process.kill()

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


def _conclude(reader: _Reader, status: int, last_words: bytes, what: str) -> Any:
    if reader.fault is not None:
        raise RuntimeFailure("the child failed: {}".format(reader.fault), where=what)
    if reader.answer is not None and "error" in reader.answer:
        raise told_error(reader.answer["error"], what)
    if status == 0 and reader.answer is not None:
        return reader.answer.get("answer")
    raise child_error(status, last_words, what)
