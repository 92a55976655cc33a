"""Markdown for the summary of a CI job: whole texts, and names that are markup."""

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

from edge.report.markdown import markdown_table


def test_the_whole_text_of_a_check() -> None:
    found = markdown_table(check(limit(note="close: so"), MISSED, NOT_SHOWN, target=None))
    assert found == (
        "### check of net.onnx\n\n"
        "| limit | allowed | measured | result |\n"
        "| :--- | ---: | ---: | :--- |\n"
        "| p90 latency | at most 50 ms | 40 ms | ✅ passed |\n"
        "| peak memory | at most 64 MiB | 80 MiB | ❌ missed |\n"
        "| p99 latency | at most 50 ms | needs 562 more queries | ❔ not shown |\n\n"
        "- p90 latency: close: so\n\n"
        f"model: net.onnx; model sha256: {'ab' * 32}; target: unknown; machine: Raspberry Pi 4 "
        "Model B; runtime: onnxruntime 1.32.0, threads: 4; scenario: single-stream; queries: 100; "
        "edgekit: 0.1.0\n"
    )


def test_a_flawed_check_passes_nothing() -> None:
    lines = markdown_table(check(limit(), flaws=("it drifted",))).splitlines()
    assert lines[4] == "| p90 latency | at most 50 ms | 40 ms | ⚠️ passed, but flawed |"
    assert lines[6] == "- ⚠️ not trustworthy: it drifted"


def test_a_check_without_limits_has_no_table() -> None:
    assert markdown_table(check()) == (
        "### check of net.onnx\n\n"
        f"model: net.onnx; model sha256: {'ab' * 32}; target: rpi4; machine: Raspberry Pi 4 "
        "Model B; runtime: onnxruntime 1.32.0, threads: 4; scenario: single-stream; queries: 100; "
        "edgekit: 0.1.0\n"
    )


def test_the_whole_text_of_a_comparison() -> None:
    found = comparisons(
        pair(unlike=(OTHER_MACHINE, OTHER_RUNTIME)),
        pair(
            name="small.onnx",
            test="rank-sum of blocks",
            a_ns=None,
            b_ns=None,
            shift_ns=None,
            low_ns=None,
            high_ns=None,
            answer="undecided",
            reason="too few",
        ),
        only_b=("fresh.onnx",),
    )
    assert markdown_table(found) == (
        "### p90 of new against old\n\n"
        "| model | A | B | B minus A | interval | result |\n"
        "| :--- | ---: | ---: | ---: | ---: | :--- |\n"
        "| net.onnx | 10 ms | 12 ms | +2 ms (+20 %) | +1.9 ms to +2.1 ms |"
        " ⚠️ slower, but not trustworthy |\n"
        "| small.onnx | unknown | unknown | unknown | unknown | ❔ undecided |\n\n"
        "- net.onnx: slower by 2 ms (1.9 ms to 2.1 ms), more than 500 µs\n"
        "- net.onnx: unlike CPU model: Cortex-A72 against Cortex-A76\n"
        "- net.onnx: not alike: runtime: onnxruntime 1.31.0 against onnxruntime 1.32.0\n"
        "- small.onnx: too few\n"
        "- small.onnx: one process each: another one of the same model may differ by 2 to 5 %, "
        "at times by 20 %\n"
        "- only in B: fresh.onnx\n\n"
        "A: old; B: new; percentile: p90; max increase: 5 %; confidence: 95 %; machine: "
        "Cortex-A72; runtime: onnxruntime 1.32.0; edgekit: 0.1.0\n"
    )


def test_hostile_names_are_text() -> None:
    first = markdown_table(check(limit(), model=HOSTILE)).splitlines()[0]
    assert first == (r"### check of a\<b\>\&" + '"' + r"\|\`x\`\\x00\\x1b\[31m\\ud800\\n\]\]\>")


@given(st.text(st.characters(), min_size=1))
def test_no_name_adds_a_cell_or_a_line(text: str) -> None:
    found = markdown_table(comparisons(pair(name=text)))
    row = found.splitlines()[4]
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 7
    assert len(found.splitlines()) == len(markdown_table(comparisons(pair())).splitlines())
