"""Rows of text files, and everything that a hostile one tries."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.datasets import rows
from edge.errors import UsageError


def refused(read: Any, path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        list(read(path))
    return str(caught.value)


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n1, x \r\n\r\n,\r\n"2\nor 3","a ""b"""\r\n')
    names, found = rows.csv_table(path)
    assert names == ["a", "b"]
    assert list(found) == [(2, ["1", "x"]), (6, ["2\nor 3", 'a "b"'])]
    tabs = tmp_path / "t.tsv"
    tabs.write_text("a,b\tc\n", encoding="utf-8")
    assert list(rows.csv_rows(tabs)) == [(1, ["a,b", "c"])]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", ": there is nothing in it"),
        (b"a,a\n", ", line 1: two columns are called 'a'"),
        (b"a,b\n1\n", ", line 2: the row has 1 cells, and the first has 2"),
        (b'a\n"1\n', ", line 2: not CSV: unexpected end of data"),
        (b"a\n\xff\n", ", line 2: it is not UTF-8"),
        (b'a\n"1"2\n', ", line 2: not CSV: ',' expected after '\"'"),
        (b"a\n" + b"x" * (1 << 20) + b"\n", ", line 2: the line is longer than 1048576 bytes"),
        (
            b'a\n"' + (b"x" * 1000 + b"\n") * 1100,
            ", line 1049: not CSV: field larger than field limit (1048576)",
        ),
    ],
)
def test_csv_refusals(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    assert refused(lambda p: rows.csv_table(p)[1], path) == f"{path}{message}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1}\n[1]\n', ", line 2: it is no JSON object"),
        (b"{a}\n", ", line 1: not JSON: Expecting property name enclosed in double quotes"),
        (b"[" * 100_000 + b"\n", ", line 1: not JSON: maximum recursion depth exceeded"),
        (b'{"a": ' + b"1" * 5000 + b"}\n", ", line 1: not JSON: Exceeds the limit (4300 digits)"),
    ],
)
def test_json_refusals(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(data)
    assert refused(rows.json_rows, path).startswith(f"{path}{message}")


def test_nothing_endless_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n2\n3\n", encoding="utf-8")
    monkeypatch.setattr(rows, "MOST_ROWS", 2)
    assert refused(rows.csv_rows, path) == f"{path}: more than 2 rows"
    monkeypatch.setattr(rows, "LARGEST_BYTES", 4)
    assert refused(rows.read_lines, path) == f"{path}: 8 bytes are more than the 4 that are read"
    assert refused(rows.read_lines, tmp_path) == f"{tmp_path}: is a directory"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    path = _scratch / "any"
    path.write_bytes(data)
    for read in (rows.csv_rows, rows.json_rows):
        told = str(path)
        try:
            list(read(path))
        except UsageError as error:
            told = str(error)
        assert told.startswith(str(path))


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _scratch  # noqa: PLW0603 - hypothesis and fixtures of a function do not go together
    _scratch = tmp_path_factory.mktemp("rows")


_scratch = Path()
