"""A run on the board: it outlives the connection that started it. Sent over ssh: Python 3.6."""

import errno
import fcntl
import json
import os
import select
import shutil
import signal
import sys
from typing import Any

from edge.adapters.board_shared import (
    FAREWELL_S,
    Request,
    TimeUp,
    bundle_path,
    holder,
    interpreter,
    is_held,
    raise_time_up,
    root,
    run_folder,
    tell,
)


class _Stopped(Exception):
    """SIGTERM, before there was a child to give it to."""


def start(request: Request) -> None:
    """Start the run in a session of its own; a second start of the same run does nothing.

    A client that was interrupted meanwhile has closed our stdin. The supervisor holds the file `alive` of the run's folder, and so does the bundle, as long as
    either lives.
    """
    run = run_folder(request)
    staged = "{}.{}".format(run, os.getpid())
    os.makedirs(staged)
    _sweep(os.path.dirname(run))
    alive = os.open(os.path.join(staged, "alive"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(alive, fcntl.LOCK_EX)
    try:
        if select.select([0], [], [], 0)[0]:
            raise OSError(errno.EPIPE, "the client went away")
        os.rename(staged, run)
    except OSError as error:
        shutil.rmtree(staged)
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        tell(started=False)
        return
    ready, told = os.pipe()
    if os.fork() == 0:
        try:
            _supervise(request, run, told, alive)
        finally:
            os._exit(1)
    os.close(told)
    os.read(ready, 1)
    tell(started=True)


def _sweep(runs: str) -> None:
    """Remove what runs have left whose client never came back, in all ten of the newest stay."""
    folders = [os.path.join(runs, name) for name in os.listdir(runs)]
    for folder in sorted(folders, key=lambda path: -os.stat(path).st_mtime_ns)[10:]:
        if not is_held(os.path.join(folder, "alive")):
            shutil.rmtree(folder, ignore_errors=True)


def _supervise(request: Request, run: str, told: int, alive: int) -> None:
    """Wait for the board, run the bundle, and write down how it ended; never returns."""
    os.setsid()
    signal.signal(signal.SIGTERM, _raise_stopped)
    signal.signal(signal.SIGALRM, raise_time_up)
    _write(os.path.join(run, "group"), str(os.getpid()))
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(told)
    ended = {"status": None, "why": None, "holder": None}  # type: Request
    lock = os.open(os.path.join(root(), "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    signal.alarm(request["lock_s"])
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        signal.alarm(0)
        mine = json.dumps({"who": request["who"], "group": os.getpid()}).encode("ascii")
        os.ftruncate(lock, 0)
        os.pwrite(lock, mine, 0)
        _write(os.path.join(run, "running"), "")
        ended.update(_measured(request, run, (alive, lock)))
        os.ftruncate(lock, 0)
    except TimeUp:
        ended.update(why="busy", holder=holder())
    except OSError as error:
        ended.update(why="failed: {}".format(error))
    _write(os.path.join(run, "ended"), json.dumps(ended))
    os._exit(0)


def _measured(request: Request, run: str, held: "tuple[int, int]") -> Request:
    bundle = os.open(bundle_path(request), os.O_RDONLY)
    fcntl.flock(bundle, fcntl.LOCK_SH)
    os.utime(os.path.dirname(bundle_path(request)))
    child = os.fork()
    if child == 0:
        try:
            _become(request, run, (bundle, *held))
        finally:
            os._exit(127)
    # A stop goes to the whole group: what the bundle makes of it is waited for.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    why = None
    for grace_s, kill in ((request["wall_s"], signal.SIGTERM), (FAREWELL_S, signal.SIGKILL)):
        signal.alarm(grace_s)
        try:
            status = os.waitpid(child, 0)[1]
            break
        except TimeUp:
            why = "slow"
            os.kill(child, kill)
    else:
        status = os.waitpid(child, 0)[1]
    signal.alarm(0)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return {"status": code, "why": why}


def _become(request: Request, run: str, kept: "tuple[int, ...]") -> None:
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        path = os.path.join(run, name)
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    for descriptor in kept:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - it takes no keyword
    environment = dict(os.environ)
    if not request["keep"]:
        environment["EDGEKIT_CACHE"] = os.path.join(run, "cache")
    python = interpreter(request) or sys.executable
    command = [python, bundle_path(request), *request["arguments"]]
    os.execve(  # noqa: S606 - no shell is wanted
        python, command, environment
    )


def _write(path: str, text: str) -> None:
    with open(path + ".part", "w") as file:
        file.write(text)
    os.replace(path + ".part", path)


def _raise_stopped(_signal: int, _frame: Any) -> None:
    raise _Stopped
