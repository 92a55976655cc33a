"""Bundles measured over ssh, against a real sshd."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from loopback_sshd import Loopback, needs_sshd, old_python, sshd
from small_bundle import write_small

from edge.adapters.bundle import WrittenBundle
from edge.errors import BundleError, EdgekitError, HostError, UsageError
from edge.workflows import remote_visit
from edge.workflows.remote import RemoteResult, probe_remote

pytestmark = needs_sshd
QUICK = ("--threads", "1", "--min-time", "0.05", "--max-time", "0.5", "--min-queries", "20")
LONG = ("--threads", "1", "--min-time", "60", "--max-time", "60")


class Heard:
    """Keeps what progress says; `said` waits for a text."""

    def __init__(self) -> None:
        self.all: list[tuple[str, float, str]] = []
        self._new = threading.Condition()

    def __call__(self, host: str, fraction: float, text: str) -> None:
        with self._new:
            self.all.append((host, fraction, text))
            self._new.notify_all()

    def said(self, text: str) -> bool:
        with self._new:
            return self._new.wait_for(lambda: text in self.texts(), 60)

    def texts(self) -> list[str]:
        return [text for _, _, text in self.all]

    def parts(self, text: str) -> list[float]:
        return [fraction for _, fraction, said in self.all if said == text]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> WrittenBundle:
    folder = tmp_path_factory.mktemp("remote-bundle")
    return write_small(folder / "digits-host.pyz")


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Loopback]:
    with sshd(tmp_path / "board") as running:
        yield running


def probed(
    board: Loopback,
    bundle: Path,
    heard: Heard,
    arguments: tuple[str, ...] = QUICK,
    *more: str,
    keep: bool = True,
) -> RemoteResult:
    (result,) = probe_remote(
        [board.host],
        bundle,
        arguments,
        progress=heard,
        wall_s=120,
        ssh_options=(*more, *board.settings),
        keep=keep,
    )
    return result


def error_of(result: RemoteResult) -> EdgekitError:
    assert result.measurement is None
    assert result.error is not None
    return result.error


def test_a_bundle_is_copied_run_and_brought_back(board: Loopback, bundle: WrittenBundle) -> None:
    heard = Heard()
    first = probed(board, bundle.path, heard)
    assert first.error is None
    assert first.measurement is not None
    assert first.measurement.model.name == "digits.onnx"
    assert first.measurement.target == "host"
    assert len(first.measurement.latencies_ns) >= 20
    assert heard.parts("copying")[0] == 0.0
    assert heard.parts("copying")[-1] == 1.0
    assert board.runs() == []
    folder = board.remote / bundle.digest
    assert [path.name for path in folder.iterdir()] == ["bundle.pyz"]
    assert (folder / "bundle.pyz").read_bytes() == bundle.path.read_bytes()
    assert sorted(path.name for path in board.home.iterdir()) == [".cache"]

    again = Heard()
    assert probed(board, bundle.path, again, keep=False).measurement is not None
    assert "copying" not in again.texts()
    assert sorted(path.name for path in board.remote.iterdir()) == ["lock", "runs"]
    assert board.runs() == []


def test_a_damaged_copy_is_replaced(board: Loopback, bundle: WrittenBundle) -> None:
    folder = board.remote / bundle.digest
    folder.mkdir(parents=True)
    data = bundle.path.read_bytes()
    (folder / "bundle.pyz").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (folder / "bundle.pyz.part").write_bytes(b"x" + data[1:1000])
    assert probed(board, bundle.path, Heard()).measurement is not None
    assert (folder / "bundle.pyz").read_bytes() == data


def test_an_interrupted_upload_goes_on_where_it_stopped(
    board: Loopback, bundle: WrittenBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_visit, "_PAUSES_S", (0.01,) * 9)
    heard = Heard()
    # No connection carries all of the bundle; what was under way is lost.
    result = probed(board, bundle.path, heard, QUICK, board.short_lived(500_000))
    assert result.measurement is not None
    fractions = heard.parts("copying")
    starts, losses = [], 0
    texts = heard.texts()
    for before, after, said in zip(texts, texts[1:], heard.all[1:], strict=False):
        losses += after == "connecting again"
        if before == "connecting again" and after == "copying":
            starts.append(said[1])
    assert losses >= 1
    assert starts == sorted(set(starts))
    assert starts[0] > 0.05
    assert fractions[-1] == 1.0


def test_a_run_outlives_its_connection(board: Loopback, bundle: WrittenBundle) -> None:
    heard = Heard()
    killed: list[int] = []

    def cut() -> None:
        assert heard.said("measuring")
        # The first ones that are seen may be on their way out anyway.
        while "connecting again" not in heard.texts() and "fetching" not in heard.texts():
            for session in board.sessions():
                with suppress(ProcessLookupError):
                    os.kill(session, signal.SIGKILL)
                killed.append(session)

    thread = threading.Thread(target=cut)
    thread.start()
    arguments = ("--threads", "1", "--min-time", "3", "--max-time", "3")
    result = probed(board, bundle.path, heard, arguments)
    thread.join()
    assert killed
    assert result.measurement is not None
    assert "connecting again" in heard.texts()
    assert heard.texts().count("starting") == 1
    assert sum(result.measurement.latencies_ns) > 1e9
    assert board.runs() == []


def test_one_host_that_fails_does_not_stop_another(
    board: Loopback, bundle: WrittenBundle, tmp_path: Path
) -> None:
    with sshd(tmp_path / "other") as other:
        nobody = other.host
    hosts = [nobody, board.host]
    gone, there = probe_remote(
        hosts, bundle.path, QUICK, progress=Heard(), wall_s=60, ssh_options=board.settings
    )
    assert (gone.host, there.host) == (nobody, board.host)
    assert there.measurement is not None
    error = error_of(gone)
    assert isinstance(error, HostError)
    assert str(error) == (
        f"{nobody}: ssh: connect to host 127.0.0.1 port {other.port}: Connection refused"
    )
    assert error.hint == (
        f"is it switched on, in this network, and its name right? try ssh {nobody}"
    )


def test_an_unknown_host_key_and_another_one(board: Loopback, bundle: WrittenBundle) -> None:
    known = board.folder / "known_hosts"
    known.write_text("")
    error = error_of(probed(board, bundle.path, Heard()))
    assert str(error) == f"{board.host}: its host key is not known here"
    assert error.hint == (
        f"connect once by hand, and compare the key that it shows: ssh {board.host}"
    )
    other = (board.folder / "id.pub").read_text()
    known.write_text(f"[127.0.0.1]:{board.port} {other}")
    error = error_of(probed(board, bundle.path, Heard()))
    assert str(error) == f"{board.host}: its host key is another one than before"


def test_who_has_no_key_is_told_so(board: Loopback, bundle: WrittenBundle) -> None:
    (board.folder / "authorized_keys").write_text("")
    error = error_of(probed(board, bundle.path, Heard()))
    assert str(error).endswith("Permission denied (publickey).")
    assert error.hint == (
        f"ssh asks for nothing here: use a key or the agent, and try ssh {board.host}"
    )


def test_a_bundle_for_another_machine(board: Loopback, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    made = write_small(tmp_path / "made" / "arm.pyz", architecture="armv7l")
    error = error_of(probed(board, made.path, Heard()))
    assert isinstance(error, BundleError)
    assert str(error).startswith(f"{board.host}: arm.pyz: made for armv7l")
    assert error.hint is not None
    assert board.runs() == []


@pytest.mark.parametrize(
    ("python", "what", "hint"),
    [
        ("none", "there is no python3 that can be started", "install it there"),
        (
            "old",
            "its python3 is 3.6",
            "install the one there that the bundle was made for: python3.",
        ),
    ],
)
def test_python_that_is_not_there_or_too_old(
    tmp_path: Path, bundle: WrittenBundle, python: str, what: str, hint: str
) -> None:
    path = str(tmp_path / "nothing") if python == "none" else old_python(tmp_path / "old")
    with sshd(tmp_path / "board", path) as board:
        error = error_of(probed(board, bundle.path, Heard()))
    assert isinstance(error, HostError)
    assert str(error) == f"{board.host}: {what}"
    assert error.hint is not None
    assert error.hint.startswith(hint)


def test_the_python_that_the_bundle_was_made_for_is_looked_for(
    tmp_path: Path, bundle: WrittenBundle
) -> None:
    path = old_python(tmp_path / "old")
    made_for = "python{}.{}".format(*sys.version_info[:2])
    # By a link it would not find its own packages.
    program = tmp_path / "old" / made_for
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    with sshd(tmp_path / "board", path) as board:
        assert probed(board, bundle.path, Heard()).measurement is not None


def test_a_board_is_one_probe_at_a_time(
    board: Loopback, bundle: WrittenBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_visit, "_LOCK_S", 2)
    board.remote.mkdir(parents=True)
    with (board.remote / "lock").open("w") as lock:
        lock.write(json.dumps({"who": "ada@desk", "group": 4711}))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        heard = Heard()
        error = error_of(probed(board, bundle.path, heard))
    assert "waiting for ada@desk (process group 4711)" in heard.texts()
    assert str(error) == (
        f"{board.host}: another probe keeps the board busy: ada@desk (process group 4711)"
    )
    assert board.runs() == []
    assert probed(board, bundle.path, Heard()).measurement is not None


def test_a_run_that_takes_too_long_is_ended(board: Loopback, bundle: WrittenBundle) -> None:
    (result,) = probe_remote(
        [board.host], bundle.path, LONG, progress=Heard(), wall_s=2, ssh_options=board.settings
    )
    assert str(error_of(result)) == f"{board.host}: no result within 2 s"
    assert board.running() == []
    assert board.runs() == []


_SCRIPT = """\
import sys
from pathlib import Path
from edge.workflows.remote import probe_remote
host, bundle, options, arguments = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4]
def said(host, fraction, text):
    print(text, flush=True)
probe_remote([host], Path(bundle), arguments.split(), progress=said, wall_s=100,
             ssh_options=options.split("\\n"))
"""


def test_an_interruption_ends_the_run_there(board: Loopback, bundle: WrittenBundle) -> None:
    words = [board.host, str(bundle.path), "\n".join(board.settings), " ".join(LONG)]
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert any(line == "measuring\n" for line in program.stdout)
        assert board.running() != []
        program.send_signal(signal.SIGINT)
        said = program.stderr.read()
        program.wait()
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert board.running() == []
    assert board.runs() == []
    # The board is free again, and the bundle is still there.
    heard = Heard()
    assert probed(board, bundle.path, heard).measurement is not None
    assert "copying" not in heard.texts()


def test_what_is_no_bundle_is_not_copied(board: Loopback, tmp_path: Path) -> None:
    nothing = tmp_path / "model.onnx"
    nothing.write_bytes(b"no bundle")
    with pytest.raises(BundleError, match=r"model\.onnx: not a bundle$"):
        probed(board, nothing, Heard())
    with pytest.raises(BundleError, match=r"no\.pyz: no such file or directory$"):
        probed(board, tmp_path / "no.pyz", Heard())
    assert not board.remote.exists()


def test_a_host_is_named_once(bundle: WrittenBundle) -> None:
    for hosts in ([], ["pi@board", "pi@board"]):
        with pytest.raises(UsageError, match=r"^name each host once$"):
            probe_remote(hosts, bundle.path, (), progress=Heard(), wall_s=1)
