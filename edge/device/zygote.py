"""A process that has imported numpy and a runtime, and forks one limited child per request.

A new interpreter that imports both costs a fifth of a second a measurement; a fork of one that has
done so is a process of its own as well, and gets the same limits, session, pipes and end. The
zygote has no threads, or a lock that one holds would stay locked in the copies: a runtime that
starts some when it is imported (ONNX Runtime 1.32 does) is left to the children, which import it
themselves in a tenth of the time, since numpy is there. Device slice: Python 3.8.
"""

import array
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from edge.device import parent
from edge.device.child import die_with
from edge.device.executed import FAREWELL_S, Program, python_command
from edge.device.forked import HELD_BACK, Ends, Pipes, exit_status, live
from edge.errors import EdgekitError

# Importing on a slow board with a slow card.
_START_UP_S = 120.0
_LONGEST_LINE_BYTES = 1 << 16
# What a measurement's child needs of us, beside the backend.
_OURS = ("edge.device.worker", "edge.device.feeds", "edge.device.samples")


@contextmanager
def preimported(backend_name: str, paths: Sequence[str] = ()) -> "Iterator[Zygote]":
    """Let run_child fork its children, with `paths`, of a process that has imported the runtime.

    It serves requests whose config names that backend, and those without a config. Where it
    cannot be started, every child is an interpreter of its own as ever, and the zygote's `reason`
    says why.
    """
    zygote = Zygote(backend_name, paths)
    parent.PREIMPORTED.append(zygote)
    try:
        yield zygote
    finally:
        parent.PREIMPORTED.remove(zygote)
        zygote.close()


class Zygote:
    """The parent's side: one running zygote.

    `reason` is why it is not used, or what it left to its children; `imported_ns` how long
    importing numpy and the runtime takes; `cpu_s` the processor time of the children that ended.
    """

    def __init__(self, backend_name: str, paths: Sequence[str]) -> None:
        """Start it, and wait until it has imported everything."""
        self.paths = list(paths)
        self.reason: Optional[str] = None
        self.imported_ns: Optional[int] = None
        self.cpu_s = 0.0
        self._backend = backend_name
        self._program: Optional[Program] = None
        self._unread = b""
        ours, theirs = socket.socketpair()
        self._socket = ours
        code = "from edge.device.zygote import main; main()"
        command = [*python_command(code, paths), str(os.getpid())]
        command += [str(theirs.fileno()), backend_name]
        try:
            with theirs:
                keep = [theirs.fileno()]
                self._program = Program(command, backend_name, keep=keep, stderr_apart=False)
            self._program.give(b"")
            ready = self._message(_START_UP_S)
        except (EdgekitError, OSError) as error:
            self._give_up("it did not start: {}".format(error))
        except BaseException:
            self.close()
            raise
        else:
            self.imported_ns, self.reason = ready["imported_ns"], ready["reason"]

    def serves(self, paths: Sequence[str], request: Mapping[str, Any]) -> bool:
        """Return whether it runs, and a child for this request may be a fork of it."""
        config = request.get("config")
        is_its = config is None or config.get("backend") == self._backend
        return self._program is not None and self.paths == list(paths) and is_its

    def fork(self) -> "Grandchild":
        """Return a new child, which waits for its task.

        Raises:
            OSError: it is gone, or there are too many processes or descriptors.
        """
        pipes = Pipes()
        ends = array.array("i", [pipes.printed, pipes.answered, pipes.request])
        try:
            self._socket.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, ends)])
            told = self._message(FAREWELL_S)
            while "forked" not in told:
                told = self._message(FAREWELL_S)
            if told["forked"] is None:
                raise OSError(told["error"])
        except OSError as error:
            pipes.close()
            self._give_up("it could not fork: {}".format(error))
            raise
        except BaseException:
            pipes.close()
            raise
        return Grandchild(self, int(told["forked"]), pipes)

    def end_of(self, pid: int, timeout_s: Optional[float]) -> Optional[int]:
        """Return a child's exit status, or minus its signal; None: it still runs."""
        try:
            told = self._message(timeout_s)
            while told.get("ended") != pid:
                told = self._message(timeout_s)
        except TimeoutError:
            return None
        except OSError:
            # Without the zygote the child died, too.
            self._give_up("it died")
            return -int(signal.SIGKILL)
        self.cpu_s += told["cpu_s"]
        return int(told["status"])

    def close(self) -> None:
        """End it, with whatever it has forked."""
        self._socket.close()
        if self._program is not None:
            self._program.kill()
            self._program.wait()
            if self._program.output is not None:
                self._program.output.close()
            self._program = None

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self.close()

    def _message(self, timeout_s: Optional[float]) -> Dict[str, Any]:
        while b"\n" not in self._unread:
            if not select.select([self._socket], [], [], timeout_s)[0]:
                raise TimeoutError("no answer within {:g} s".format(timeout_s or 0))
            block = self._socket.recv(_LONGEST_LINE_BYTES)
            if not block:
                raise ConnectionError("it ended")
            self._unread += block
        line, _, self._unread = self._unread.partition(b"\n")
        message: Dict[str, Any] = json.loads(line)
        return message


class Grandchild:
    """A running child that a zygote forked: as a Forked, but the zygote tells its end."""

    def __init__(self, zygote: Zygote, pid: int, pipes: Pipes) -> None:
        """Take the parent's ends of the pipes."""
        self.pid = pid
        self._zygote = zygote
        self._status: Optional[int] = None
        self.output, self.answers, self._requests = pipes.keep_the_parents()

    def send(self, setup: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Tell it what to do, and within which limits."""
        imported_ns = self._zygote.imported_ns
        if request.get("config") is not None and imported_ns is not None:
            request = {**request, "imported_ns": imported_ns}
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
        if self._status is None:
            self._status = self._zygote.end_of(self.pid, timeout_s)
        return self._status


def main() -> None:
    """Be the zygote: import, tell that it is done, then fork a child for every request."""
    parent_pid, number, backend_name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    die_with(parent_pid)
    connection = socket.socket(fileno=number)
    connection.set_inheritable(False)
    _tell(connection, _import(backend_name))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        # What is printed from now on has no reader, and a full pipe would stop us.
        os.dup2(null, descriptor)
    os.close(null)
    while True:
        asked, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(3 * 4))
        if not asked:
            os._exit(0)
        given = array.array("i")
        for _, _, data in ancillary:
            given.frombytes(data)
        _fork_one(connection, Ends(*given))


def _import(backend_name: str) -> Dict[str, Any]:
    """Import what starts no threads; a fork has tried it before, and took the time."""
    from edge.backends import load_backend
    from edge.device.timing import clock_ns

    threads = _threads()
    start = clock_ns()
    backend = load_backend(backend_name)  # It imports numpy.
    numpy_ns = clock_ns() - start
    for module in _OURS:
        importlib.import_module(module)
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            start = clock_ns()
            backend.import_runtime()
            tried = [clock_ns() - start, _threads() - threads]
            os.write(writing, json.dumps(tried).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    os.wait()
    if not told:
        # The child that needs it will tell what is wrong.
        return {"imported_ns": None, "reason": "the runtime cannot be imported"}
    runtime_ns, started = json.loads(told)
    reason = None
    if started:
        reason = "the runtime starts {} threads when it is imported".format(started)
    else:
        backend.import_runtime()
    return {"imported_ns": numpy_ns + runtime_ns, "reason": reason}


def _fork_one(connection: socket.socket, ends: Ends) -> None:
    """Fork a child, and wait for its end: there is one at a time."""
    us = os.getpid()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        pid = os.fork()
        if pid == 0:
            live(ends, us, held, (), ())
    except OSError as error:
        _tell(connection, {"forked": None, "error": str(error)})
        return
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        for descriptor in (ends.printed, ends.answered, ends.request):
            os.close(descriptor)
    _tell(connection, {"forked": pid})
    _, status, usage = os.wait4(pid, 0)
    cpu_s = usage.ru_utime + usage.ru_stime
    _tell(connection, {"ended": pid, "status": exit_status(status), "cpu_s": cpu_s})


def _tell(connection: socket.socket, message: Mapping[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _threads() -> int:
    tasks: List[str] = os.listdir("/proc/self/task")
    return len(tasks)
