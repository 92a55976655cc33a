"""JUnit's XML: whole documents, the rules of the schema, and hostile names."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_gates import (
    HOSTILE,
    MISSED,
    NOT_SHOWN,
    OTHER_MACHINE,
    OTHER_RUNTIME,
    check,
    comparisons,
    limit,
    pair,
)

from edge.records.check import Check
from edge.records.comparison import Comparisons
from edge.report.junit import junit_xml

# Jenkins' junit-10.xsd: which attributes and children an element may have.
_ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {
        *("name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"),
    },
    "properties": set[str](),
    "property": {"name", "value"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set[str](),
}
_CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase", "system-out"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def read(report: Check | Comparisons) -> ET.Element:
    """Parse the document, and hold it to the schema's rules."""
    suites = ET.fromstring(junit_xml(report).encode())
    assert suites.tag == "testsuites"
    for element in suites.iter():
        assert set(element.attrib) <= _ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= _CHILDREN.get(element.tag, set())
    (suite,) = suites
    cases = suite.findall("testcase")
    for case in cases:
        assert case.get("name")
        assert case.get("classname")
        assert len(case) <= 1
    for name, path in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        count = str(len(suite.findall(f"testcase/{path}")))
        assert suite.get(name) == suites.get(name) == count
    assert suite.get("tests") == suites.get("tests") == str(len(cases))
    return suite


def cases(report: Check | Comparisons) -> dict[str, tuple[str, str | None]]:
    found = {}
    for case in read(report).findall("testcase"):
        first = case[0]
        found[case.attrib["name"]] = (first.tag, first.get("message"))
    return found


def test_the_whole_document_of_a_check() -> None:
    assert junit_xml(check(limit(), MISSED)) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<testsuites name="edgekit" tests="2" failures="1" errors="0" skipped="0" time="0">\n'
        ' <testsuite name="check of net.onnx" tests="2" failures="1" errors="0" skipped="0"'
        ' time="0" hostname="localhost" timestamp="2023-11-14T22:13:20">\n'
        "  <properties>\n"
        '   <property name="model" value="net.onnx" />\n'
        f'   <property name="model sha256" value="{"ab" * 32}" />\n'
        '   <property name="target" value="rpi4" />\n'
        '   <property name="machine" value="Raspberry Pi 4 Model B" />\n'
        '   <property name="runtime" value="onnxruntime 1.32.0, threads: 4" />\n'
        '   <property name="scenario" value="single-stream" />\n'
        '   <property name="queries" value="100" />\n'
        '   <property name="edgekit" value="0.1.0" />\n'
        "  </properties>\n"
        '  <testcase name="p90 latency" classname="edgekit.check" time="0">\n'
        "   <system-out>40 ms is within 50 ms</system-out>\n"
        "  </testcase>\n"
        '  <testcase name="peak memory" classname="edgekit.check" time="0">\n'
        '   <failure message="80 MiB is above 64 MiB" type="missed">'
        "80 MiB is above 64 MiB</failure>\n"
        "  </testcase>\n"
        " </testsuite>\n"
        "</testsuites>\n"
    )
    assert set(cases(check(limit(), MISSED))) == {"p90 latency", "peak memory"}


def test_what_is_not_shown_is_an_error() -> None:
    assert cases(check(NOT_SHOWN)) == {"p99 latency": ("error", "needs 562 more queries")}


def test_with_flaws_nothing_counts() -> None:
    assert cases(check(limit(), MISSED, flaws=("it drifted", "it was hot"))) == {
        "p90 latency": ("skipped", "flawed: 40 ms is within 50 ms"),
        "peak memory": ("skipped", "flawed: 80 MiB is above 64 MiB"),
        "trustworthy": ("error", "it drifted; it was hot"),
    }


def test_a_note_is_told() -> None:
    suite = read(check(limit(note="close")))
    assert suite.findtext("testcase/system-out") == "40 ms is within 50 ms; close"
    assert suite.findtext("system-out") == "p90 latency: close"


def test_the_pairs_of_a_comparison() -> None:
    found = comparisons(
        pair(),
        pair(name="same", answer="same", reason="within"),
        pair(name="open", answer="undecided", reason="needs 4 more rounds"),
        pair(name="hot", flaws_b=("it was hot",), unlike=(OTHER_MACHINE,), reason="so"),
        only_a=("gone",),
    )
    assert cases(found) == {
        "net.onnx": ("failure", "slower by 2 ms (1.9 ms to 2.1 ms), more than 500 µs"),
        "same": ("system-out", None),
        "open": ("error", "needs 4 more rounds"),
        "hot": (
            "error",
            "so; B is flawed: it was hot; unlike CPU model: Cortex-A72 against Cortex-A76",
        ),
        "trustworthy": ("error", "B lacks gone"),
    }


def test_what_is_not_alike_is_told() -> None:
    told = read(comparisons(pair(unlike=(OTHER_RUNTIME,)))).findtext("system-out")
    assert told is not None
    assert told.splitlines()[-1] == (
        "not alike: runtime: onnxruntime 1.31.0 against onnxruntime 1.32.0"
    )


def test_pairs_of_one_name_have_names_of_their_own() -> None:
    assert list(cases(comparisons(pair(), pair(threads=1, target="rpi4")))) == [
        "net.onnx (onnxruntime 1.32.0, threads: 4, single-stream)",
        "net.onnx (onnxruntime 1.32.0, threads: 1, single-stream, rpi4)",
    ]


@pytest.mark.parametrize("moment", [-(2**80), 2**80])
def test_a_moment_that_no_calendar_has(moment: int) -> None:
    assert read(check(started_unix_ns=moment)).get("timestamp") == "1970-01-01T00:00:00"


def hostile(text: str) -> list[Any]:
    return [
        check(limit(reason=text), model=text, host=text, target=text, runtime=text),
        check(limit(), flaws=(text,)),
        comparisons(pair(name=text, flaws_a=(text,)), a=text, b=text, only_b=(text,)),
    ]


@given(st.text(st.characters(), min_size=1))
def test_any_name_gives_a_document(text: str) -> None:
    for report in hostile(text):
        read(report)


def test_hostile_names_are_escaped() -> None:
    suite = read(check(limit(), model=HOSTILE))
    assert suite.get("name") == r'check of a<b>&"|`x`\x00\x1b[31m\ud800\n]]>'
