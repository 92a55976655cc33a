"""Starts the limited child in which every model is parsed and every runtime loaded.

The parent's side. The child has its own session, no stdin, limits on address space, CPU time,
file size and core dumps, dies with its parent, and answers with JSON lines on a pipe of its own;
exit status 0 without an answer is a failure. It is a new interpreter, or, in a bundle, a fork, or
a fork of a zygote.
Part of the device slice: Python 3.8.
"""

import os
import select
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional, Sequence, Tuple, Union

from edge.device.executed import FAREWELL_S, Executed, Program, not_started, python_command
from edge.device.exits import child_error, program_error, told_error
from edge.device.forked import Forked, forked_child
from edge.device.killed import oom_kills
from edge.device.streams import Answers, Output
from edge.errors import RuntimeFailure

if TYPE_CHECKING:
    from edge.device.zygote import Grandchild, Zygote

Progress = Callable[[float], None]

_LONGEST_PRINT_BYTES = 256 << 20
_LAST_WORDS_BYTES = 16 << 10
_LEAST_MEMORY_BYTES = 1536 << 20
# A thread's stack and its part of the C library's heap are reserved, though hardly any is used.
_THREAD_BYTES = (8 + 128) << 20


@dataclass(frozen=True)
class Limits:
    """What a child may use; `memory_bytes` limits its address space, None does not limit it."""

    wall_s: float = 600.0
    cpu_s: int = 1200
    memory_bytes: Optional[int] = _LEAST_MEMORY_BYTES
    file_bytes: int = 4 << 30


# How often and how long to look whether a thread that has ended is gone, in all a second.
_MOST_LOOKS, _LOOK_S = 500, 0.002

_Child = Union[Executed, Forked, "Grandchild"]

# Those that run, by edge.device.zygote.preimported.
PREIMPORTED: "List[Zygote]" = []

# The threads that this process had when it was told to fork; an emulator has some of its own.
_forking: List[int] = []
_left: List[Tuple[Forked, Output]] = []


def fork_children() -> None:
    """Let every child from now on be a fork of this process, while it is fit for that.

    It is as long as it has no threads and has not imported numpy, which starts some.
    """
    _forking[:] = [_threads()]


def _may_fork() -> bool:
    while _left:
        # Killed already, and gone soon; then there are no threads again.
        child, output = _left.pop()
        child.wait()
        output.bytes()
    if not _forking or threading.active_count() > 1 or "numpy" in sys.modules:
        return False
    # A thread that was joined may still be on its way out of the kernel; qemu's user mode dies of
    # a fork in that moment, and Python 3.12 warns.
    for _ in range(_MOST_LOOKS):
        if _threads() <= _forking[0]:
            break
        select.select((), (), (), _LOOK_S)
    return True


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


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
    leave: bool = False,
    started: Optional[Callable[[int], None]] = None,
) -> Any:
    """Run `task` ("module:function" of this package) on `request` in a limited child.

    `request` and the answer are JSON. `what` names the work in error messages. `paths` go before
    the child's own import path (a bundle's unpacked wheels). With `leave`, a fork that gave its
    answer is killed but not waited for: its memory goes while the answer is put to use, and its
    processor time counts as ours only later. `started` is called with the child's process number
    before it has its task; from then on this process may have threads.

    Raises:
        EdgekitError: what the task raised, as the family it raised.
        RuntimeFailure: the child died, hung, or gave no answer; the reason is decoded.
        HostError: no process could be started.
    """
    setup = {"task": task, "parent": os.getpid(), **asdict(limits)}
    killed_before = oom_kills()
    child = _child(setup, request, paths, what)
    answers, status, last_words = _talk(child, setup, request, progress, started, leave=leave)
    if status is None:
        raise _too_slow(limits.wall_s, what)
    return _conclude(answers, status, last_words, what, killed_before)


def _talk(
    child: _Child,
    setup: Mapping[str, Any],
    request: Mapping[str, Any],
    progress: Optional[Progress],
    started: Optional[Callable[[int], None]],
    *,
    leave: bool,
) -> Tuple[Answers, Optional[int], Output]:
    """Give the child its task, hear it out and end it; without a status it was too slow."""
    answers = None
    is_left = False
    try:
        # No thread of ours runs before the child does: a fork would copy its locks.
        last_words = Output(child.output, _LAST_WORDS_BYTES)
        if started is not None:
            started(child.pid)
        answers = Answers(child.answers, child.kill, progress)
        child.send(setup, request)
        # The pipe closes when the child ends: waiting for that wakes nobody up meanwhile.
        answers.thread.join(setup["wall_s"])
        is_left = leave and answers.answer is not None and isinstance(child, Forked)
        status = 0 if is_left else None
        if not is_left and not answers.thread.is_alive():
            status = child.wait(FAREWELL_S)
        return answers, status, last_words
    finally:
        _kill_group(child)
        if not is_left:
            child.wait()
        if answers is not None:
            answers.thread.join(FAREWELL_S)
            if isinstance(child, Forked):
                _left.append((child, last_words))
        child.answers.close()


def run_program(arguments: Sequence[str], *, wall_s: float, what: str) -> bytes:
    """Run a Python program of ours (a bundle) to its end and return what it printed.

    `arguments` are the program's file and its own arguments. When we are interrupted or die, it
    is terminated.

    Raises:
        EdgekitError: of the family that its exit code stands for, with its own words.
        RuntimeFailure: it died, hung, or printed too much.
        HostError: no process could be started.
    """
    command = python_command("from edge.device.child import become; become()", ())
    command += [str(os.getpid()), sys.executable, *arguments]
    program = Program(command, what, stderr_apart=True)
    printed = Output(program.output, _LONGEST_PRINT_BYTES)
    complaints = Output(program.complaints, _LAST_WORDS_BYTES)
    try:
        program.give(b"")
        printed.thread.join(wall_s)
        status = None if printed.thread.is_alive() else program.wait(FAREWELL_S)
        if status is None:
            raise _too_slow(wall_s, what)
    finally:
        # A program that still runs may tidy up what it unpacked.
        program.terminate()
        _kill_group(program)
        program.wait()
    if status != 0:
        raise program_error(status, complaints.bytes(), what)
    if printed.is_cut:
        raise RuntimeFailure("it printed too much", where=what)
    return printed.bytes()


def own_cpu_s() -> float:
    """Return the processor time in seconds of this process and of all children that have ended."""
    return sum(os.times()[:4]) + sum(zygote.cpu_s for zygote in PREIMPORTED)


def _child(
    setup: Mapping[str, Any], request: Mapping[str, Any], paths: Sequence[str], what: str
) -> _Child:
    for zygote in PREIMPORTED:
        if zygote.serves(paths, request):
            try:
                return zygote.fork()
            except OSError:
                break  # An interpreter of its own does as well, and says what is wrong.
    if not _may_fork():
        return Executed(setup, paths, what)
    try:
        return forked_child(paths)
    except OSError as error:
        raise not_started(error, what) from error


def _kill_group(child: "Union[Program, Forked, Grandchild]") -> None:
    """Kill the child and whatever it started; it leads a process group of its own."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # A fork that has not come so far as to lead one.
        child.kill()


def _too_slow(wall_s: float, what: str) -> RuntimeFailure:
    return RuntimeFailure(
        "no answer within {:g} s".format(wall_s),
        where=what,
        hint="a hanging model or a slow machine; give it more time or a smaller model",
    )


def _conclude(
    answers: Answers, status: int, last_words: Output, what: str, killed_before: Optional[int]
) -> Any:
    if answers.fault is not None:
        raise RuntimeFailure("the child failed: {}".format(answers.fault), where=what)
    if answers.answer is not None and "error" in answers.answer:
        raise told_error(answers.answer["error"], what)
    if status == 0 and answers.answer is not None:
        return answers.answer.get("answer")
    raise child_error(status, last_words.bytes(), what, killed_before)
