"""What the end of a child means, and errors on their way between processes. Device slice."""

import signal
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Type

from edge.device.illegal import MARK, told
from edge.errors import EdgekitError, RuntimeFailure, printable

# What the commonest ends of a native runtime mean; signal(7), and field reports.
_SIGNALS = {
    "SIGILL": "an instruction that this CPU lacks: the runtime was built for a newer one",
    "SIGSEGV": "the runtime read or wrote memory that is not its own: a damaged model or a bug",
    "SIGABRT": "the runtime gave up: an assertion, or memory that could not be had",
    "SIGBUS": "a mapped file became shorter, or memory could not be had",
    "SIGFPE": "an arithmetic error in the runtime, such as a division by zero",
    "SIGKILL": "killed from outside: most often the system ran out of memory",
    # Only edge.device.illegal sets a timer.
    "SIGALRM": "an instruction that this CPU lacks; which one could not be found out in time",
    "SIGXCPU": "it used more CPU time than the limit",
    "SIGXFSZ": "it wrote a larger file than the limit",
}
# A shell and Python's own launchers tell a signal as 128 and its number.
_SIGNAL_EXIT = 128
_OTHER_BUILD = (
    "take another build of the runtime, or package the model again for this machine: "
    "`edgekit targets show TARGET` says what a target's CPU has"
)
_OF_PYTHON = ("MemoryError", "std::bad_alloc")


def child_error(
    status: int, last_words: bytes, what: str, oom_kills_before: Optional[int] = None
) -> RuntimeFailure:
    """Return the error for a child that ended with `status` and without an answer.

    `oom_kills_before` is what edge.device.killed.oom_kills() gave before the child was started.
    """
    hint = last_line(last_words)
    if any(word in last_words[-4096:].decode("utf-8", "replace") for word in _OF_PYTHON):
        text = "the child ran out of the memory that it was allowed"
    elif status == -signal.SIGILL and told(last_words) is not None:
        return illegal_error(last_words, what, _cpu_features())
    elif status == -signal.SIGKILL:
        from edge.device.killed import killed_text

        text = "the child died of SIGKILL: {}".format(
            killed_text(oom_kills_before) or _SIGNALS["SIGKILL"]
        )
    elif status < 0:
        text = "the child died of {}".format(_signal_text(-status))
    else:
        text = "the child ended with status {} and no answer".format(status)
    return RuntimeFailure(text, where=what, hint=hint)


def illegal_error(last_words: bytes, what: str, cpu_features: Sequence[str]) -> RuntimeFailure:
    """Return the error for a child that said which instruction it was going to die of.

    An instruction set that is among `cpu_features` (those of /proc/cpuinfo) is not blamed.
    """
    from edge.device.instructions import TRAP, instruction_set

    found = told(last_words) or {}
    machine, code = str(found.get("machine")), bytes.fromhex(found.get("code") or "")
    library = _library_name(str(found.get("library")))
    needed = instruction_set(machine, code)
    hint = last_line(last_words)
    if needed == TRAP:
        text = "{} ran into a trap that its compiler had set: a bug in it, or a damaged model"
        text = text.format(library)
    elif needed is None:
        text = "{} uses an instruction ({}) that this CPU lacks".format(library, code[:8].hex())
        hint = _OTHER_BUILD
    elif needed in cpu_features:
        text = "{} uses an instruction of {}, which this CPU has by its own account: what runs it "
        text += "(an emulator, a hypervisor, the kernel) does not"
        text = text.format(library, needed)
    else:
        text = "{} uses an instruction of {}, which this CPU lacks".format(library, needed)
        hint = _OTHER_BUILD
    return RuntimeFailure("the child died of SIGILL: " + text, where=what, hint=hint)


def _library_name(path: str) -> str:
    if not path.startswith("/") or path.startswith("/dev/"):
        return "code that was made at run time"
    return printable(path.rpartition("/")[2].replace(" (deleted)", ""))


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
    said = [line for line in stderr.splitlines() if line.strip() and not line.startswith(MARK)]
    if not said:
        return None
    return "its last words: {}".format(printable(said[-1].decode("utf-8", "replace").strip()))


def _cpu_features() -> Sequence[str]:
    from edge.device.facts import read_host_facts

    return read_host_facts().cpu_features


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
