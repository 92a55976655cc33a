"""Rows of CSV and JSON Lines files, each with the number of its line; nothing endless is read."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edge.errors import UsageError

LARGEST_BYTES: Final = 256 << 20
LONGEST_LINE_BYTES: Final = 1 << 20
MOST_ROWS: Final = 1_000_000
_DELIMITERS: Final = {".tsv": "\t"}
_MARK: Final = b"\xef\xbb\xbf"

Row = tuple[int, list[str]]


def place(path: object, line: int) -> str:
    """Name a line of a file, as the errors do."""
    return f"{path}, line {line}"


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a text file, with their ends.

    Raises:
        UsageError: it is too large, a line is too long, or it is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > LARGEST_BYTES:
                what = f"{size} bytes are more than the {LARGEST_BYTES} that are read"
                raise UsageError(what, where=path, hint="give a part of it")
            number = 0
            while line := file.readline(LONGEST_LINE_BYTES + 1):
                number += 1
                if len(line) > LONGEST_LINE_BYTES:
                    what = f"the line is longer than {LONGEST_LINE_BYTES} bytes"
                    raise UsageError(what, where=place(path, number))
                if number == 1:
                    line = line.removeprefix(_MARK)
                yield number, _decoded(line, path, number)
    except OSError as error:
        raise UsageError((error.strerror or "unreadable").lower(), where=path) from error


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        what = "it is not UTF-8"
        hint = "save it as UTF-8"
        raise UsageError(what, where=place(path, number), hint=hint) from error


def csv_rows(path: Path) -> Iterator[Row]:
    """Read a CSV file (a .tsv has tabs): rows with the line on which they end, empty ones apart.

    Raises:
        UsageError: it is none, or has too many rows.
    """
    # The child's own; a field may be as long as a line.
    csv.field_size_limit(LONGEST_LINE_BYTES)
    delimiter = _DELIMITERS.get(path.suffix.lower(), ",")
    reader = csv.reader((text for _, text in read_lines(path)), delimiter=delimiter, strict=True)
    rows = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            where = place(path, reader.line_num)
            raise UsageError(f"not CSV: {error}", where=where, hint=_QUOTES) from error
        if not any(cell.strip() for cell in row):
            continue
        rows += 1
        _require_few(rows, path)
        yield reader.line_num, [cell.strip() for cell in row]


_QUOTES = 'a field with a comma or a quote stands in "quotes", and a quote in it is doubled'


def csv_table(path: Path) -> tuple[list[str], Iterator[Row]]:
    """Read a CSV file whose first row has the names of its columns.

    Raises:
        UsageError: it is none, or a row has another number of cells.
    """
    rows = csv_rows(path)
    first = next(rows, None)
    if first is None:
        raise UsageError("there is nothing in it", where=path)
    line, names = first
    double = next((name for n, name in enumerate(names) if name and name in names[:n]), None)
    if double is not None:
        raise UsageError(f"two columns are called {double!r}", where=place(path, line))
    return names, _of_one_length(rows, len(names), path)


def _of_one_length(rows: Iterator[Row], count: int, path: Path) -> Iterator[Row]:
    for line, row in rows:
        if len(row) != count:
            what = f"the row has {len(row)} cells, and the first has {count}"
            raise UsageError(what, where=place(path, line), hint=_QUOTES)
        yield line, row


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read JSON Lines: an object a line.

    Raises:
        UsageError: a line is none, or there are too many.
    """
    rows = 0
    for number, text in read_lines(path):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = str(error).split(":", maxsplit=1)[0]
            what = f"not JSON: {reason}"
            raise UsageError(what, where=place(path, number), hint=_OBJECTS) from error
        if not isinstance(row, dict):
            what = "it is no JSON object"
            raise UsageError(what, where=place(path, number), hint=_OBJECTS)
        rows += 1
        _require_few(rows, path)
        yield number, row


_OBJECTS = 'each line is an object of its own: {"text": "so it was", "label": 1}'


def _require_few(rows: int, path: Path) -> None:
    if rows > MOST_ROWS:
        raise UsageError(f"more than {MOST_ROWS} rows", where=path, hint="give a part of it")
