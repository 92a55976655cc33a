"""A journal of results: whatever happens, what was finished is there."""

import errno
import json
import os
import subprocess
import sys
import threading
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_advice
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.device.journal import Journal, read_journal
from edge.errors import ConfigError, EdgekitError, HostError
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import Measurement

HERE = Path(__file__).parent
NO_JOURNAL = "not a journal of measurements"


def records(count: int) -> list[Measurement]:
    one = made_advice.measurement()
    return [replace(one, started_unix_ns=n, latencies_ns=tuple(range(1000))) for n in range(count)]


def write(path: Path, documents: list[Any]) -> None:
    with Journal.open(str(path)) as opened:
        for document in documents:
            opened.append(document)


def line(document: Any) -> bytes:
    text = json.dumps(document).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "j"
    made = records(3)
    with Journal.open(str(path)) as opened:
        assert opened.documents() == []
        opened.append(to_dict(made[0]))
    with Journal.open(str(path)) as opened:
        for record in made[1:]:
            opened.append(to_dict(record))
        assert [from_dict(Measurement, d) for d in opened.documents()] == made
        assert (opened.lost, opened.documents()) == (0, read_journal(str(path)))
    assert path.read_bytes() == b"".join(
        b"%08x %b\n" % (zlib.crc32(text), text)
        for text in (json.dumps(to_dict(r), separators=(",", ":")).encode() for r in made)
    )


def test_a_hundred_kills_lose_nothing_that_was_finished(tmp_path: Path) -> None:
    documents = [to_dict(record) for record in records(40)]
    printed = subprocess.check_output(
        [sys.executable, HERE / "journal_writer.py", tmp_path, "100"],
        input=json.dumps(documents).encode(),
        timeout=120,
    )
    found = json.loads(printed)
    rows = found["rows"]
    assert len(rows) == 100
    assert all(row["died"] and row["right"] and row["ended"] for row in rows)
    # What was not yet told may be there already, and nothing else is.
    assert {row["found"] - row["told"] for row in rows} == {0, 1}
    assert {row["told"] for row in rows} >= {0, 10, 20, 30, 39}


@pytest.mark.parametrize(
    "tail",
    [b"\0" * 5000, b"1", b"0123abcd", b'12345678 {"a', line({"a": 3})[:-1], b"12345678 {}\n"],
)
@pytest.mark.parametrize("before", [[], [{"a": 1}, {"a": 2}]])
def test_a_torn_end_goes_and_nothing_else(tmp_path: Path, tail: bytes, before: list[Any]) -> None:
    path = tmp_path / "j"
    whole = b"".join(line(document) for document in before)
    path.write_bytes(whole + tail)
    assert read_journal(str(path)) == before
    assert path.read_bytes() == whole + tail
    with Journal.open(str(path)) as opened:
        assert (opened.documents(), opened.lost) == (before, 0)
        assert path.read_bytes() == whole
        opened.append({"new": "é\n"})
    assert read_journal(str(path)) == [*before, {"new": "é\n"}]


@pytest.mark.parametrize("damage", [b"hello\n", b"12345678 {}\n", b"\n", b"\0\0\0\n\xff\n"])
def test_damage_in_the_middle_is_counted_and_loses_nothing(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "j"
    content = line({"a": 1}) + damage + line({"a": 2})
    path.write_bytes(content)
    with Journal.open(str(path)) as opened:
        assert (opened.documents(), opened.lost) == ([{"a": 1}, {"a": 2}], damage.count(b"\n"))
        assert path.read_bytes() == content
        opened.append({"a": 3})
    assert read_journal(str(path)) == [{"a": 1}, {"a": 2}, {"a": 3}]


@pytest.mark.parametrize(
    "content", [b'{"a": 1}\n', b"hello", b"\x7fELF" * 99, b"a\nb\nc\n", b"12345678 {}\nhello\n"]
)
def test_another_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    for use in (Journal.open, read_journal):
        with pytest.raises(ConfigError) as caught:
            use(str(path))
        assert str(caught.value) == f"{path}: {NO_JOURNAL}"
        assert caught.value.hint == "name another file, or move this one away"
    assert path.read_bytes() == content


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_any_damage_leaves_the_rest(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "any"
    whole = [line({"number": number}) for number in range(4)]
    content = bytearray(b"".join(whole))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.integers(place + 1, len(content)))])
    damaged = place // len(whole[0])
    try:
        found = [document["number"] for document in read_journal(str(path))]
    except ConfigError:
        found = []  # Nothing whole is left by which to know it.
    assert set(range(damaged)) <= set(found) <= set(range(4)) - {damaged}


def test_two_do_not_write_into_one(tmp_path: Path) -> None:
    path = str(tmp_path / "j")
    with Journal.open(path) as first:
        first.append({"a": 1})
        with pytest.raises(HostError) as caught:
            Journal.open(path)
        assert str(caught.value) == f"{path}: another probe is writing it"
        assert caught.value.hint == "wait for it, or name another folder"
        assert read_journal(path) == [{"a": 1}]
    with Journal.open(path) as second:
        assert second.documents() == [{"a": 1}]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j"
    plain = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(descriptor, data[:10])

    with Journal.open(str(path)) as opened:
        opened.append({"a": 1})
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(HostError, match="no space left on device"):
                opened.append({"a": "a longer one"})
        assert opened.documents() == [{"a": 1}]
        opened.append({"a": 2})
    assert path.read_bytes().count(b"\n") == 2
    assert read_journal(str(path)) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("kind", ["folder", "missing", "pipe", "link"])
def test_what_cannot_be_a_journal(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "j"
    if kind == "folder":
        path.mkdir()
    elif kind == "missing":
        path = tmp_path / "no" / "j"
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/hostname")
    before = threading.active_count()
    with pytest.raises(EdgekitError) as caught:
        Journal.open(str(path))
    messages = {
        "folder": "is a directory",
        "missing": "no such file or directory",
        "pipe": NO_JOURNAL,
        "link": "too many levels of symbolic links",
    }
    assert str(caught.value) == f"{path}: {messages[kind]}"
    assert threading.active_count() == before
