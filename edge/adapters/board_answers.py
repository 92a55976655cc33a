"""Answers the requests about a bundle and its run on the board. Sent over ssh: Python 3.6.

It gets one request and answers one line of JSON below MARK, because a login shell may print lines
of its own before.
"""

import errno
import fcntl
import hashlib
import json
import os
import select
import shutil
import signal
import sys
import threading
from typing import Iterator, Optional

from edge.adapters.board_bundle import append, find, remove_bundle
from edge.adapters.board_run import start
from edge.adapters.board_shared import (
    BLOCK_BYTES,
    FAREWELL_S,
    Request,
    TimeUp,
    bundle_path,
    holder,
    interpreter,
    is_held,
    raise_time_up,
    run_folder,
    tell,
)

MARK = b"edgekit-board-1\n"
_LAST_WORDS_BYTES = 16 << 10


def main(request: Request) -> None:
    """Answer one request."""
    # Sent with the answer: an append goes on with what has come even if nobody hears of it.
    sys.stdout.buffer.write(MARK)
    if interpreter(request) is None:
        tell(refused="its python3 is {}.{}".format(*sys.version_info[:2]), kind="python")
        return
    try:
        os.umask(0o077)
        _COMMANDS[request["do"]](request)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        text = (error.strerror or str(error)).lower()
        if error.filename is not None:
            text = "{}: {}".format(error.filename, text)
        tell(refused=text, kind="full" if full else "file")


def wait(request: Request) -> None:
    """Tell how the run stands, once it has ended or after so many seconds; wakes nobody up."""
    run = run_folder(request)
    try:
        alive = os.open(os.path.join(run, "alive"), os.O_RDWR)
    except FileNotFoundError:
        tell(state="gone")
        return
    ready, told = os.pipe()

    def until_free() -> None:
        fcntl.flock(alive, fcntl.LOCK_SH)
        os.close(told)

    threading.Thread(target=until_free, daemon=True).start()
    # Our stdin closes with the connection: then nobody is there to be told.
    seen = select.select([ready, 0], [], [], request["seconds"])[0]
    if ready in seen:
        _tell_ended(run)
    elif not seen and os.path.exists(os.path.join(run, "running")):
        tell(state="running")
    elif not seen:
        tell(state="waiting", holder=holder())
    # The thread still waits.
    os._exit(0)


def _tell_ended(run: str) -> None:
    try:
        with open(os.path.join(run, "ended")) as file:
            ended = json.load(file)
    except FileNotFoundError:
        tell(state="died")
        return
    size, digest = 0, hashlib.sha256()
    for block in _blocks(os.path.join(run, "stdout")):
        size += len(block)
        digest.update(block)
    words = b"".join(_blocks(os.path.join(run, "stderr"), _LAST_WORDS_BYTES))
    tell(
        state="ended",
        **ended,
        size_bytes=size,
        sha256=digest.hexdigest(),
        complaint=words.decode("utf-8", "replace"),
    )


def _blocks(path: str, last_bytes: Optional[int] = None) -> "Iterator[bytes]":
    if os.path.exists(path):
        with open(path, "rb") as file:
            if last_bytes is not None:
                file.seek(max(0, os.fstat(file.fileno()).st_size - last_bytes))
            yield from iter(lambda: file.read(BLOCK_BYTES), b"")


def fetch(request: Request) -> None:
    """Send what the bundle printed, from an offset on."""
    with open(os.path.join(run_folder(request), "stdout"), "rb") as file:
        file.seek(request["offset"])
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.flush()


def end(request: Request) -> None:
    """End the run by its process group, if it still goes on, and remove what it has left."""
    run = run_folder(request)
    alive = os.path.join(run, "alive")
    signal.signal(signal.SIGALRM, raise_time_up)
    for number in (signal.SIGTERM, signal.SIGKILL):
        # As long as somebody of the group lives, its number is nobody else's.
        if not is_held(alive):
            break
        with open(os.path.join(run, "group")) as file:
            os.killpg(int(file.read()), number)
        signal.alarm(FAREWELL_S)
        try:
            with open(alive) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
        except TimeUp:
            continue
        signal.alarm(0)
    shutil.rmtree(run, ignore_errors=True)
    if not request["keep"]:
        remove_bundle(os.path.dirname(bundle_path(request)))
    tell(removed=not os.path.exists(run))


_COMMANDS = {
    "find": find,
    "append": append,
    "start": start,
    "wait": wait,
    "fetch": fetch,
    "end": end,
}
