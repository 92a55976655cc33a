"""A program under a target's limits: fewer cores, less memory, and how much of it was used.

It is a process of its own between ours and the program: limits belong to a process, and whoever
waits for a program's processes learns of each how much memory it had at most.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.device.child import die_with
from edge.device.executed import python_command

_PR_SET_CHILD_SUBREAPER: Final = 36
_CODE: Final = "from edge.adapters.confined import main; main()"
_NOT_STARTED_EXIT: Final = 127


def confined(command: Sequence[str], *, cores: int, data_bytes: int, peak: Path) -> list[str]:
    """Return the command that runs `command` with so many cores and so much memory a process.

    It has to be started by this process, with which it dies. `peak` is a file for the most memory
    in bytes that one of its processes had. The memory is the private data (RLIMIT_DATA): what is
    only reserved does not count, as it would for an address space, and more is refused, not killed.
    """
    setup = {
        "parent": os.getpid(),
        "cores": cores,
        "data_bytes": data_bytes,
        "peak": str(peak),
        "command": list(command),
    }
    return [*python_command(_CODE, ()), json.dumps(setup)]


def main() -> None:
    """Run the command of the setup on the command line, and end as it ends."""
    setup = json.loads(sys.argv[1])
    die_with(setup["parent"])
    # What the program leaves behind becomes ours, so that it is waited for, too.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    own = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with(own)
        _start(setup["command"], setup["cores"], setup["data_bytes"])
    status, peak_bytes = _wait(pid)
    Path(setup["peak"]).write_text(f"{peak_bytes}\n", encoding="ascii")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def _start(command: list[str], cores: int, data_bytes: int) -> None:
    try:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        limit = data_bytes if hard == resource.RLIM_INFINITY else min(data_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        os.execv(command[0], command)  # noqa: S606 - the parent chose the command
    except OSError as error:
        os.write(2, f"{command[0]}: cannot be started: {error}\n".encode())
    os._exit(_NOT_STARTED_EXIT)


def _wait(first: int) -> tuple[int, int]:
    """Wait for all processes; return the first's status and the most memory of any in bytes."""
    ended, most_kb = 0, 0
    while True:
        try:
            pid, status, used = os.wait4(-1, 0)
        except ChildProcessError:
            return ended, most_kb << 10
        most_kb = max(most_kb, used.ru_maxrss)
        if pid == first:
            ended = status
