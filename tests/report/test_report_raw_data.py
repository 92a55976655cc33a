"""What the page offers for download is the record itself, whole."""

import base64
import gzip
import html.parser
import json
from typing import Any
from urllib.parse import unquote

import made_results as made
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.records.codec import from_dict, to_dict
from edge.records.measurement import Measurement
from edge.report import raw_data
from edge.report.raw_data import raw_file, raw_files

DOCUMENTS = st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=5)


def downloaded(address: str) -> Any:
    """Decode a link as a browser does, after the attribute has been read as HTML."""
    found: list[str] = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(dict(attrs)["href"] or "")

    Reader().feed(f'<a href="{address}">')
    head, _, data = found[0].partition(",")
    if head == "data:application/gzip;base64":
        return json.loads(gzip.decompress(base64.b64decode(data)))
    assert head == "data:application/json"
    return json.loads(unquote(data))


@given(document=DOCUMENTS)
def test_short_documents_come_back_as_they_were(document: dict[str, Any]) -> None:
    file = raw_file("1.model.json", document)
    assert file.address is not None
    assert downloaded(file.address) == document


def test_long_documents_are_compressed_the_same_way_each_time() -> None:
    record = made.measurement(10_000)
    file = raw_file("1.measurement.json", to_dict(record))
    assert file == raw_file("1.measurement.json", to_dict(record))
    assert file.name == "1.measurement.json.gz"
    assert file.address is not None
    assert from_dict(Measurement, downloaded(file.address)) == record


def test_what_no_browser_opens_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_data, "_LONGEST_ADDRESS", 10_000)
    record = made.measurement(10_000)
    file = raw_file("1.measurement.json", to_dict(record))
    assert file.address is None
    assert file.size_bytes > 80_000


def test_names_are_ours() -> None:
    hostile = made.model(name="../../etc/passwd")
    files = raw_files([hostile], [made.measurement(1), made.measurement(2)], [made.verdict()])
    assert [f.name for f in files] == [
        "1.verdict.json",
        "1.measurement.json",
        "2.measurement.json",
        "1.model.json",
    ]
