"""Static int8 of real and of made models, as ONNX Runtime then computes it."""

import collections
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.errors import ModelError, UsageError
from edge.passes.static_int8 import apply

DIGITS = Path(__file__).parents[2] / "models/digits-cnn"
FORM = "(uint8 activations, a weight scale for each channel)"


def request(folder: Path, model: Path, data: Any, **options: Any) -> dict[str, Any]:
    calibration = folder / "calibration.npz"
    if data is not None:
        np.savez(calibration, **{"input.input": data})
    (folder / "out").mkdir(exist_ok=True)
    return {
        "model": str(model),
        "folder": str(folder / "out"),
        "options": options,
        "calibration": None if data is None else str(calibration),
        "shapes": {},
        "threads": 1,
    }


def digits() -> Any:
    with np.load(DIGITS / "samples.npz") as arrays:
        return arrays["images"][:, None], arrays["labels"]


def save(folder: Path, nodes: Any, weights: Any, shape: Any, opset: int = 17) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    path = folder / "made.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def run(path: Path, data: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [session.run(None, {session.get_inputs()[0].name: one})[0] for one in data]


def computed(path: Path, folder: Path) -> collections.Counter[str]:
    """Count the operators of the graph that ONNX Runtime really runs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = onnx.load(folder / "optimized.onnx")
    return collections.Counter(node.op_type for node in model.graph.node)


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("method", "told"),
    [("minmax", "minmax"), ("entropy", "entropy"), ("percentile", "percentile 99.99")],
)
def test_digits_compute_in_integers_and_stay_right(tmp_path: Path, method: str, told: str) -> None:
    images, labels = digits()
    model = DIGITS / "digits-cnn-fp32.onnx"
    answer = apply(request(tmp_path, model, images, method=method))
    assert answer == {
        "file": "static-int8.onnx",
        "notes": [
            f"ranges by {told} of 16 samples",
            f"4 of 4 layers with weights compute in 8-bit integers {FORM}",
        ],
    }
    file = tmp_path / "out" / "static-int8.onnx"
    kinds = computed(file, tmp_path)
    assert (kinds["QLinearConv"], kinds["QGemm"]) == (3, 1)
    assert not {"Conv", "Gemm", "Relu", "DequantizeLinear"} & set(kinds)
    found, exact = run(file, images), run(model, images)
    same = [int(a.argmax() == b.argmax()) for a, b in zip(found, exact, strict=True)]
    assert sum(same) == len(labels)


def test_scales_are_those_of_the_library(tmp_path: Path) -> None:
    from onnxruntime.quantization.calibrate import TensorData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    weight = noise(4, 3, 3, 3)
    node = helper.make_node("Conv", ["input", "w", "b"], ["y"], "conv")
    weights = {"w": weight, "b": noise(4, seed=1)}
    data = noise(5, 1, 3, 8, 8, seed=2)
    path = save(tmp_path, [node], weights, [1, 3, 8, 8])
    apply(request(tmp_path, path, data, method="minmax"))
    ours = onnx.load(tmp_path / "out" / "static-int8.onnx")
    out = np.concatenate(run(path, data))
    ranges = {
        "input": TensorData(lowest=data.min(), highest=data.max()),
        "y": TensorData(lowest=out.min(), highest=out.max()),
    }
    theirs = QDQQuantizer(
        onnx.shape_inference.infer_shapes(onnx.load(path)),
        per_channel=True,
        reduce_range=False,
        weight_qType=TensorProto.INT8,
        activation_qType=TensorProto.UINT8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=["Conv"],
        extra_options={},
    )
    theirs.quantize_model()

    def constants(model: onnx.ModelProto, *names: str) -> list[Any]:
        held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        return [held[name] for name in names]

    sides = ("input_scale", "input_zero_point", "y_scale", "y_zero_point")
    mine = (*sides, "conv_weight_scale", "conv_weight_quantized", "conv_bias_quantized")
    other = (*sides, "w_scale", "w_quantized", "b_quantized")
    expected = constants(theirs.model.model, *other)
    for got, want in zip(constants(ours, *mine), expected, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_7_bits_per_tensor_in_int8(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["input", "w"], ["y"], "product")
    path = save(tmp_path, [node], {"w": noise(16, 8)}, [1, 16])
    options = {"per_channel": False, "reduce_range": True, "activations": "int8"}
    answer = apply(request(tmp_path, path, noise(4, 1, 16), method="minmax", **options))
    assert answer["notes"][1] == (
        "1 of 1 layers with weights compute in 8-bit integers"
        " (int8 activations, a weight scale for each tensor, weights of 7 bits)"
    )
    held = onnx.load(tmp_path / "out" / "static-int8.onnx").graph.initializer
    values = {t.name: numpy_helper.to_array(t) for t in held}
    assert np.abs(values["product_weight_quantized"].astype(int)).max() == 64
    assert values["product_weight_scale"].shape == ()
    assert values["input_zero_point"].dtype == np.int8


def residual(folder: Path, opset: int = 17) -> Path:
    """Conv, hard swish spelled out, Conv, Add to what came before, mean, Gemm."""
    weights = {
        "w1": noise(8, 3, 3, 3) / 4,
        "w2": noise(8, 8, 1, 1, seed=1) / 3,
        "w3": noise(8, 5, seed=2),
        "twice": np.float32([2.0]),
        "three": np.float32(3),
        "zero": np.float32(0),
        "six": np.float32(6),
    }
    nodes = [
        helper.make_node("Conv", ["input", "w1"], ["c1"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["c1", "twice"], ["a1"], "scaled"),
        helper.make_node("Add", ["a1", "three"], ["h1"], "plus"),
        helper.make_node("Clip", ["h1", "zero", "six"], ["h2"], "clip"),
        helper.make_node("Mul", ["a1", "h2"], ["h3"], "gate"),
        helper.make_node("Div", ["h3", "six"], ["h4"], "sixth"),
        helper.make_node("Conv", ["h4", "w2"], ["c2"], "second"),
        helper.make_node("Add", ["c2", "h4"], ["r"], "sum"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w3"], ["y"], "last"),
    ]
    return save(folder, nodes, weights, ["batch", 3, "high", "wide"], opset)


@pytest.mark.parametrize("opset", [12, 17])
def test_hard_swish_and_residual_have_no_float_between(tmp_path: Path, opset: int) -> None:
    path, data = residual(tmp_path, opset), noise(8, 1, 3, 12, 12)
    apply(request(tmp_path, path, data, method="minmax"))
    file = tmp_path / "out" / "static-int8.onnx"
    kinds = computed(file, tmp_path)
    assert not {"Conv", "Clip", "Mul", "Add", "Div", "DequantizeLinear"} & set(kinds)
    assert (kinds["QLinearConv"], kinds["QLinearAdd"], kinds["QLinearMul"]) == (2, 2, 1)
    found, exact = np.concatenate(run(file, data)), np.concatenate(run(path, data))
    assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()
    other = noise(2, 3, 20, 16, seed=4)
    assert run(file, [other])[0].shape == (2, 5), "free sizes stay free"


def test_weights_in_constant_nodes(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(noise(9, 4)))
    nodes = [constant, helper.make_node("MatMul", ["input", "w"], ["y"], "product")]
    path = save(tmp_path, nodes, {}, [1, 9])
    apply(request(tmp_path, path, noise(3, 1, 9)))
    kinds = computed(tmp_path / "out" / "static-int8.onnx", tmp_path)
    assert kinds["MatMulIntegerToFloat"] == 1


def sensitive(folder: Path) -> Path:
    """Make three layers; the middle one's input has one value so large that the rest is lost."""
    spread = np.eye(16, dtype=np.float32)
    spread[0, 0] = 3000
    shrink = noise(16, 16, seed=5)
    shrink[0] = 0
    # An Abs between them: were they layers side by side, floats would come out of all of them.
    nodes = [
        helper.make_node("MatMul", ["input", "w1"], ["a"], "spread"),
        helper.make_node("Abs", ["a"], ["b"], "abs"),
        helper.make_node("MatMul", ["b", "w2"], ["c"], "bad"),
        helper.make_node("Tanh", ["c"], ["d"], "tanh"),
        helper.make_node("MatMul", ["d", "w3"], ["y"], "good"),
    ]
    weights = {"w1": spread, "w2": shrink, "w3": noise(16, 4, seed=6)}
    return save(folder, nodes, weights, [1, 16])


def test_the_layer_that_int8_ruins_is_found_and_stays_in_float(tmp_path: Path) -> None:
    path, data = sensitive(tmp_path), noise(8, 1, 16)
    exact = np.concatenate(run(path, data))
    file = tmp_path / "out" / "static-int8.onnx"
    apply(request(tmp_path, path, data, method="minmax"))
    plain = np.abs(np.concatenate(run(file, data)) - exact).max()
    options = {"method": "minmax", "keep_float": "measured", "float_budget": 1}
    notes = apply(request(tmp_path, path, data, **options))["notes"]
    careful = np.abs(np.concatenate(run(file, data)) - exact).max()
    assert notes[1] == f"2 of 3 layers with weights compute in 8-bit integers {FORM}"
    begins = "left in float as measured: bad (44.4% of the multiply-accumulates); the error of"
    assert notes[2].startswith(begins)
    assert careful < plain / 5


def test_no_layer_stays_in_float_where_the_budget_forbids_it(tmp_path: Path) -> None:
    options = {"method": "minmax", "keep_float": "measured", "float_budget": 0.01}
    notes = apply(request(tmp_path, sensitive(tmp_path), noise(8, 1, 16), **options))["notes"]
    assert notes[1] == f"3 of 3 layers with weights compute in 8-bit integers {FORM}"
    assert notes[2] == "no layer left in float: none lowers the error of the outputs enough"


def test_named_nodes_stay_in_float(tmp_path: Path) -> None:
    options = {"method": "minmax", "nodes_in_float": ["bad"]}
    notes = apply(request(tmp_path, sensitive(tmp_path), noise(8, 1, 16), **options))["notes"]
    assert notes[1:] == [
        f"2 of 3 layers with weights compute in 8-bit integers {FORM}",
        "left in float as told: bad",
    ]


def test_ranges_are_read_again(tmp_path: Path) -> None:
    images, _ = digits()
    made = request(tmp_path, DIGITS / "digits-cnn-fp32.onnx", images, method="percentile")
    made["cache"] = str(tmp_path / "cache")
    file = tmp_path / "out" / "static-int8.onnx"
    assert apply(made)["notes"][0] == "ranges by percentile 99.99 of 16 samples"
    first = file.read_bytes()
    assert apply(made)["notes"][0] == "ranges by percentile 99.99 of 16 samples, read again"
    assert file.read_bytes() == first
    for method in ("entropy", "minmax"):
        again = apply({**made, "options": {"method": method}})["notes"][0]
        assert again == f"ranges by {method} of 16 samples, read again"
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"damaged")
    assert apply(made)["notes"][0] == "ranges by percentile 99.99 of 16 samples"
    np.savez(made["calibration"], **{"input.input": images[:3]})
    assert apply(made)["notes"][0] == "ranges by percentile 99.99 of 3 samples"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "mean"}, "method must be one of minmax, entropy, percentile, got mean"),
        ({"activations": "int4"}, "activations must be one of uint8, int8, got int4"),
        ({"keep_float": True}, "keep_float must be one of none, measured, got True"),
        ({"per_channel": 1}, "per_channel must be true or false, got 1"),
        ({"percentile": 3}, "percentile must be a number from 50 to 100, got 3"),
        ({"float_budget": "x"}, "float_budget must be a number from 0 to 1e+06, got x"),
        ({"samples": 0}, "samples must be a number from 1 to 1e+09, got 0"),
        ({"speed": 1}, "static_int8 has no option speed"),
        ({"nodes_in_float": ["x"]}, "nodes_in_float: no node has the name x"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    path = save(
        tmp_path, [helper.make_node("MatMul", ["input", "w"], ["y"])], {"w": noise(4, 4)}, [1, 4]
    )
    with pytest.raises(UsageError) as raised:
        apply(request(tmp_path, path, noise(2, 1, 4), **options))
    assert str(raised.value) == told


def test_what_does_not_apply(tmp_path: Path) -> None:
    images, _ = digits()
    model = DIGITS / "digits-cnn-fp32.onnx"
    with pytest.raises(ModelError) as raised:
        apply(request(tmp_path, model, None))
    assert str(raised.value) == "static int8 needs calibration data"
    with pytest.raises(ModelError) as raised:
        apply(request(tmp_path, DIGITS / "digits-cnn-int8.onnx", images))
    assert str(raised.value) == "the model is quantised already"
    path = save(tmp_path, [helper.make_node("Tanh", ["input"], ["y"])], {}, [1, 4])
    with pytest.raises(ModelError) as raised:
        apply(request(tmp_path, path, noise(2, 1, 4)))
    assert str(raised.value) == "the model has no Conv, Gemm or MatMul with constant weights"


def test_wrong_calibration_data(tmp_path: Path) -> None:
    weights = {"w": noise(4, 4)}
    path = save(tmp_path, [helper.make_node("MatMul", ["input", "w"], ["y"])], weights, [1, 4])
    made = request(tmp_path, path, noise(2, 1, 4))
    file = Path(made["calibration"])
    np.savez(file, other=noise(2, 1, 4))
    with pytest.raises(UsageError) as raised:
        apply(made)
    assert str(raised.value) == f"{file}: no array for the input input"
    file.write_bytes(b"PK damaged")
    with pytest.raises(UsageError) as raised:
        apply(made)
    assert str(raised.value) == f"{file}: not an .npz file of plain arrays"
    with pytest.raises(ModelError, match=r"^the model fails on sample 1: "):
        apply(request(tmp_path, path, noise(2, 1, 5)))
    with pytest.raises(ModelError) as failed:
        apply(request(tmp_path, path, np.full((2, 1, 4), np.inf, np.float32)))
    assert str(failed.value) == "input is not finite on the calibration data"
    assert not list((tmp_path / "out").iterdir())
