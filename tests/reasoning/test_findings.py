"""What bundles, runtimes, loaders and emulators say when they fail, and what it means."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bundle import WHEEL, small_manifest

from edge.reasoning.findings import findings_of
from edge.records.emulation import Finding, Ran
from edge.records.manifest import BundleFile, Manifest

MANIFEST: Manifest = replace(
    small_manifest(
        tuple(BundleFile(path, 1, "0" * 64) for path in ("model/digits.onnx", "samples.npz", WHEEL))
    ),
    target="rpi4",
    python="3.11",
    runtime_version="1.32.0",
)
LITERT = replace(MANIFEST, runtime="ai-edge-litert", runtime_version="2.3.0")
PACKAGE = "edgekit package digits.onnx --target rpi4"
OTHER = (
    f"take another version of onnxruntime: `{PACKAGE} --runtime onnxruntime --runtime-version V`"
)
SITE = "/home/pi/.cache/edgekit/bundles/5e52/site"


def failed(error: str, hint: str | None = None, status: int | None = 6) -> Ran:
    lines = f"error: {error}\n" + (f"hint: {hint}\n" if hint else "")
    return Ran(status=status, stdout="", stderr=lines)


def only(ran: Ran, manifest: Manifest = MANIFEST) -> Finding:
    (finding,) = findings_of("run", ran, manifest)
    return finding


def test_what_ended_well_has_no_findings() -> None:
    words = "error: version `GLIBC_2.38' not found\n"
    assert findings_of("run", Ran(status=0, stdout="{}", stderr=words), MANIFEST) == ()


CASES = {
    "illegal instruction": (
        failed(
            "digits.onnx: the child died of SIGILL: libpywrap_litert_common.so uses an instruction "
            "of asimddp, which this CPU lacks",
            "take another build of the runtime",
        ),
        ("illegal-instruction", "libpywrap_litert_common.so", "asimddp"),
    ),
    "illegal instruction that /proc/cpuinfo has": (
        failed(
            "digits.onnx: the child died of SIGILL: libort.so uses an instruction of asimdhp, which "
            "this CPU has by its own account: what runs it (an emulator, a hypervisor, the kernel) "
            "does not",
            "its last words: qemu: uncaught target signal 4 (Illegal instruction) - core dumped",
        ),
        ("illegal-instruction", "libort.so", "asimdhp"),
    ),
    "illegal instruction of no known set": (
        failed(
            "digits.onnx: the child died of SIGILL: libort.so uses an instruction (00c0ffee) that "
            "this CPU lacks"
        ),
        ("illegal-instruction", "libort.so", None),
    ),
    "illegal instruction of nobody knows what": (
        failed(
            "digits.onnx: the child died of SIGALRM: an instruction that this CPU lacks; which one "
            "could not be found out in time"
        ),
        ("illegal-instruction", None, None),
    ),
    "illegal instruction of the parent": (
        Ran(
            status=-4,
            stdout="",
            stderr="qemu: uncaught target signal 4 (Illegal instruction) - core dumped\n",
        ),
        ("illegal-instruction", None, None),
    ),
    "trap": (
        failed(
            "digits.onnx: the child died of SIGILL: libort.so ran into a trap that its compiler had "
            "set: a bug in it, or a damaged model"
        ),
        ("crash", "libort.so", None),
    ),
    "glibc": (
        failed(
            "digits.onnx: onnxruntime cannot be imported: /lib/aarch64-linux-gnu/libc.so.6: version "
            f"`GLIBC_2.38' not found (required by {SITE}/onnxruntime/capi/ort.so)"
        ),
        ("missing-symbol-version", "ort.so", "GLIBC_2.38"),
    ),
    "glibc, cut short": (
        failed(
            "digits.onnx: onnxruntime cannot be imported: /lib/libm.so.6: version `GLIBC_2.38' not "
            f"found (required by {SITE}/onnx…"
        ),
        ("missing-symbol-version", "onnx…", "GLIBC_2.38"),
    ),
    "glibc of the interpreter": (
        Ran(
            status=1,
            stdout="",
            stderr="python3: /lib/libc.so.6: version `GLIBC_2.38' not found (required by python3)\n",
        ),
        ("missing-symbol-version", "python3", "GLIBC_2.38"),
    ),
    "no module": (
        failed(
            "digits.onnx: onnxruntime cannot be imported: No module named 'flatbuffers.builder'"
        ),
        ("import-failure", None, "flatbuffers.builder"),
    ),
    "no library": (
        failed(
            "digits.onnx: onnxruntime cannot be imported: libgomp.so.1: cannot open shared object "
            "file: No such file or directory"
        ),
        ("import-failure", None, "libgomp.so.1"),
    ),
    "no symbol": (
        failed(
            f"digits.onnx: onnxruntime cannot be imported: {SITE}/a.so: undefined symbol: _ZN1aC1Ev"
        ),
        ("import-failure", "a.so", "_ZN1aC1Ev"),
    ),
    "no name": (
        failed(
            "digits.onnx: onnxruntime cannot be imported: cannot import name 'Self' from 'typing' "
            "(/usr/lib/python3.8/typing.py)"
        ),
        ("import-failure", None, "Self"),
    ),
    "numpy 2": (
        failed(
            "m.tflite: tflite_runtime.interpreter cannot be imported: _ARRAY_API not found",
            "tflite-runtime needs numpy below 2 (and does not say so)",
        ),
        ("import-failure", None, "numpy"),
    ),
    "no runtime": (
        failed("digits.onnx: no runtime for ONNX models is installed", "install onnxruntime"),
        ("import-failure", None, None),
    ),
    "ONNX function": (
        failed(
            "digits.onnx: cannot load the model: Load model from /m.onnx failed:Fatal error: "
            "com.acme:Fancy(-1) is not a registered function/op"
        ),
        ("missing-operator", None, "com.acme.Fancy"),
    ),
    "ONNX kernel": (
        failed(
            "digits.onnx: cannot load the model: Could not find an implementation for ConvInteger(10)"
            " node with name 'conv'"
        ),
        ("missing-operator", None, "ConvInteger"),
    ),
    "ONNX operator": (
        failed(
            "digits.onnx: cannot load the model: Load model from /m.onnx failed:This is an invalid "
            'model. In Node, ("n", Fancy, "", -1) : ("x": tensor(float),) -> ("y",) , Error No Op '
            "registered for Fancy with domain_version of 17"
        ),
        ("missing-operator", None, "Fancy"),
    ),
    "TFLite custom operator": (
        failed("m.tflite: cannot load the model: Encountered unresolved custom op: FancyMaths."),
        ("missing-operator", None, "FancyMaths"),
    ),
    "TFLite version": (
        failed(
            "m.tflite: cannot load the model: Didn't find op for builtin opcode 'FULLY_CONNECTED' "
            "version '13'. An older version of this builtin might be supported."
        ),
        ("missing-operator", None, "FULLY_CONNECTED"),
    ),
    "TensorFlow's operators": (
        failed(
            "m.tflite: cannot load the model: Select TensorFlow op(s), included in the given model, "
            "is(are) not supported by this interpreter."
        ),
        ("missing-operator", None, "Flex"),
    ),
    "memory of the child": (
        failed("digits.onnx: the child ran out of the memory that it was allowed"),
        ("out-of-memory", None, None),
    ),
    "memory of the kernel": (
        failed(
            "digits.onnx: the child died of SIGKILL: the kernel killed it: out of memory (oom_kill "
            "rose from 0 to 1)"
        ),
        ("out-of-memory", None, None),
    ),
    "memory of Python": (
        failed("digits.onnx: it needs more than the 1536 MiB of memory that it was allowed", None),
        ("out-of-memory", None, None),
    ),
    "the program was killed": (
        Ran(status=-9, stdout="", stderr=""),
        ("out-of-memory", None, None),
    ),
    "killed by somebody": (
        failed(
            "digits.onnx: the child died of SIGKILL: killed from outside: not by the kernel for want "
            "of memory, but by another program"
        ),
        ("crash", None, None),
    ),
    "hanging child": (
        failed("digits.onnx: no answer within 600 s", "a hanging model or a slow machine"),
        ("hang", None, None),
    ),
    "hanging program": (Ran(status=None, stdout="", stderr="x"), ("hang", None, None)),
    "segmentation fault": (
        failed(
            "digits.onnx: the child died of SIGSEGV: the runtime read or wrote memory that is not "
            "its own: a damaged model or a bug",
            "its last words: qemu: uncaught target signal 11 (Segmentation fault) - core dumped",
        ),
        ("crash", None, None),
    ),
    "abort with a cause": (
        failed(
            "digits.onnx: the child died of SIGABRT: the runtime gave up: an assertion, or memory "
            "that could not be had",
            "its last words: what():  std::bad_alloc",
        ),
        ("out-of-memory", None, None),
    ),
    "segmentation fault of the parent": (
        Ran(status=-11, stdout="", stderr=""),
        ("crash", None, None),
    ),
    "damaged file": (
        failed("/b.pyz: the file is damaged: its digest is not the one that it carries", None, 5),
        ("damaged-bundle", None, None),
    ),
    "wheel without a file": (
        failed("tiny.whl: not a sound wheel: tiny/a.py is listed and missing", None, 5),
        ("damaged-bundle", None, None),
    ),
    "unsigned": (
        failed("/b.pyz: it is not signed, and must be signed by ab12", None, 5),
        ("failure", None, None),
    ),
    "another Python, said by run": (
        failed("/a: b.pyz: made for Python 3.11, this is 3.9: run it with python3.11", None, 5),
        ("misfit", None, "Python 3.11"),
    ),
    "something else": (
        failed("digits.onnx: the samples have no outputs"),
        ("failure", None, None),
    ),
    "nothing said": (Ran(status=3, stdout="", stderr=""), ("failure", None, None)),
}


@pytest.mark.parametrize(("ran", "expected"), CASES.values(), ids=CASES.keys())
def test_words_are_decoded(ran: Ran, expected: tuple[str, str | None, str | None]) -> None:
    finding = only(ran)
    assert (finding.kind, finding.library, finding.missing) == expected
    assert finding.step == "run"


def test_each_misfit_is_a_finding() -> None:
    reasons = [
        "made for Python 3.11, this is 3.9: run it with python3.11",
        "needs glibc 2.34, this system has 2.31",
        "needs GLIBCXX_3.4.30, this system's libstdc++6 has 3.4.28",
        "this processor lacks asimddp, asimdhp",
    ]
    told = json.dumps({"intact": True, "fits": False, "misfits": reasons})
    found = findings_of("verify", Ran(status=5, stdout=told, stderr=""), MANIFEST)
    assert [(f.kind, f.missing, f.what) for f in found] == [
        ("misfit", "Python 3.11", "made for Python 3.11, this is 3.9"),
        (
            "missing-symbol-version",
            "GLIBC_2.34",
            "the bundle needs GLIBC_2.34, and the system has GLIBC_2.31",
        ),
        (
            "missing-symbol-version",
            "GLIBCXX_3.4.30",
            "the bundle needs GLIBCXX_3.4.30, and the system has GLIBCXX_3.4.28",
        ),
        (
            "misfit",
            "asimddp, asimdhp",
            "the bundle is made for a processor with asimddp, asimdhp, which this one lacks",
        ),
    ]
    run = failed(f"/b.pyz: {'; '.join(reasons)}", "package the model again", 5)
    assert [f.what for f in findings_of("run", run, MANIFEST)] == [f.what for f in found]


def test_missing_packages_of_the_system() -> None:
    told = json.dumps({"misfits": ["it lacks python3-numpy: sudo apt-get install python3-numpy"]})
    (finding,) = findings_of("verify", Ran(status=5, stdout=told, stderr=""), MANIFEST)
    assert finding == Finding(
        kind="import-failure",
        step="verify",
        what="the system packages python3-numpy are missing",
        remedy="on the target: sudo apt-get install python3-numpy",
        missing="python3-numpy",
    )


def test_several_symbol_versions_are_several_findings() -> None:
    lines = "".join(
        f"/lib/{library}: version `{version}' not found (required by {SITE}/a.so)\n"
        for library, version in (
            ("libc.so.6", "GLIBC_2.38"),
            ("libstdc++.so.6", "GLIBCXX_3.4.32"),
            ("libc.so.6", "GLIBC_2.38"),
        )
    )
    found = findings_of("run", Ran(status=1, stdout="", stderr=lines), MANIFEST)
    assert [(f.library, f.missing) for f in found] == [
        ("a.so", "GLIBC_2.38"),
        ("a.so", "GLIBCXX_3.4.32"),
    ]
    assert found[0].what == "a.so needs GLIBC_2.38, which libc.so.6 there has not"


def answer(**changes: Any) -> Ran:
    told = {
        "count": 16,
        "agreed": 14,
        "largest_difference": 0.25,
        "disagreements": [{"sample": 3, "output": "logits", "what": "entry [0] is 1, expected 2"}],
        **changes,
    }
    return Ran(status=6, stdout=json.dumps(told), stderr="INFO: created a delegate\n")


def test_outputs_that_differ() -> None:
    finding = only(answer())
    assert finding == Finding(
        kind="wrong-output",
        step="run",
        what=(
            "2 of 16 samples give other outputs than the bundle carries; sample 3, output logits: "
            "entry [0] is 1, expected 2; at most 0.25 off"
        ),
        remedy=(
            "package the model again, so that its samples are its own: "
            f"`{PACKAGE}`; if they still differ, {OTHER}"
        ),
    )


def test_how_far_scores_are_off_is_not_told_where_only_the_class_counts() -> None:
    top1 = replace(MANIFEST, samples=replace(MANIFEST.samples, compare="top1"))
    assert only(answer(), top1).what.endswith("expected 2")


@pytest.mark.parametrize(
    "changes",
    [
        {"count": "many"},
        {"count": -1},
        {"agreed": None, "count": True},
        {"disagreements": "all"},
        {"disagreements": [7]},
        {"largest_difference": "1"},
        {"agreed": 99},
    ],
    ids=str,
)
def test_an_odd_answer_is_wrong_output_still(changes: dict[str, Any]) -> None:
    assert only(answer(**changes)).kind == "wrong-output"


def test_what_a_runtime_prints_does_not_hide_what_the_bundle_said() -> None:
    noise = "error: std::bad_alloc in a comment\nNo module named 'x'\n"
    error = "error: m.tflite: cannot load the model: Encountered unresolved custom op: Fancy.\n"
    found = only(Ran(status=6, stdout="", stderr=noise + error))
    assert (found.kind, found.missing) == ("missing-operator", "Fancy")


def test_remedies_are_commands() -> None:
    illegal = "the child died of SIGILL: a.so uses an instruction of asimdhp, which this CPU lacks"
    assert only(failed(illegal)).remedy == (
        f"{OTHER}; or take a target whose processor is one with asimdhp"
    )
    known = replace(MANIFEST, runtime_version="1.21.0")
    assert only(failed(illegal), known).remedy == (
        f"take onnxruntime 1.21.1: `{PACKAGE} --runtime onnxruntime --runtime-version 1.21.1`"
    )
    litert = only(failed(illegal), LITERT).remedy
    assert ", or tflite-runtime: --runtime tflite-runtime; " in litert
    assert "--full-system" in only(failed("std::bad_alloc")).remedy


def test_names_of_a_bundle_are_one_word_of_a_command() -> None:
    model = replace(MANIFEST.model, name="a; rm -rf ~\n")
    remedy = only(failed("/b.pyz: the file is damaged", None, 5), replace(MANIFEST, model=model))
    assert "`edgekit package 'a; rm -rf ~\\n' --target rpi4`" in remedy.remedy


def test_a_library_of_an_odd_name_is_escaped() -> None:
    words = "/lib/libc.so.6: version `GLIBC_2.38' not found (required by /x/\x1b[31mred.so)\n"
    assert only(Ran(status=1, stdout="", stderr=words)).library == "\\x1b[31mred.so"


MARKS = st.sampled_from(
    [
        "error: ",
        "hint: ",
        "\n",
        ": version `",
        "' not found (required by ",
        "SIGILL: ",
        " uses an instruction of ",
        "made for Python ",
        ", this is ",
        " is not a registered function/op",
        "; ",
        '{"misfits": ',
        '{"disagreements": [{}], "count": ',
        "}",
        "[",
        "No module named '",
        "\udce4",
        "\x1b[0m",
    ]
)
TEXTS = st.lists(MARKS | st.text(max_size=20), max_size=12).map("".join)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["misfits", "disagreements", "count", "agreed", "largest_difference"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
).map(json.dumps)


@given(status=st.none() | st.integers(-70, 300), stdout=TEXTS | DOCUMENTS, stderr=TEXTS | DOCUMENTS)
def test_whatever_was_printed_there_is_something_to_say(
    status: int | None, stdout: str, stderr: str
) -> None:
    found = findings_of("run", Ran(status=status, stdout=stdout, stderr=stderr), MANIFEST)
    assert bool(found) == (status != 0)
    for finding in found:
        texts = [finding.what, finding.remedy, finding.library or "-", finding.missing or "-"]
        assert all(text.isprintable() and text for text in texts)
        assert max(map(len, texts)) < 3000


@pytest.mark.parametrize("unit", ["x", "a: ", ": version `", "error: ", "[", '{"a":', "; ", "\x00"])
def test_huge_output_is_decoded(unit: str) -> None:
    text = unit * (4_000_000 // len(unit))
    assert findings_of("run", Ran(status=6, stdout=text, stderr=text), MANIFEST) != ()
