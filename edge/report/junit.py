"""JUnit's XML for checks, comparisons and emulations, as GitLab and Jenkins read it.

A limit that is missed and a pair that became slower is a failure, what is not known an error, and
what does not count because of flaws is skipped beside one error that names the flaws. An emulation
is a suite for each target, with a case for each step; a target that could not be emulated is an error.
"""

import re
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree as ET

from edge.records.check import Check
from edge.records.comparison import Comparisons
from edge.records.emulation import Emulation, EmulationMatrix
from edge.report.emulation_rows import emulation_suites
from edge.report.gate_rows import Row, Rows, rows_of

# XML 1.0, 2.2: what no document may hold, not even as a reference.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: Check | Comparisons | Emulation | EmulationMatrix) -> str:
    """Return a test suite with a case for each limit or pair; or one a target, with its steps."""
    suites = ET.Element("testsuites")
    if isinstance(report, Emulation | EmulationMatrix):
        for rows in emulation_suites(report):
            _add_suite(suites, rows)
    else:
        suite = _add_suite(suites, rows_of(report), of_check=isinstance(report, Check))
        if isinstance(report, Check):
            suite.set("timestamp", _moment(report.started_unix_ns))
    suites.attrib.update(_totals("edgekit", suites))
    ET.indent(suites, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, "unicode") + "\n"


def _add_suite(suites: ET.Element, rows: Rows, *, of_check: bool = False) -> ET.Element:
    suite = ET.SubElement(suites, "testsuite")
    properties = ET.SubElement(suite, "properties")
    for name, value in rows.facts:
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    for row in rows.rows:
        _add_case(suite, rows, row, of_check=of_check)
    if rows.flaws:
        case = _case(suite, rows, "trustworthy")
        _say(case, "error", "not-trustworthy", "; ".join(rows.flaws))
    if rows.remarks:
        ET.SubElement(suite, "system-out").text = _clean("\n".join(rows.remarks))
    suite.attrib.update({**_totals(rows.title, suite), "hostname": "localhost"})
    return suite


def _totals(name: str, element: ET.Element) -> dict[str, str]:
    cases = list(element.iter("testcase"))
    totals = {"name": _clean(name), "tests": str(len(cases))}
    for total, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        totals[total] = str(sum(len(case.findall(tag)) for case in cases))
    return {**totals, "time": "0"}


def _add_case(suite: ET.Element, rows: Rows, row: Row, *, of_check: bool) -> None:
    case = _case(suite, rows, row.name)
    if row.mark == "failed":
        _say(case, "failure", row.answer, row.reason)
    elif row.mark == "open":
        _say(case, "error", row.answer, row.reason)
    elif row.mark == "skipped":
        ET.SubElement(case, "skipped", message=_clean(row.reason))
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
