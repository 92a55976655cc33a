"""What runs in an emulated machine: the bundle, watched. The standard library, Python 3.8.

It is put on the machine's disk as data (edge.adapters.machine_image) and started by its first
process. It takes away what the board's system takes, runs the bundle, and tells of it on the
console in lines that edge.adapters.machine_console reads; the kernel may not kill it.
"""

import base64
import contextlib
import ctypes
import json
import os
import re
import signal
import sys
import zlib
from typing import Any, Dict, Optional, Tuple

_PR_SET_CHILD_SUBREAPER = 36
_HUGE_PAGE_KB = 2048
_LINE_BYTES = 600
_MOST_OUTPUT_BYTES = 256 << 10
_MOST_KERNEL_LINES = 40


def main() -> None:
    """Run the command line after what the kernel was told, and report it."""
    told = dict(re.findall(r"edgekit\.([a-z]+)=(\S+)", _read("/proc/cmdline")))
    _spare("-1000")
    with contextlib.suppress(OSError, AttributeError):
        # Who loses its parent becomes a child of this, so that its peak is told here.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    total, available = _memory_kb("MemTotal"), _memory_kb("MemAvailable")
    reserved = told.get("reserve")
    _reserve(int(reserved) if reserved else available - int(told["usable"]))
    report: Dict[str, Any] = {
        "total_kb": total,
        "free_kb": available,
        "available_kb": _memory_kb("MemAvailable"),
    }
    folder = "/root"
    names = [os.path.join(folder, name) for name in (".stdout", ".stderr")]
    status, peak_kb = _run(sys.argv[1:], folder, names, int(told["wall"]))
    if status == 0:
        # The first one also unpacks and prepares, in processes that may take more, and may fail.
        again, again_kb = _run(sys.argv[1:], folder, names, int(told["wall"]))
        status, peak_kb = again, again_kb
    report.update(
        status=status,
        peak_kb=peak_kb,
        stdout=_read(names[0], _MOST_OUTPUT_BYTES),
        stderr=_read(names[1], _MOST_OUTPUT_BYTES),
        kernel=_kernel_lines(),
    )
    _tell(report)


def _run(command: Any, home: str, outputs: Any, wall_s: int) -> Tuple[Optional[int], int]:
    """Run a command and return its status, None if it took too long, and the greatest peak."""
    late = []

    def too_late(_number: int, _frame: object) -> None:
        late.append(True)
        os.kill(-1, signal.SIGKILL)

    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(wall_s)
    first = os.fork()
    if first == 0:
        _spare("0")
        for descriptor, name in enumerate(outputs, 1):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
        os.chdir("/")
        os.execve(command[0], command, {"HOME": home, "LC_ALL": "C.UTF-8"})  # noqa: S606 - it is ours
    status, peak_kb = None, 0
    while True:
        try:
            pid, ended, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        peak_kb = max(peak_kb, usage.ru_maxrss)
        if pid == first:
            status = -os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else os.WEXITSTATUS(ended)
            # All but the first process and this one: what it left running is of no use.
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
    signal.alarm(0)
    return (None if late else status), peak_kb


def _reserve(kilobytes: int) -> None:
    """Take memory away for good: pages of 2 MB that no program asks for."""
    pages = max(kilobytes, 0) // _HUGE_PAGE_KB
    if pages:
        with open("/proc/sys/vm/nr_hugepages", "w", encoding="ascii") as file:
            file.write(str(pages))


def _spare(score: str) -> None:
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(score)


def _memory_kb(key: str) -> int:
    found = re.search(key + r":\s*(\d+) kB", _read("/proc/meminfo"))
    return int(found.group(1)) if found else 0


def _kernel_lines() -> "list[str]":
    """Return what the kernel said of memory that it did not have."""
    lines = []
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    while True:
        try:
            lines.append(os.read(log, 8192).decode("utf-8", "replace").partition(";")[2])
        except BlockingIOError:
            break
        except OSError:
            continue  # It was overwritten before it was read.
    words = ("Out of memory", "oom-kill", "oom_reaper", "invoked oom-killer")
    told = [line.splitlines()[0] for line in lines if any(word in line for word in words)]
    return told[-_MOST_KERNEL_LINES:]


def _read(path: str, most: int = 1 << 20) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return ""


def _tell(report: Dict[str, Any]) -> None:
    """Write the report in numbered lines, each with a sum of its own."""
    data = base64.b64encode(zlib.compress(json.dumps(report).encode())).decode()
    parts = [data[start : start + _LINE_BYTES] for start in range(0, len(data), _LINE_BYTES)]
    for number, part in enumerate(parts):
        told = "{}/{} {}".format(number + 1, len(parts), part)
        sys.stdout.write("\n@edgekit {:08x} {}\n".format(zlib.crc32(told.encode()), told))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
