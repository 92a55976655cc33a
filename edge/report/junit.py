"""JUnit's XML for checks and comparisons, as GitLab and Jenkins read it.

A limit that is missed and a pair that became slower is a failure, what is not known an error, and
what does not count because of flaws is skipped beside one error that names the flaws.
"""

import re
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree as ET

from edge.records.check import Check
from edge.records.comparison import Comparisons
from edge.report.gate_rows import Row, Rows, rows_of

# XML 1.0, 2.2: what no document may hold, not even as a reference.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: Check | Comparisons) -> str:
    """Return one test suite with a case for each limit or pair."""
    rows = rows_of(report)
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite")
    properties = ET.SubElement(suite, "properties")
    for name, value in rows.facts:
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    for row in rows.rows:
        _add_case(suite, rows, row, of_check=isinstance(report, Check))
    if rows.flaws:
        case = _case(suite, rows, "trustworthy")
        _say(case, "error", "not-trustworthy", "; ".join(rows.flaws))
    if rows.remarks:
        ET.SubElement(suite, "system-out").text = _clean("\n".join(rows.remarks))
    counts = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    texts = {name: str(count) for name, count in counts.items()}
    suite.attrib.update({"name": _clean(rows.title), **texts, "time": "0", "hostname": "localhost"})
    if isinstance(report, Check):
        suite.set("timestamp", _moment(report.started_unix_ns))
    suites.attrib.update({"name": "edgekit", **texts, "time": "0"})
    ET.indent(suites, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def _add_case(suite: ET.Element, rows: Rows, row: Row, *, of_check: bool) -> None:
    case = _case(suite, rows, row.name)
    if row.mark == "failed":
        _say(case, "failure", row.answer, row.reason)
    elif row.mark == "open":
        _say(case, "error", row.answer, row.reason)
    elif row.mark == "void" and of_check:
        # The flaws are those of the one measurement and stand in a case of their own.
        ET.SubElement(case, "skipped", message=_clean(f"flawed: {row.reason}"))
    elif row.mark == "void":
        _say(case, "error", "not-trustworthy", row.reason)
    else:
        ET.SubElement(case, "system-out").text = _clean(row.reason)


def _case(suite: ET.Element, rows: Rows, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", name=_clean(name), classname=rows.group, time="0")


def _say(case: ET.Element, tag: str, kind: str, text: str) -> None:
    element = ET.SubElement(case, tag, message=_clean(text), type=kind)
    element.text = _clean(text)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", text)


def _moment(unix_ns: int) -> str:
    """Return the moment in UTC as the schema wants it, without a zone."""
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    try:
        return f"{epoch + timedelta(seconds=unix_ns // 10**9):%Y-%m-%dT%H:%M:%S}"
    except (OverflowError, ValueError):
        return f"{epoch:%Y-%m-%dT%H:%M:%S}"
