"""Which runtimes can run a model: tables, checked against the runtimes that are installed here."""

import dataclasses
from importlib import metadata
from typing import Any

import onnx
import pytest
from made_advice import info, operator, target
from made_tflite import Graph, Operator, tflite_bytes
from onnx import TensorProto, helper

from edge.reasoning.onnxruntime_operators import ceiling, has_kernel
from edge.reasoning.support import runtime_support, support_remedy
from edge.reasoning.tflite_operators import custom_operators, operator_versions
from edge.records.model import ModelInfo, OpsetVersion
from edge.records.target import Target, TargetRuntime


def _target(backend: str, distribution: str, version: str) -> Target:
    runtime = TargetRuntime(backend=backend, distribution=distribution, version=version)
    return target(runtimes=(runtime,))


def _onnx(version: str, distribution: str = "onnxruntime") -> Target:
    return _target("onnxruntime", distribution, version)


def _reasons(model: ModelInfo, machine: Target) -> tuple[str, ...]:
    (support,) = runtime_support(model, machine)
    assert support.supported == (not support.reasons)
    assert support.target == machine.name
    return support.reasons


def _opset(version: int, domain: str = "") -> dict[str, Any]:
    return {"opsets": (OpsetVersion(domain=domain, version=version),)}


ONNX_CASES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "as new as it may be": ({**_opset(15), "ir_version": 8}, "1.10.0", ()),
    "opset too new": (_opset(16) | {"ir_version": 8}, "1.10.0", ("opset 16 is newer than it has (15)",)),
    "IR too new": ({"ir_version": 9}, "1.14.1", ("IR version 9 is newer than it reads (8)",)),
    "a release in between": (_opset(18), "1.15.2", ()),
    "a later patch": (_opset(21), "1.19.7", ()),
    "newer than the table": (_opset(28), "1.40.0", ()),
    "beyond what is known": (
        _opset(29) | {"ir_version": 15}, "1.40.0",
        (
            "IR version 15 is newer than it reads (14, at least, and edgekit knows no more of 1.40.0)",
            "opset 29 is newer than it has (28, at least, and edgekit knows no more of 1.40.0)",
        ),
    ),
    "older than the table": ({}, "1.9.0", ("edgekit knows no onnxruntime as old as 1.9.0",)),
    "opset too old": (_opset(6), "1.32.0", ("opset 6 is older than it supports (7)",)),
    "classical too new": (
        _opset(5, "ai.onnx.ml"), "1.17.0", ("ai.onnx.ml opset 5 is newer than it has (4)",)
    ),
    "other domains have no ceiling": (_opset(99, "com.microsoft"), "1.32.0", ()),
    "custom": (
        {"custom_operators": ("org.example.Mine",)}, "1.32.0", ("custom operators: org.example.Mine",)
    ),
    "two reasons": (
        _opset(23) | {"ir_version": 11}, "1.20.0",
        ("IR version 11 is newer than it reads (10)", "opset 23 is newer than it has (21)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONNX_CASES)
def test_onnx(name: str) -> None:
    changes, version, reasons = ONNX_CASES[name]
    assert _reasons(info(**changes), _onnx(version)) == reasons


def test_operators_of_the_runtime_by_release() -> None:
    own = operator(op_type="MatMulNBits", domain="com.microsoft")
    model = info(operators=1)
    model = dataclasses.replace(model, operators=(own,))
    lacking = ("operators that it has no kernel for: MatMulNBits",)
    assert _reasons(model, _onnx("1.15.1")) == lacking
    assert _reasons(model, _onnx("1.16.0")) == ()


def test_an_operator_that_no_known_release_has() -> None:
    own = operator(op_type="FromTheFuture", domain="com.microsoft")
    model = dataclasses.replace(info(operators=1), operators=(own,))
    assert _reasons(model, _onnx("1.40.0")) == (
        "edgekit knows no kernel in 1.40.0 for: FromTheFuture",
    )


REMEDIES: dict[str, tuple[ModelInfo, str, str, str | None]] = {
    "a newer ONNX Runtime": (
        info(**_opset(24)), "onnxruntime", "1.19.2",
        "onnxruntime 1.24 is the first that is known to run it; targets whose runtime does: new",
    ),
    "the first that was read": (
        info(**_opset(15), ir_version=8), "onnxruntime", "1.9.0",
        "onnxruntime 1.10 is the first that is known to run it; targets whose runtime does: new",
    ),
    "nothing known": (
        info(custom_operators=("org.example.Mine",)), "onnxruntime", "1.32.0", None
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REMEDIES)
def test_what_to_do_about_it(name: str) -> None:
    model, distribution, version, remedy = REMEDIES[name]
    machine = _onnx(version, distribution)
    assert _reasons(model, machine)
    new = dataclasses.replace(_onnx("1.32.0"), name="new")
    assert support_remedy(model, machine.runtimes[0], [machine, new]) == remedy


def test_what_to_do_about_a_tflite_operator() -> None:
    model = _tflite(("FULLY_CONNECTED", 12))
    machine = _target("tflite", "tflite-runtime", "2.14.0")
    assert _reasons(model, machine)
    assert support_remedy(model, machine.runtimes[0], [machine]) == (
        "ai-edge-litert 1.0 is the first that is known to run it"
    )


def test_an_operator_for_gpus_only() -> None:
    norm = operator(op_type="GroupNorm", domain="com.microsoft")
    model = dataclasses.replace(info(), operators=(norm,))
    lacking = ("operators that it has no kernel for: GroupNorm",)
    assert _reasons(model, _onnx("1.32.0")) == lacking
    assert _reasons(model, _onnx("1.31.1", "onnxruntime-gpu")) == ()


def test_deformable_convolutions_came_late() -> None:
    model = dataclasses.replace(info(), operators=(operator(op_type="DeformConv"),))
    assert _reasons(model, _onnx("1.24.0"))
    assert not _reasons(model, _onnx("1.25.0"))


def test_the_other_format() -> None:
    litert = _target("tflite", "ai-edge-litert", "2.3.0")
    assert _reasons(info(), litert) == ("runs TFLite files, not ONNX",)
    model = info(format="tflite", opsets=())
    assert _reasons(model, _onnx("1.32.0")) == ("runs ONNX files, not TFLite",)
    assert _reasons(model, litert) == ()


def test_a_backend_without_a_table() -> None:
    machine = _target("other", "other-runtime", "1.0")
    assert _reasons(info(), machine) == ("edgekit does not know what other-runtime runs",)


def test_every_runtime_of_a_target_is_judged() -> None:
    runtimes = (
        TargetRuntime(backend="onnxruntime", distribution="onnxruntime", version="1.32.0"),
        TargetRuntime(backend="tflite", distribution="ai-edge-litert", version="2.3.0"),
    )
    found = runtime_support(info(), target("both", runtimes=runtimes))
    assert [(s.runtime, s.supported) for s in found] == [
        ("onnxruntime", True), ("ai-edge-litert", False),
    ]  # fmt: skip
    assert runtime_support(info(), target(runtimes=())) == ()


def _tflite(*versions: tuple[str, int], custom: tuple[str, ...] = ()) -> ModelInfo:
    return info(format="tflite", opsets=(), operator_versions=versions, custom_operators=custom)


TFLITE_CASES: dict[str, tuple[ModelInfo, str, str, tuple[str, ...]]] = {
    "known": (_tflite(("CONV_2D", 7), ("ADD", 1)), "tflite-runtime", "2.14.0", ()),
    "newer version": (
        _tflite(("FULLY_CONNECTED", 12)), "tflite-runtime", "2.14.0",
        ("operators newer than it has: FULLY_CONNECTED version 12 (it has 10)",),
    ),
    "the successor has it": (_tflite(("FULLY_CONNECTED", 12)), "ai-edge-litert", "2.3.0", ()),
    "raised between releases": (
        _tflite(("SELECT_V2", 2)), "tflite-runtime", "2.13.0",
        ("operators newer than it has: SELECT_V2 version 2 (it has 1)",),
    ),
    "missing": (
        _tflite(("STABLEHLO_COMPOSITE", 1)), "tflite-runtime", "2.14.0",
        ("operators that it lacks: STABLEHLO_COMPOSITE",),
    ),
    "an operator of the future": (
        _tflite(("BUILTIN_250", 1)), "ai-edge-litert", "2.3.0",
        ("operators that it lacks: BUILTIN_250",),
    ),
    "custom, MediaPipe's": (
        _tflite(custom=("Convolution2DTransposeBias",)), "tflite-runtime", "2.14.0",
        ("custom operators that it lacks: Convolution2DTransposeBias",),
    ),
    "custom, in the successor": (
        _tflite(custom=("Convolution2DTransposeBias",)), "ai-edge-litert", "2.3.0", ()
    ),
    "custom, known to both": (
        _tflite(custom=("TFLite_Detection_PostProcess",)), "tflite-runtime", "2.13.0", ()
    ),
    "no table": (
        _tflite(("ADD", 1)), "tflite-runtime", "2.5.0",
        ("edgekit has no table for tflite-runtime 2.5.0",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TFLITE_CASES)
def test_tflite(name: str) -> None:
    model, distribution, version, reasons = TFLITE_CASES[name]
    assert _reasons(model, _target("tflite", distribution, version)) == reasons


def test_long_lists_are_cut() -> None:
    model = _tflite(*((f"BUILTIN_{n}", 1) for n in range(200, 208)))
    (reason,) = _reasons(model, _target("tflite", "ai-edge-litert", "2.3.0"))
    assert reason.endswith("BUILTIN_203, BUILTIN_204 and 3 more")


def _version(name: str) -> tuple[int, int]:
    major, minor = metadata.version(name).split(".")[:2]
    return int(major), int(minor)


def _identity(opset: int, ir: int) -> bytes:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g",
        [value("x", TensorProto.FLOAT, [1])], [value("y", TensorProto.FLOAT, [1])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset)]
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets)
    made.ir_version = ir
    return bytes(made.SerializeToString())


def _accepts(content: bytes) -> bool:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    onnxruntime.set_default_logger_severity(4)
    refusals = (state.Fail, state.InvalidGraph, state.NotImplemented, state.InvalidArgument)
    try:
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except refusals:
        return False
    return True


def test_the_ceilings_are_those_of_the_installed_onnx_runtime() -> None:
    most = ceiling(_version("onnxruntime"))
    assert most is not None
    assert _accepts(_identity(most.opset, 8))
    assert not _accepts(_identity(most.opset + 1, 8))
    assert _accepts(_identity(13, most.ir))
    assert not _accepts(_identity(13, most.ir + 1))


def test_the_kernels_are_those_of_the_installed_onnx_runtime() -> None:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    there = {(k.domain, k.op_name) for k in state.get_all_opkernel_def()}
    own = {name for domain, name in there if domain == "com.microsoft"}
    version = _version("onnxruntime")
    schemas = {s.name for s in state.get_all_operator_schema() if s.domain == "com.microsoft"}
    ours = {name for name in schemas | own if has_kernel("com.microsoft", name, version)}
    assert ours == own


def _finds(interpreter: Any, op_type: str, version: int) -> bool:
    """Whether the runtime has the operator; it has no tensors here, which only later matters."""
    graph = Graph([], [Operator(op_type, [], [], version)], [], [])
    try:
        interpreter(model_content=tflite_bytes(graph))
    except ValueError as error:
        unknown = ("Didn't find op for builtin opcode", "Op builtin_code out of range")
        return not str(error).startswith(unknown)
    return True


def test_the_versions_are_those_of_the_installed_tflite_runtime() -> None:
    try:
        from tflite_runtime.interpreter import Interpreter

        name = "tflite-runtime"
    except ImportError:
        from ai_edge_litert.interpreter import Interpreter

        name = "ai-edge-litert"
    versions = operator_versions(name, _version(name))
    assert versions is not None
    assert len(versions) > 150
    for op_type, version in versions.items():
        # The composite runs a subgraph, which its options name.
        if op_type != "STABLEHLO_COMPOSITE":
            assert _finds(Interpreter, op_type, version), op_type
        assert not _finds(Interpreter, op_type, version + 1), op_type
    assert not _finds(Interpreter, "STABLEHLO_DOT_GENERAL", 1)
    assert "TFLite_Detection_PostProcess" in custom_operators(name)
