"""A limited child that is a copy of its parent instead of a new interpreter. Device slice.

Starting an interpreter and importing our own modules again takes longer than everything else
that a bundle does before its runtime is imported. It is for a parent without threads that has not
imported numpy: a thread that holds a lock in that moment would leave it locked in the copy.

A child can be forked before it is known what it has to do, and import numpy meanwhile. So this
file imports as little as it can.
"""

import os
import signal
import sys
from typing import IO, TYPE_CHECKING, Any, List, Mapping, NamedTuple, Optional, Sequence, Set, Union

if TYPE_CHECKING:
    import threading

# Whoever is interrupted between the fork and its own setting up would unwind the parent's code.
HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# Where /proc is not to be had.
_FEW_DESCRIPTORS = 256

_ahead: "List[Forked]" = []


class Forked:
    """A running child: the pipe with what it prints, the one with its answers, and its end."""

    def __init__(self, paths: Sequence[str], modules: Sequence[str] = ()) -> None:
        """Fork a child that puts `paths` before its import path, imports `modules`, and waits.

        Raises:
            OSError: there are too many processes or descriptors.
        """
        self.paths = list(paths)
        self._status: Optional[int] = None
        self._watch: Optional[threading.Thread] = None
        parent = os.getpid()
        # Both would write it.
        sys.stdout.flush()
        sys.stderr.flush()
        pipes = Pipes()
        held = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                live(pipes.ends(), parent, held, self.paths, modules)
        except BaseException:
            pipes.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        self.output, self.answers, self._requests = pipes.keep_the_parents()

    def send(self, setup: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Tell it what to do, and within which limits."""
        import json

        try:
            with self._requests as requests:
                requests.write(json.dumps([setup, request]).encode())
        except BrokenPipeError:
            pass  # The child is gone already; its status tells why.

    def kill(self) -> None:
        """Kill it, unless it is gone."""
        if self._status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def wait(self, timeout_s: Optional[float] = None) -> Optional[int]:
        """Return its exit status, or minus the signal that it died of; None while it runs."""
        import threading

        if self._watch is None:
            self._watch = threading.Thread(target=self._reap, daemon=True)
            self._watch.start()
        self._watch.join(timeout_s)
        return self._status

    def _reap(self) -> None:
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            # Somebody ignores SIGCHLD, and the kernel kept no status.
            self._status = 0
            return
        self._status = exit_status(status)


class Ends(NamedTuple):
    """The child's ends of the three pipes between it and its parent."""

    printed: int
    answered: int
    request: int


def exit_status(status: int) -> int:
    """Return the exit status in what wait(2) gives, or minus the signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def fork_ahead(paths: Sequence[str], modules: Sequence[str]) -> None:
    """Fork the child that `forked_child` is going to give, and let it import `modules` meanwhile.

    It dies with this process if nobody asks for it. Where it cannot be forked, nothing happens.
    """
    try:
        _ahead.append(Forked(paths, modules))
    except OSError:
        pass  # Whoever wants a child will be told.


def forked_child(paths: Sequence[str]) -> Forked:
    """Return a child that waits for its task: the one that was forked ahead, if it fits.

    Raises:
        OSError: there are too many processes or descriptors.
    """
    while _ahead:
        child = _ahead.pop()
        if child.paths == list(paths):
            return child
        child.kill()
        child.wait()
    return Forked(paths)


class Pipes:
    """The three pipes between parent and child."""

    def __init__(self) -> None:
        """Open them.

        Raises:
            OSError: there are too many descriptors.
        """
        self._open: List[int] = []
        try:
            for _ in range(3):
                self._open.extend(os.pipe())
        except OSError:
            self.close()
            raise
        self.output, self.printed, self.answers, self.answered, self.request, self.requests = (
            self._open
        )

    def ends(self) -> Ends:
        """Return the child's."""
        return Ends(self.printed, self.answered, self.request)

    def close(self) -> None:
        """Close all ends."""
        for descriptor in self._open:
            os.close(descriptor)

    def keep_the_parents(self) -> "tuple[IO[bytes], IO[bytes], IO[bytes]]":
        """Close the child's ends, and return output, answers and requests."""
        for descriptor in (self.printed, self.answered, self.request):
            os.close(descriptor)
        return (
            os.fdopen(self.output, "rb"),
            os.fdopen(self.answers, "rb"),
            os.fdopen(self.requests, "wb"),
        )


def live(
    pipes: Ends,
    parent: int,
    held: "Set[Union[int, signal.Signals]]",
    paths: Sequence[str],
    modules: Sequence[str],
) -> None:
    """Work and end: nothing of the parent's code may go on in the copy."""
    status = 1
    try:
        try:
            _work(pipes, parent, held, paths, modules)
        except SystemExit as leave:
            status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        except BaseException:  # noqa: BLE001 - an interpreter of its own would end like this
            import traceback

            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _work(
    pipes: Ends,
    parent: int,
    held: "Set[Union[int, signal.Signals]]",
    paths: Sequence[str],
    modules: Sequence[str],
) -> None:
    """Become what an interpreter of its own would be, and do the task."""
    os.setsid()
    # What the parent does when it is told to end is not this process's to do.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)
    os.dup2(pipes.printed, 1)
    os.dup2(pipes.printed, 2)
    _forget_descriptors(pipes.answered, pipes.request)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays open
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    sys.path[:] = _search(paths)
    sys.path_importer_cache.clear()
    from edge.device.child import serve

    serve(parent, pipes.request, pipes.answered, modules)


def _forget_descriptors(*ours: int) -> None:
    """Let all files of the parent go, but keep their numbers taken.

    A lock on a file belongs to whoever has it open. An object of the parent's that is collected
    here closes its number: that must not be a file that was opened since.
    """
    null = os.open(os.devnull, os.O_RDWR)
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        numbers = list(range(_FEW_DESCRIPTORS))
    for number in numbers:
        if number not in (1, 2, null, *ours):
            try:
                os.fstat(number)
            except OSError:
                continue  # It was the listing's own, or never there.
            os.dup2(null, number, inheritable=number == 0)


def _search(paths: Sequence[str]) -> List[str]:
    """Return the import path: as an isolated interpreter has it, after where we are, and `paths`."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    users = os.environ.get("PYTHONPATH", "")
    left_out = {"", here} if sys.flags.ignore_environment else {"", here, *users.split(os.pathsep)}
    return [here, *paths, *(path for path in sys.path if path not in left_out)]
