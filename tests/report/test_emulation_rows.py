"""Emulations in rows: the table for people, the steps for CI systems, and hostile names."""

import dataclasses
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_emulations import (
    CRASH,
    DEARER_ONE,
    FAILED,
    ILLEGAL,
    NANO,
    PLACE,
    STEPS,
    emulation,
    matrix,
)
from made_gates import HOSTILE

from edge.records.emulation import Emulation, EmulationMatrix, MemoryUse, OutputCheck, Step
from edge.report.emulation_rows import emulation_rows, emulation_suites
from edge.report.emulation_words import increase_text, memory_text, outputs_text
from edge.report.junit import junit_xml
from edge.report.markdown import markdown_table

FULL = MemoryUse(
    mode="full-system",
    peak_bytes=300 << 20,
    usable_bytes=400 << 20,
    machine_bytes=512 << 20,
    available_bytes=410 << 20,
    sufficient_bytes=384 << 20,
)
PASSED = ("rpi4", "passed", "passed", "6e-07", "52 M", "126 M", "120 M", "80 MiB")


def test_a_row_a_target() -> None:
    rows = emulation_rows(matrix())
    assert rows.columns == (
        *("target", "verify", "run", "largest difference", "load", "first", "steady"),
        *("peak memory", "result"),
    )
    assert [(row.mark, row.cells) for row in rows.rows] == [
        ("failed", ("rpi3", "passed", "failed", "–", "–", "–", "–", "–", "2 findings")),
        ("ok", (*PASSED, "nothing found")),
        ("open", ("jetson-nano", "–", "–", "–", "–", "–", "–", "–", "not emulated")),
    ]


def test_a_gate_has_a_column() -> None:
    rows = emulation_rows(matrix(FAILED, DEARER_ONE))
    assert rows.columns[-3] == "steady against baseline"
    assert [row.cells[-3] for row in rows.rows] == ["–", "+9.09 %", "–"]
    assert len({len(row.cells) for row in rows.rows}) == 1


@pytest.mark.parametrize(("index", "text"), [(0, "0 %"), (1, "-1.56 %"), (2, "+9.09 %")])
def test_an_increase_has_a_sign(index: int, text: str) -> None:
    assert increase_text(DEARER_ONE.cost_changes[index]) == text


def test_the_steps_of_a_target() -> None:
    (suite,) = emulation_suites(DEARER_ONE)
    assert suite.group == "edgekit.emulate.rpi4"
    assert [(row.name, row.mark, row.answer) for row in suite.rows] == [
        ("audit", "ok", "passed"),
        ("verify", "ok", "passed"),
        ("run", "ok", "passed"),
        ("count", "failed", "cost-increase"),
    ]


def test_a_step_that_failed_without_a_finding_or_has_no_step_is_told() -> None:
    steps = (Step(name="verify", outcome="failed", note="no"),)
    (suite,) = emulation_suites(emulation(steps=steps, findings=(CRASH,)))
    assert [(row.name, row.mark, row.reason) for row in suite.rows] == [
        ("verify", "failed", "no"),
        ("run", "failed", "it died of SIGILL (crash): take another runtime"),
    ]


def test_what_changed_is_told_with_the_count() -> None:
    (suite,) = emulation_suites(emulation(cost_changes=DEARER_ONE.cost_changes[:2]))
    assert suite.rows[-1].reason == (
        "3 steady inferences; load: 52 M instructions, as many as the baseline; first: 126 M "
        "instructions, 1.56 % fewer than the baseline's 128 M (allowed: 2 %)"
    )


@pytest.mark.parametrize(
    ("memory", "text"),
    [
        (None, "unknown"),
        (
            MemoryUse(mode="user", peak_bytes=None, usable_bytes=1 << 30),
            "peak unknown, usable 1 GiB, under user-mode emulation",
        ),
        (
            MemoryUse(mode="native", peak_bytes=1 << 20, usable_bytes=1 << 30),
            "peak 1 MiB, usable 1 GiB, natively",
        ),
        (
            FULL,
            (
                "peak 300 MiB, usable 400 MiB, on a machine with 512 MiB that has 410 MiB left for "
                "programs; the smallest that did: 384 MiB"
            ),
        ),
        (
            dataclasses.replace(FULL, available_bytes=None, sufficient_bytes=None),
            "peak 300 MiB, usable 400 MiB, on a machine with 512 MiB",
        ),
    ],
)
def test_memory_in_words(memory: MemoryUse | None, text: str) -> None:
    assert memory_text(memory) == text


def test_outputs_in_words() -> None:
    assert outputs_text(None) == "unknown"
    one = OutputCheck(samples=1, agreed=0, compare="class", largest_difference=None)
    assert outputs_text(one) == "0 of 1 sample agree (class), largest difference –"


def test_the_whole_document_of_a_matrix() -> None:
    two = matrix(dataclasses.replace(FAILED, bundle_sha256=None))
    assert (
        junit_xml(two)
        == f"""<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="edgekit" tests="6" failures="2" errors="1" skipped="1" time="0">
 <testsuite name="emulation of digits-cnn-rpi3 on rpi3" tests="5" failures="2" errors="0" skipped="1" time="0" hostname="localhost">
  <properties>
   <property name="model" value="digits-cnn" />
   <property name="model sha256" value="{"ab" * 32}" />
   <property name="bundle" value="digits-cnn-rpi3" />
   <property name="bundle sha256" value="unknown" />
   <property name="target" value="rpi3" />
   <property name="runtime" value="onnxruntime 1.32.0" />
   <property name="system" value="Debian 12 (bookworm), arm64" />
   <property name="Python" value="3.11.2" />
   <property name="glibc" value="2.36" />
   <property name="processor" value="cortex-a53" />
   <property name="emulator" value="qemu-aarch64 7.2.22" />
   <property name="outputs" value="unknown" />
   <property name="memory" value="unknown" />
   <property name="edgekit" value="0.1.0" />
  </properties>
  <testcase name="audit" classname="edgekit.emulate.rpi3" time="0">
   <system-out>every compiled file finds what it needs there</system-out>
  </testcase>
  <testcase name="verify" classname="edgekit.emulate.rpi3" time="0">
   <system-out>intact, and it fits</system-out>
  </testcase>
  <testcase name="run" classname="edgekit.emulate.rpi3" time="0">
   <failure message="{ILLEGAL.what} (illegal-instruction): {ILLEGAL.remedy}" type="illegal-instruction">{ILLEGAL.what} (illegal-instruction): {ILLEGAL.remedy}</failure>
  </testcase>
  <testcase name="run (2)" classname="edgekit.emulate.rpi3" time="0">
   <failure message="it died of SIGILL (crash): take another runtime" type="crash">it died of SIGILL (crash): take another runtime</failure>
  </testcase>
  <testcase name="count" classname="edgekit.emulate.rpi3" time="0">
   <skipped message="the model does not run there" />
  </testcase>
 </testsuite>
 <testsuite name="emulation of digits-cnn on jetson-nano" tests="1" failures="0" errors="1" skipped="0" time="0" hostname="localhost">
  <properties>
   <property name="model" value="digits-cnn" />
   <property name="target" value="jetson-nano" />
   <property name="edgekit" value="0.1.0" />
  </properties>
  <testcase name="emulate" classname="edgekit.emulate.jetson-nano" time="0">
   <error message="the disk is full: free some space" type="HostError">the disk is full: free some space</error>
  </testcase>
 </testsuite>
</testsuites>
"""
    )


def test_counts_are_properties_and_differences_are_told() -> None:
    suite = ET.fromstring(junit_xml(emulation()).encode())[0]
    told = {p.get("name"): p.get("value") for p in suite.iterfind("properties/property")}
    assert told["instructions of load"] == "52000000"
    assert told["instructions of the first inference"] == "126000000"
    assert told["instructions of a steady inference"] == "119905000"
    assert told["spread of steady"] == "0.00834 %"
    assert suite.findtext("system-out") == "the sensors are files that stay as they are"


def test_the_whole_markdown_of_a_matrix() -> None:
    assert markdown_table(matrix(FAILED, DEARER_ONE)) == (
        "### emulation of digits-cnn\n\n"
        "| target | verify | run | largest difference | load | first | steady "
        "| steady against baseline | peak memory | result |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | :--- |\n"
        "| rpi3 | passed | failed | – | – | – | – | – | – | ❌ 2 findings |\n"
        "| rpi4 | passed | passed | 6e-07 | 52 M | 126 M | 120 M | +9.09 % | 80 MiB "
        "| ❌ 1 finding |\n"
        "| jetson-nano | – | – | – | – | – | – | – | – | ❔ not emulated |\n\n"
        "- ❌ rpi3: run: libonnxruntime.so.1.32.0 uses an instruction of asimddp that the "
        "processor lacks (illegal-instruction): take a runtime that was built for this processor\n"
        "- ❌ rpi3: run: it died of SIGILL (crash): take another runtime\n"
        "- ❌ rpi4: count: a steady inference takes 120 M instructions, 9.09 % more than the "
        "baseline's 110 M (allowed: 2 %) (cost-increase): make a new baseline\n"
        "- ❌ jetson-nano: not emulated: the disk is full: free some space\n"
        "- load, first and steady are instructions, counted with one thread; they are no time\n"
        "- rpi4: the sensors are files that stay as they are\n\n"
        "model: digits-cnn; runtime: onnxruntime 1.32.0; emulator: qemu-aarch64 7.2.22; "
        "edgekit: 0.1.0\n"
    )


def test_a_passed_target_in_markdown() -> None:
    lines = markdown_table(emulation()).splitlines()
    assert lines[0] == "### emulation of digits-cnn-rpi4 on rpi4"
    assert lines[4] == (
        "| rpi4 | passed | passed | 6e-07 | 52 M | 126 M | 120 M | 80 MiB | ✅ nothing found |"
    )


def hostile(text: str) -> list[Emulation | EmulationMatrix]:
    told: Any = text if text.strip() else "-"
    finding = dataclasses.replace(ILLEGAL, what=told, remedy=told)
    one = emulation(
        bundle=text,
        model=text,
        target=text,
        runtime=text,
        place=dataclasses.replace(PLACE, system=text, emulator=text, differences=(text,)),
        findings=(finding, dataclasses.replace(finding, step="memory")),
        steps=(*STEPS[:3], Step(name="count", outcome="skipped", note=text)),
    )
    failed = dataclasses.replace(NANO, target=text, what=text, hint=text)
    return [one, matrix(one, model=text, not_emulated=(failed,))]


@given(st.text(st.characters(), min_size=1))
def test_any_name_gives_a_document(text: str) -> None:
    for report in hostile(text):
        suites = ET.fromstring(junit_xml(report).encode())
        for name, path in (("tests", ""), ("failures", "/failure"), ("errors", "/error")):
            assert suites.get(name) == str(len(suites.findall(f"testsuite/testcase{path}")))
        table = [line for line in markdown_table(report).splitlines() if line.startswith("|")]
        bars = {line.replace("\\|", "").count("|") for line in table}
        assert bars == {10}


def test_hostile_names_are_escaped() -> None:
    (one, _) = hostile(HOSTILE)
    suite = ET.fromstring(junit_xml(one).encode())[0]
    assert suite.get("name") == (
        r'emulation of a<b>&"|`x`\x00\x1b[31m\ud800\n]]> on a<b>&"|`x`\x00\x1b[31m\ud800\n]]>'
    )
    assert r"### emulation of a\<b\>\&" in markdown_table(one)


def test_a_matrix_of_nothing_is_a_table_all_the_same() -> None:
    nothing = EmulationMatrix(
        model="m", emulations=(), not_emulated=(NANO,), edgekit_version="0.1.0"
    )
    assert [row.mark for row in emulation_rows(nothing).rows] == ["open"]
    assert dict(emulation_rows(nothing).facts)["emulator"] == "none"


def test_what_targets_have_in_common_is_said_once() -> None:
    several = matrix(emulation(), emulation(target="rpi5"), FAILED)
    table = markdown_table(several)
    assert table.count("the sensors are files that stay as they are") == 1
    assert "- rpi4, rpi5: the sensors are files that stay as they are\n" in table
