"""A real sshd on loopback with keys of its own; the other end has a home of its own, too."""

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_PRIVILEGE_SEPARATION = Path("/run/sshd")
needs_sshd = pytest.mark.skipif(
    _SSHD is None or shutil.which("ssh") is None,
    reason="needs OpenSSH: apt-get install openssh-server openssh-client",
)
# One that forwards so many bytes and then dies, as a connection does.
_SHORT_LIVED = """\
import os, socket, sys, threading
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def down():
    while block := link.recv(65536):
        os.write(1, block)
    os._exit(0)
threading.Thread(target=down, daemon=True).start()
left = int(sys.argv[2])
while left > 0 and (block := os.read(0, min(left, 65536))):
    link.sendall(block)
    left -= len(block)
"""


@dataclass(frozen=True)
class Loopback:
    """A running sshd."""

    pid: int
    port: int
    folder: Path

    @property
    def host(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def remote(self) -> Path:
        return self.home / ".cache" / "edgekit" / "remote"

    @property
    def settings(self) -> tuple[str, ...]:
        return (
            f"UserKnownHostsFile={self.folder / 'known_hosts'}",
            "GlobalKnownHostsFile=/dev/null",
            f"IdentityFile={self.folder / 'id'}",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "ControlPath=none",
        )

    def short_lived(self, longest_bytes: int) -> str:
        """Return a setting by which every connection dies after so many bytes that we send."""
        program = self.folder / "short_lived.py"
        program.write_text(_SHORT_LIVED)
        return f"ProxyCommand={sys.executable} {program} {self.port} {longest_bytes}"

    def sessions(self) -> list[int]:
        """Return the processes of the connections that there are."""
        return [int(pid) for pid in _children(self.pid)]

    def runs(self) -> list[Path]:
        return list((self.remote / "runs").iterdir())

    def running(self) -> list[str]:
        """Return the commands that are running a bundle of this home."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
                if str(self.remote) in command:
                    found.append(command)
        return found


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _key(path: Path) -> str:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.with_suffix(".pub").read_text()


@contextmanager
def sshd(folder: Path, path: str = "") -> Iterator[Loopback]:
    """Run an sshd on a free port; commands find python3 on `path`, else it is this Python."""
    assert _SSHD is not None
    if os.geteuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    folder.mkdir()
    (folder / "home").mkdir()
    (folder / "authorized_keys").write_text(_key(folder / "id"))
    host_key = _key(folder / "host_key")
    programs = path or f"{Path(sys.executable).parent}:/usr/bin:/bin"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\nPidFile none\nUsePAM no\n"
        "StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        f"KbdInteractiveAuthentication no\nSetEnv HOME={folder / 'home'} PATH={programs}\n"
    )
    command = [_SSHD, "-D", "-e", "-f", str(folder / "config")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    try:
        first = process.stderr.readline()
        assert "listening" in first, first
        # Else it would wait for somebody to read what it says.
        with (folder / "log").open("w") as log, _copied(process.stderr, log.write):
            yield Loopback(process.pid, port, folder)
            for session in _children(process.pid):
                os.kill(int(session), signal.SIGKILL)
            process.terminate()
            process.wait()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextmanager
def _copied(source: object, write: Callable[[str], object]) -> Iterator[None]:
    def copy() -> None:
        for line in source:  # type: ignore[attr-defined]
            write(line)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    yield
    thread.join(10)


def old_python(folder: Path) -> str:
    """Make a python3 that says it is 3.6, and return the path to find it on."""
    folder.mkdir()
    code = "import sys; sys.version_info = (3, 6); del sys.argv[1:3]; exec(sys.argv.pop(1))"
    program = folder / "python3"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c {json.dumps(code)} "$@"\n')
    program.chmod(0o755)
    return str(folder)
