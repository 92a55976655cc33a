"""The one place of a bundle that turns an error into an exit code. Device slice: Python 3.8."""

import os
import signal
import sys
from types import FrameType
from typing import Callable, Optional

from edge.errors import EdgekitError, HostError

_BUG = 1
_INTERRUPTED = 130
_TERMINATED = 143


class _Terminated(BaseException):
    """SIGTERM: unwinds like Ctrl-C, so that staged files and children go away."""


def _terminate(_signal: int, _frame: Optional[FrameType]) -> None:
    raise _Terminated


def know_python() -> None:
    """Find out where Python is: without PATH it may not know, and a child needs the same one."""
    sys.executable = sys.executable or os.path.realpath("/proc/self/exe")


def exit_code(command: Callable[[], int], *, debug: bool) -> int:
    """Run a command and return its exit code; an error is told in one or two lines on stderr."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = command()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return _INTERRUPTED
    except _Terminated:
        sys.stderr.write("terminated\n")
        return _TERMINATED
    except BrokenPipeError:
        # The reader of our output went away; keep the interpreter from flushing into it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except EdgekitError as error:
        if debug:
            raise
        return _told(error)
    except OSError as error:
        if debug:
            raise
        return _told(HostError(str(error)))
    except Exception as error:
        if debug:
            raise
        _told(EdgekitError("a bug in edgekit: {}: {}".format(type(error).__name__, error)))
        return _BUG


def _told(error: EdgekitError) -> int:
    sys.stderr.write("error: {}\n".format(error))
    if error.hint:
        sys.stderr.write("hint: {}\n".format(error.hint))
    return error.exit_code
