"""What the end of a child means, and errors on their way between processes. Device slice."""

import signal
from typing import Any, Iterator, List, Mapping, Optional, Type

from edge.errors import EdgekitError, RuntimeFailure, printable

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
# A shell and Python's own launchers tell a signal as 128 and its number.
_SIGNAL_EXIT = 128
_OF_PYTHON = ("MemoryError", "std::bad_alloc")


def child_error(status: int, last_words: bytes, what: str) -> RuntimeFailure:
    """Return the error for a child that ended with `status` and without an answer."""
    hint = last_line(last_words)
    if any(word in last_words[-4096:].decode("utf-8", "replace") for word in _OF_PYTHON):
        text = "the child ran out of the memory that it was allowed"
    elif status < 0:
        text = "the child died of {}".format(_signal_text(-status))
    else:
        text = "the child ended with status {} and no answer".format(status)
    return RuntimeFailure(text, where=what, hint=hint)


def told_error(told: Mapping[str, Any], what: str) -> EdgekitError:
    """Rebuild the error that a child's task raised; a family is told by its class name."""
    for family in _families():
        if family.__name__ == told.get("family"):
            where = told.get("where") or what
            return family(str(told.get("what")), where=where, hint=told.get("hint"))
    return RuntimeFailure(str(told.get("what")), where=what, hint=told.get("hint"))


def program_error(status: int, stderr: bytes, what: str) -> EdgekitError:
    """Rebuild the error of a program of ours from its exit code and its lines on stderr."""
    lines = stderr.decode("utf-8", "replace").splitlines()
    text = next((line[7:] for line in lines if line.startswith("error: ")), None)
    hint = next((line[6:] for line in lines if line.startswith("hint: ")), None)
    family = next((f for f in _families() if f.exit_code == status), RuntimeFailure)
    if text is not None:
        return family(text, hint=hint)
    return child_error(status, stderr, what)


def last_line(stderr: bytes) -> Optional[str]:
    """Return a hint that quotes the last line, or None where nothing was said."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return "its last words: {}".format(printable(lines[-1])) if lines else None


def _families() -> Iterator[Type[EdgekitError]]:
    families: List[Type[EdgekitError]] = [EdgekitError]
    for family in families:
        families.extend(family.__subclasses__())
        yield family


def _signal_text(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "signal {}".format(number)
    meaning = _SIGNALS.get(name)
    return "{}{}".format(name, ": " + meaning if meaning else "")
