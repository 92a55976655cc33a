import platform
from pathlib import Path

import numpy as np
import onnx
import pytest
from made_onnx import FLOAT, model, node, value
from onnx import helper, numpy_helper

from edge.passes import load_pass
from edge.records.measurement import SessionConfig
from edge.records.optimization import Arithmetic
from edge.workflows.arithmetic import executed_arithmetic
from edge.workflows.inspect import inspect_model

FOLDER = Path("models/digits-cnn")


def computed_in(path: Path, shapes: dict[str, tuple[int, ...]] | None = None) -> Arithmetic | None:
    given = shapes or {}
    info = inspect_model(path, given)
    backend = "tflite" if info.format == "tflite" else "onnxruntime"
    return executed_arithmetic(path, info, SessionConfig(backend, 1), shapes=given)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("digits-cnn-fp32.onnx", Arithmetic(integer=0.0, half=0.0)),
        ("digits-cnn-int8.onnx", Arithmetic(integer=1.0, half=0.0)),
        ("digits-cnn-fp32.tflite", Arithmetic(integer=0.0, half=0.0)),
        ("digits-cnn-int8.tflite", Arithmetic(integer=1.0, half=0.0)),
    ],
)
def test_real_models(name: str, wanted: Arithmetic) -> None:
    assert computed_in(FOLDER / name) == wanted


def quantised(path: Path, *, activations: bool) -> Path:
    """Write a convolution with int8 weights, whose input is quantised or stays in floats."""
    weights = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    constants = {
        "w": weights,
        "ws": np.full(4, 0.01, np.float32),
        "wz": np.zeros(4, np.int8),
        "xs": np.float32(0.02),
        "xz": np.uint8(128),
    }
    nodes = [node("DequantizeLinear", ["w", "ws", "wz"], "wf", axis=0)]
    given = "x"
    if activations:
        given = "xf"
        nodes += [
            node("QuantizeLinear", ["x", "xs", "xz"], "xq"),
            node("DequantizeLinear", ["xq", "xs", "xz"], "xf"),
        ]
    nodes.append(node("Conv", [given, "wf"], "c"))
    if activations:
        nodes += [
            node("QuantizeLinear", ["c", "xs", "xz"], "cq"),
            node("DequantizeLinear", ["cq", "xs", "xz"], "y"),
        ]
    else:
        nodes.append(node("Relu", ["c"], "y"))
    tensors = [numpy_helper.from_array(np.asarray(a), k) for k, a in constants.items()]
    proto = model(nodes, [value("x", ["batch", 3, 8, 8])], tensors, [value("y", None, FLOAT)])
    path.write_bytes(proto.SerializeToString())
    return path


def test_int8_in_name_only_is_found_out(tmp_path: Path) -> None:
    fused = quantised(tmp_path / "fused.onnx", activations=True)
    in_name_only = quantised(tmp_path / "stored.onnx", activations=False)
    shapes = {"x": (1, 3, 8, 8)}
    assert computed_in(fused, shapes) == Arithmetic(integer=1.0, half=0.0)
    assert computed_in(in_name_only, shapes) == Arithmetic(integer=0.0, half=0.0)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Arm may compute in half precision")
def test_half_precision_in_name_only_is_found_out(tmp_path: Path) -> None:
    request = {
        "model": str(FOLDER / "digits-cnn-fp32.onnx"),
        "folder": str(tmp_path),
        "options": {},
        "calibration": None,
        "shapes": {},
        "threads": 1,
    }
    path = tmp_path / load_pass("fp16").apply(request)["file"]
    assert inspect_model(path).precision == "fp16"
    assert computed_in(path) == Arithmetic(integer=0.0, half=0.0)


@pytest.mark.parametrize(("level", "integer"), [(0, 0.0), (4, 1.0)])
def test_blocks_of_weights_count_by_their_level(tmp_path: Path, level: int, integer: float) -> None:
    weights = numpy_helper.from_array(np.ones((64, 32), np.float32), "w")
    proto = model([node("MatMul", ["x", "w"])], [value("x", [2, 64])], [weights])
    (tmp_path / "plain.onnx").write_bytes(proto.SerializeToString())
    request = {
        "model": str(tmp_path / "plain.onnx"),
        "folder": str(tmp_path),
        "options": {"accuracy_level": level},
        "calibration": None,
        "shapes": {},
        "threads": 1,
    }
    path = tmp_path / load_pass("weight_only").apply(request)["file"]
    assert computed_in(path) == Arithmetic(integer=integer, half=0.0)


def test_what_multiplies_nothing_has_none(tmp_path: Path) -> None:
    graph = helper.make_graph([node("Neg", ["x"])], "g", [value("x", [1])], [value("y", [1])])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "n.onnx")
    assert computed_in(tmp_path / "n.onnx") is None
