"""A file appears whole or not at all, and every failure says what to do."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from edge.adapters.files import read_json, read_text, read_toml, whole_file, write_json, write_text
from edge.adapters.store import cache_folder
from edge.errors import ConfigError, HostError, ModelError


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"µ": [1, None]})
    assert read_json(path) == {"µ": [1, None]}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "old")

    def fail() -> None:
        with whole_file(path) as staged:
            staged.write_text("new", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "x")
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        write_text(tmp_path / "no" / "x.txt", "x")
    assert str(caught.value) == f"{tmp_path}/no/x.txt: no such file or directory"
    assert caught.value.hint == "create the folder first"


def test_a_full_disk(tmp_path: Path) -> None:
    # A limit on the file's size stands in for a full disk; both end in an OSError in the middle.
    code = (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pathlib import Path\n"
        "from edge.adapters.files import write_text\n"
        "from edge.errors import HostError\n"
        "try:\n    write_text(Path('x.txt'), 'x' * 5000)\n"
        "except HostError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert done.stdout == "x.txt: file too large\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_no_space_left(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught, whole_file(tmp_path / "x"):
        Path("/dev/full").write_text("x", encoding="utf-8")
    assert str(caught.value) == f"{tmp_path}/x: no space left on device"
    assert caught.value.hint == "free some disk space, or choose another folder"


@pytest.mark.parametrize(
    ("content", "reader", "message"),
    [
        (None, read_text, "no such file or directory"),
        (b"\xff", read_text, "not a UTF-8 text file"),
        (
            b"{",
            read_json,
            "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (b"[" * 100_000, read_json, None),
        (b"a = ", read_toml, "not TOML: Invalid value (at end of document)"),
    ],
)
def test_unreadable(tmp_path: Path, content: bytes | None, reader: object, message: str) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        reader(path)  # type: ignore[operator]
    if message is not None:
        assert str(caught.value) == f"{path}: {message}"


def test_the_reader_chooses_the_family(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        read_text(tmp_path / "x", ModelError)


def test_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "c"))
    assert cache_folder("a", "b") == tmp_path / "c" / "a" / "b"
    monkeypatch.delenv("EDGEKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder("a") == tmp_path / "x" / "edgekit" / "a"
    assert (tmp_path / "x" / "edgekit" / "a").is_dir()


def test_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(HostError, match="not a directory"):
        cache_folder("a")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
