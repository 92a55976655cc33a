"""What is made of ssh's answers; the real client and a real server are in test_workflow_remote.py."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from edge.adapters.board import Board, RunState
from edge.adapters.board_answers import MARK
from edge.adapters.ssh import ConnectionLost, Ssh, require_host
from edge.errors import HostError, UsageError


@pytest.mark.parametrize(
    "host",
    [
        "board",
        "pi@board",
        "pi@board.local",
        "pi@192.168.1.7",
        "my_board",
        "ssh://pi@board:2222",
        "ssh://board/",
        "ssh://pi@[fe80::1%eth0]:22",
        "first.last@board-2",
    ],
)
def test_hosts(host: str) -> None:
    require_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "-oProxyCommand=sh",
        "pi@-oProxyCommand=sh",
        "-l@board",
        "ssh://-oProxyCommand=sh",
        "ssh://pi@-x:22",
        "pi@board; reboot",
        "pi@board\n",
        "pi @board",
        "$(reboot)@board",
        "pi@board:22",
        "ssh://pi:word@board",
        "http://board",
    ],
)
def test_what_is_no_host_never_reaches_ssh(host: str) -> None:
    with pytest.raises(UsageError, match=r"^not a host: ") as caught:
        require_host(host)
    assert caught.value.hint == "USER@HOST, ssh://USER@HOST:PORT, or a name of ~/.ssh/config"


@pytest.mark.parametrize("setting", ["", "Port", "-oPort=2", "Port 22", "=x"])
def test_what_is_no_setting(setting: str) -> None:
    with pytest.raises(UsageError, match=r"^not a setting of ssh: "):
        Ssh("board", [setting])


def test_without_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostError) as caught:
        Ssh("pi@board")
    assert str(caught.value) == "pi@board: there is no ssh on this machine"
    assert caught.value.hint == "install OpenSSH's client: apt-get install openssh-client"


def client(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Ssh:
    """Return a connection whose ssh is a program with this body."""
    program = folder / "ssh"
    program.write_text(f"#!{sys.executable}\nimport sys, os, time\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return Ssh("pi@board", ["Port=2222"])


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = client(tmp_path, monkeypatch, "print('\\n'.join(sys.argv[1:]), end='')")
    printed = ssh.run(["python3", "-c", "a 'b' $c; d"], longest_bytes=10000, hold=False)
    lines = printed.decode().split("\n")
    assert lines[-3:] == ["--", "pi@board", "python3 -c 'a '\"'\"'b'\"'\"' $c; d'"]
    settings = [after for before, after in pairwise(lines) if before == "-o"]
    assert settings[0] == "Port=2222"
    assert {"BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15"} <= set(settings)


@pytest.mark.parametrize(
    ("status", "words", "what", "lost"),
    [
        (
            255,
            "ssh: Could not resolve hostname board: Name or service not known",
            "ssh: Could not resolve hostname board: Name or service not known",
            "lost",
        ),
        (
            255,
            "ssh: connect to host board port 22: No route to host",
            "ssh: connect to host board port 22: No route to host",
            "lost",
        ),
        (
            255,
            "Timeout, server board not responding.",
            "the connection was lost: Timeout, server board not responding.",
            "lost",
        ),
        (255, "", "the connection was lost", "lost"),
        (
            255,
            "No ED25519 host key is known for board\nHost key verification failed.",
            "its host key is not known here",
            "",
        ),
        (
            255,
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "its host key is another one than before",
            "",
        ),
        (
            255,
            "Welcome!\npi@board: Permission denied (publickey,password).",
            "pi@board: Permission denied (publickey,password).",
            "",
        ),
        (127, "bash: python3: not found", "there is no python3 that can be started", ""),
        (1, "\x1b[31mTraceback", "the command there ended with status 1", ""),
    ],
)
def test_what_ssh_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    status: int,
    words: str,
    what: str,
    lost: str,
) -> None:
    body = f"sys.stdout.write('half')\nsys.stderr.write({words!r})\nsys.exit({status})"
    ssh = client(tmp_path, monkeypatch, body)
    with pytest.raises(HostError) as caught:
        ssh.run(["true"], longest_bytes=100, hold=False)
    assert str(caught.value) == f"pi@board: {what}"
    assert isinstance(caught.value, ConnectionLost) is bool(lost)
    if isinstance(caught.value, ConnectionLost):
        assert caught.value.received == b"half"
    assert caught.value.hint is not None
    assert "\x1b" not in caught.value.hint


def test_what_prints_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = client(tmp_path, monkeypatch, "while True: os.write(1, b'x' * 65536)")
    with pytest.raises(HostError, match=r"^pi@board: it printed more than 1000000 bytes$"):
        ssh.run(["yes"], longest_bytes=1_000_000, hold=False)


def test_who_reads_nothing_is_no_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = client(tmp_path, monkeypatch, "os.close(0)\nprint('done')")
    sent = (b"x" * 65536 for _ in range(100))
    assert ssh.run(["true"], send=sent, longest_bytes=100, hold=False) == b"done\n"


def answering(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> Board:
    return Board(client(folder, monkeypatch, f"os.write(1, {answer!r})"), "3.11")


def test_lines_of_a_login_shell_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = b'Welcome!\n{"state": "died"}\n' + MARK + b'{"state": "running"}\n'
    board = answering(tmp_path, monkeypatch, answer)
    assert board.wait("run", 1) == RunState(state="running")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b'{"state": "running"}',
        MARK,
        MARK + b"[]",
        MARK + b'{"state": "running"',
        MARK + b'{"state": "flying"}',
        MARK + b'{"state": "running", "more": 1}',
        MARK + b'{"state": "ended", "size_bytes": "1"}',
        MARK + b'{"refused": 1, "kind": "file"}',
        MARK + b"[" * 200_000,
        MARK + b"\xff\xfe",
    ],
)
def test_an_answer_without_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    (tmp_path / "answer").write_bytes(answer)
    body = f"sys.stdout.buffer.write(open({str(tmp_path / 'answer')!r}, 'rb').read())"
    board = Board(client(tmp_path, monkeypatch, body), "3.11")
    with pytest.raises(HostError) as caught:
        board.wait("run", 1)
    assert str(caught.value) == "pi@board: its answer makes no sense"


def test_a_full_disk_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = MARK + b'{"refused": "/x: no space left on device", "kind": "full"}\n'
    board = answering(tmp_path, monkeypatch, answer)
    with pytest.raises(HostError) as caught:
        board.append("0" * 64, 100, 0, [b"x"])
    assert str(caught.value) == "pi@board: /x: no space left on device"
    assert caught.value.hint == (
        "free some disk space there, or set EDGEKIT_CACHE there to another folder"
    )
