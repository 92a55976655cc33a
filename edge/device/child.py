"""The limited child's side: set the limits, run the task, answer. Device slice: Python 3.8."""

import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import sys
from typing import Any, Callable, Dict, List, Sequence

from edge.device.illegal import watch
from edge.errors import EdgekitError

# numpy only makes inputs; a pool of threads with a buffer each is not for that.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
_PR_SET_PDEATHSIG = 1
_SIGNAL_EXIT = 128


class _Answers:
    """The pipe on which progress and the answer go to the parent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, message: Dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


_answers: List[_Answers] = []


def tell_progress(fraction: float) -> None:
    """Tell the parent how much of the task is done, from 0 to 1; never call it while timing."""
    for answers in _answers:
        answers.send({"progress": fraction})


def main() -> None:
    """Run the task that the parent named on the command line, on the request on stdin."""
    setup = json.loads(sys.argv[1])
    os.set_inheritable(setup["answer_fd"], False)  # noqa: FBT003 - it takes no keyword
    die_with(setup["parent"])
    request = json.loads(sys.stdin.buffer.read())
    _close_stdin()
    _serve(setup, request)


def serve(parent: int, requests: int, answers: int, modules: Sequence[str]) -> None:
    """Run the task that a parent sends to its fork, this process, and end it.

    Until it comes, `modules` are imported; one that fails will fail again in the task, which tells.
    """
    die_with(parent)
    os.environ.update(ENVIRONMENT)
    if modules:
        from edge.device.lazily import import_lazily
    # What is imported stays; looking for garbage in it takes a twentieth of the time.
    gc.disable()
    for module in modules:
        try:
            import_lazily(module)
        except ImportError:
            break
    gc.freeze()
    gc.enable()
    with os.fdopen(requests, "rb") as pipe:
        sent = pipe.read()
    if not sent:
        os._exit(0)
    setup, request = json.loads(sent)
    _serve({**setup, "answer_fd": answers}, request)


def _serve(setup: Dict[str, Any], request: Any) -> None:
    answers = _Answers(setup["answer_fd"])
    _limit(setup)
    watch()
    _answers[:] = [answers]
    module, _, function = setup["task"].partition(":")
    try:
        task: Callable[[Any], Any] = getattr(importlib.import_module(module), function)
        answers.send({"answer": task(request)})
    except EdgekitError as error:
        answers.send({"error": _told(error)})
    except MemoryError:
        allowed = (setup["memory_bytes"] or 0) >> 20
        what = "it needs more than the {} MiB of memory that it was allowed".format(allowed)
        answers.send({"error": {"family": "RuntimeFailure", "what": what}})
    sys.stdout.flush()
    # A runtime's own threads and destructors have nothing left to say.
    os._exit(0)


def become() -> None:
    """Become the program named on the command line, which then dies with the parent, too.

    The arguments are the parent's process number and the command; the wish to die with the
    parent outlasts execve(2). It is a wish to terminate: a program tidies up what it unpacked.
    """
    die_with(int(sys.argv[1]), int(signal.SIGTERM))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - the parent chose the command


def _told(error: EdgekitError) -> Dict[str, Any]:
    family = type(error).__name__
    return {"family": family, "what": error.what, "where": error.where, "hint": error.hint}


def die_with(parent: int, number: int = int(signal.SIGKILL)) -> None:
    """Ask the kernel to signal this process when its parent dies (prctl(2), PR_SET_PDEATHSIG)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(_SIGNAL_EXIT + int(signal.SIGKILL))


def _close_stdin() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _limit(setup: Dict[str, Any]) -> None:
    wanted = {resource.RLIMIT_FSIZE: setup["file_bytes"], resource.RLIMIT_CORE: 0}
    if setup["memory_bytes"] is not None:
        # A model can claim sizes that no limit can be set to.
        wanted[resource.RLIMIT_AS] = min(setup["memory_bytes"], sys.maxsize)
    for kind, value in wanted.items():
        _set_limit(kind, value, value)
    # At the hard limit the kernel sends SIGKILL, which says nothing; SIGXCPU comes first.
    _set_limit(resource.RLIMIT_CPU, setup["cpu_s"], setup["cpu_s"] + 5)


def _set_limit(kind: int, soft: int, hard: int) -> None:
    most = resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))
