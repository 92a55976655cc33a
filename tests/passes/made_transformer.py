"""A small transformer layer as exporters write it, and running files of passes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.passes import load_pass

WIDTH, HEADS, INNER = 32, 2, 64


def transformer(folder: Path, length: int | str = 6, name: str = "layer.onnx") -> Path:
    """Write attention with a mask, a Gelu and two residual sums with layer normalisations."""
    generator = np.random.default_rng(0)
    weights: dict[str, Any] = {
        "heads": np.array([0, 0, HEADS, WIDTH // HEADS], np.int64),
        "joined": np.array([0, 0, WIDTH], np.int64),
        "root": np.float32((WIDTH // HEADS) ** 0.5),
        "two": np.float32(2**0.5),
        "one": np.float32(1),
        "half": np.float32(0.5),
        "w1": generator.normal(0, 0.2, (WIDTH, INNER)),
        "b1": generator.normal(0, 0.2, INNER),
        "w2": generator.normal(0, 0.2, (INNER, WIDTH)),
        "b2": generator.normal(0, 0.2, WIDTH),
    }
    for part in "qkvo":
        weights[f"w{part}"] = generator.normal(0, 0.2, (WIDTH, WIDTH))
        weights[f"b{part}"] = generator.normal(0, 0.2, WIDTH)
    for part in "ab":
        weights[f"scale_{part}"] = np.ones(WIDTH)
        weights[f"bias_{part}"] = np.zeros(WIDTH)
    node = helper.make_node
    nodes = []
    for part in "qkv":
        order = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
        nodes += [
            node("MatMul", ["x", f"w{part}"], [f"{part}0"]),
            node("Add", [f"{part}0", f"b{part}"], [f"{part}1"]),
            node("Reshape", [f"{part}1", "heads"], [f"{part}2"]),
            node("Transpose", [f"{part}2"], [f"{part}3"], perm=order),
        ]
    nodes += [
        node("MatMul", ["q3", "k3"], ["scores"]),
        node("Div", ["scores", "root"], ["scaled"]),
        node("Add", ["scaled", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["attended"], axis=-1),
        node("MatMul", ["attended", "v3"], ["weighed"]),
        node("Transpose", ["weighed"], ["turned"], perm=[0, 2, 1, 3]),
        node("Reshape", ["turned", "joined"], ["together"]),
        node("MatMul", ["together", "wo"], ["o0"]),
        node("Add", ["o0", "bo"], ["o1"]),
        node("Add", ["o1", "x"], ["first"]),
        node("LayerNormalization", ["first", "scale_a", "bias_a"], ["normal"]),
        node("MatMul", ["normal", "w1"], ["f0"]),
        node("Add", ["f0", "b1"], ["f1"]),
        node("Div", ["f1", "two"], ["f2"]),
        node("Erf", ["f2"], ["f3"]),
        node("Add", ["f3", "one"], ["f4"]),
        node("Mul", ["f1", "f4"], ["f5"]),
        node("Mul", ["f5", "half"], ["f6"]),
        node("MatMul", ["f6", "w2"], ["f7"]),
        node("Add", ["f7", "b2"], ["f8"]),
        node("Add", ["f8", "normal"], ["second"]),
        node("LayerNormalization", ["second", "scale_b", "bias_b"], ["y"]),
    ]
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "layer",
        [
            helper.make_tensor_value_info("x", floats, [1, length, WIDTH]),
            helper.make_tensor_value_info("mask", floats, [1, 1, 1, length]),
        ],
        [helper.make_tensor_value_info("y", floats, [1, length, WIDTH])],
        [
            numpy_helper.from_array(
                array if array.dtype == np.int64 else np.asarray(array, np.float32), key
            )
            for key, array in weights.items()
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, {"characters": "abc"})
    path = folder / name
    onnx.save(model, path)
    return path


def feeds(length: int = 6) -> dict[str, Any]:
    """Return an input of which the last two places are masked."""
    x = np.random.default_rng(1).normal(0, 1, (1, length, WIDTH)).astype(np.float32)
    mask = np.zeros((1, 1, 1, length), np.float32)
    mask[..., -2:] = -10000
    return {"x": x, "mask": mask}


def passed(name: str, model: Path, folder: Path, **options: Any) -> tuple[Path, list[str]]:
    """Run a pass and return its file and what it told; nothing else is in its folder."""
    folder.mkdir(exist_ok=True)
    before = model.read_bytes()
    answer = load_pass(name).apply(
        {
            "model": str(model),
            "folder": str(folder),
            "options": options,
            "calibration": None,
            "shapes": {},
            "threads": 1,
        }
    )
    assert model.read_bytes() == before
    beside = {"model.onnx", "model.weights"} if name == "ort_form" else {"model.onnx"}
    assert {entry.name for entry in folder.iterdir()} <= beside
    return folder / answer["file"], answer["notes"]


def run(path: Path, given: Mapping[str, Any]) -> list[Any]:
    """Run a plain session, as a user does."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    return list(session.run(None, dict(given)))


def executed(path: Path, folder: Path) -> list[str]:
    """Return the operators that a plain session runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "executed.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "executed.onnx").graph.node]


def operators(path: Path) -> list[str]:
    """Return the operators of a file."""
    return [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]


def cosine(got: Any, wanted: Any) -> float:
    """Return the cosine of two outputs."""
    a, b = np.ravel(got).astype(np.float64), np.ravel(wanted).astype(np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
