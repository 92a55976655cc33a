"""Tasks for a limited child that do what models and runtimes have been seen to do."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from edge.device import child
from edge.device.child import tell_progress
from edge.errors import BundleError


def echo(request: dict[str, Any]) -> Any:
    return {"request": request, "path": sys.path, "stdin": sys.stdin.read()}


def open_files(_request: dict[str, Any]) -> Any:
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue  # The listing's own.
    return links


def knows(request: dict[str, Any]) -> Any:
    return request["module"] in sys.modules


def read_null(_request: dict[str, Any]) -> Any:
    ctypes.string_at(0)


def die_of(request: dict[str, Any]) -> Any:
    os.kill(os.getpid(), request["signal"])
    signal.pause()


def hang(request: dict[str, Any]) -> Any:
    if "pid_file" in request:
        Path(request["pid_file"]).write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(60)


def spin(_request: dict[str, Any]) -> Any:
    while True:
        pass


def ask_for_memory(request: dict[str, Any]) -> Any:
    return len(bytearray(request["bytes"]))


def say_bad_alloc(_request: dict[str, Any]) -> Any:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def leave_without_answer(_request: dict[str, Any]) -> Any:
    os._exit(0)


def answer_nonsense(_request: dict[str, Any]) -> Any:
    os.write(child._answers[0]._descriptor, b"\x00not json\n")
    time.sleep(60)


def raise_unknown(_request: dict[str, Any]) -> Any:
    raise LookupError("the zebra \x1b[31m is missing")


def raise_ours(_request: dict[str, Any]) -> Any:
    raise BundleError("it is broken", where="part 7", hint="do it again")


def talk(request: dict[str, Any]) -> Any:
    sys.stdout.write("x" * request["bytes"])
    return "said it"


def write_much(request: dict[str, Any]) -> Any:
    Path(request["path"]).write_bytes(bytes(request["bytes"]))


def progress(_request: dict[str, Any]) -> Any:
    for step in range(3):
        tell_progress(step / 2)
    return "done"


def leave_grandchild(request: dict[str, Any]) -> Any:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(request["pid_file"]).write_text(str(process.pid), encoding="utf-8")
    return "left"
