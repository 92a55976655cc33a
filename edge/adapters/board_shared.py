"""What all parts of the program at the other end of ssh need. Standard library only.

The text of the modules board_* is sent each time (edge/adapters/board.py says how), and nothing of
it stays there. Python 3.6 runs it, and 3.5 can parse it. A bundle needs 3.8.
"""

import fcntl
import json
import os
import shutil
import sys
from typing import Any, Dict, Optional

BUNDLE = "bundle.pyz"
BLOCK_BYTES = 1 << 18
# What a program may take to tidy up after SIGTERM.
FAREWELL_S = 10

Request = Dict[str, Any]


class TimeUp(Exception):
    """The alarm rang."""


def interpreter(request: Request) -> Optional[str]:
    """Return the Python that the bundle was made for, else this one; None: it is too old.

    A board whose python3 is 3.6 may well have python3.8.
    """
    if "{}.{}".format(*sys.version_info[:2]) != request["python"]:
        other = shutil.which("python" + request["python"])
        if other is not None:
            return str(other)
    return sys.executable if sys.version_info >= (3, 8) else None


def tell(**answer: Any) -> None:
    """Answer the request."""
    sys.stdout.buffer.write(json.dumps(answer).encode("ascii") + b"\n")
    sys.stdout.flush()


def root() -> str:
    """Return the folder of all that is kept here."""
    user = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    cache = os.environ.get("EDGEKIT_CACHE") or os.path.join(user, "edgekit")
    return os.path.join(cache, "remote")


def bundle_path(request: Request) -> str:
    """Return where the bundle stands, or will."""
    return os.path.join(root(), request["digest"], BUNDLE)


def run_folder(request: Request) -> str:
    """Return the folder of the run."""
    return os.path.join(root(), "runs", request["run"])


def is_held(path: str) -> bool:
    """Whether somebody has a lock on the file."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def raise_time_up(_signal: int, _frame: Any) -> None:
    """Handle SIGALRM."""
    raise TimeUp


def holder() -> Optional[str]:
    """Who holds the board, if it can be told."""
    try:
        with open(os.path.join(root(), "lock"), "rb") as file:
            told = json.loads(file.read(4096).decode())
        return "{} (process group {})".format(told["who"], told["group"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
