"""The passes that change the arithmetic: fp16, dynamic_int8, weight_only."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_onnx import empty, model, node, value
from made_transformer import cosine, executed, feeds, operators, passed, run, transformer

from edge.errors import ConfigError, ModelError

PRODUCTS = 6


def test_half_precision_keeps_inputs_and_outputs(tmp_path: Path) -> None:
    model_path = transformer(tmp_path)
    path, notes = passed("fp16", model_path, tmp_path / "out")
    assert notes == ["inputs and outputs stay in 32 bits"]
    got = onnx.load(path)
    kinds = {t.name: t.data_type for t in got.graph.initializer}
    assert kinds["w1"] == onnx.TensorProto.FLOAT16
    elem_types = {v.type.tensor_type.elem_type for v in (*got.graph.input, *got.graph.output)}
    assert elem_types == {onnx.TensorProto.FLOAT}
    assert path.stat().st_size < 0.7 * model_path.stat().st_size
    assert cosine(run(path, feeds())[0], run(model_path, feeds())[0]) > 0.9999


def test_what_half_precision_cannot_hold_is_told(tmp_path: Path) -> None:
    proto = model([node("Mul", ["x", "w"])], [value("x", [2])], [empty("w", [2])])
    proto.graph.initializer[0].raw_data = np.array([1e6, 1], np.float32).tobytes()
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    _, notes = passed("fp16", tmp_path / "model.onnx", tmp_path / "out")
    assert notes[1:] == ["1 constants were cut to what half precision can hold"]


@pytest.mark.parametrize("per_channel", [True, False])
def test_products_run_in_integers(tmp_path: Path, per_channel: bool) -> None:  # noqa: FBT001
    model_path = transformer(tmp_path)
    path, notes = passed("dynamic_int8", model_path, tmp_path / "out", per_channel=per_channel)
    assert notes == ["6 products in 8-bit integers, with scales computed of every input"]
    assert operators(path).count("MatMulInteger") == PRODUCTS
    # Those of two activations are not among them.
    assert operators(path).count("MatMul") == 2
    runs = executed(path, tmp_path)
    assert runs.count("DynamicQuantizeMatMul") + runs.count("MatMulIntegerToFloat") == PRODUCTS
    scales = [t for t in onnx.load(path).graph.initializer if t.name == "w1_scale"]
    assert [list(t.dims) for t in scales] == ([[64]] if per_channel else [[]])
    assert cosine(run(path, feeds())[0], run(model_path, feeds())[0]) > 0.995
    assert [p.key for p in onnx.load(path).metadata_props if p.key == "characters"]


def test_the_range_is_reduced_and_operators_are_left(tmp_path: Path) -> None:
    model_path = transformer(tmp_path)
    proto = onnx.load(model_path)
    for number, one in enumerate(proto.graph.node):
        one.name = f"n{number}"
    onnx.save(proto, model_path)
    left = next(one.name for one in proto.graph.node if "w1" in one.input)
    path, notes = passed(
        "dynamic_int8", model_path, tmp_path / "out", reduce_range=True, leave=[left]
    )
    assert notes == ["5 products in 8-bit integers, with scales computed of every input"]
    weights = [t for t in onnx.load(path).graph.initializer if t.name == "w2_quantized"]
    assert abs(onnx.numpy_helper.to_array(weights[0]).astype(int)).max() <= 64


def test_every_order_with_the_other_passes_gives_one_speed_and_one_answer(tmp_path: Path) -> None:
    model_path = transformer(tmp_path)
    wanted = run(model_path, feeds())[0]
    found = []
    for order in (
        ("fused_attention", "apart_sums", "dynamic_int8"),
        ("fused_attention", "dynamic_int8", "apart_sums"),
    ):
        path = model_path
        for name in order:
            path, _ = passed(name, path, tmp_path / "-".join([*order, name]))
        found.append(sorted(executed(path, tmp_path)))
        assert cosine(run(path, feeds())[0], wanted) > 0.995
    assert found[0] == found[1]
    assert "SkipLayerNormalization" not in found[0]


@pytest.mark.parametrize(
    ("options", "least", "note"),
    [
        ({}, 0.999, "weights of 6 products in 8 bits, 32 to a scale; computed in floats"),
        (
            {"accuracy_level": 4},
            0.999,
            "weights of 6 products in 8 bits, 32 to a scale; computed in 8-bit integers",
        ),
        (
            {"bits": 4, "block_size": 16},
            0.98,
            "weights of 6 products in 4 bits, 16 to a scale; computed in floats",
        ),
    ],
)
def test_weights_in_blocks(
    tmp_path: Path, options: dict[str, Any], least: float, note: str
) -> None:
    model_path = transformer(tmp_path)
    path, notes = passed("weight_only", model_path, tmp_path / "out", **options)
    since = "1.17" if options.get("bits") == 4 else "1.23"
    assert notes == [note, f"runs on ONNX Runtime {since} and later"]
    assert operators(path).count("MatMulNBits") == PRODUCTS
    assert cosine(run(path, feeds())[0], run(model_path, feeds())[0]) > least


def test_a_gemm_and_a_block_that_is_not_full(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    weights = empty("w", [10, 40])
    weights.raw_data = generator.normal(0, 1, (10, 40)).astype(np.float32).tobytes()
    bias = empty("b", [10])
    proto = model([node("Gemm", ["x", "w", "b"], transB=1)], [value("x", [3, 40])], [weights, bias])
    model_path = tmp_path / "model.onnx"
    model_path.write_bytes(proto.SerializeToString())
    x = generator.normal(0, 1, (3, 40)).astype(np.float32)
    path, _ = passed("weight_only", model_path, tmp_path / "out")
    assert operators(path) == ["MatMulNBits", "Add"]
    assert cosine(run(path, {"x": x})[0], run(model_path, {"x": x})[0]) > 0.999


@pytest.mark.parametrize(
    ("options", "what", "hint"),
    [
        ({"bits": 3}, "weight_only has no 3 bits", "bits: 4 or 8"),
        ({"block_size": 24}, "blocks of 24 do not fit", "block_size: 16, 32, 64, 128 ..."),
        ({"accuracy_level": 5}, "there is no accuracy level 5", "accuracy_level: 0 to 4"),
    ],
)
def test_options_that_there_are_not(
    tmp_path: Path, options: dict[str, int], what: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        passed("weight_only", transformer(tmp_path), tmp_path / "out", **options)
    assert (str(raised.value), raised.value.hint) == (what, hint)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fp16", "it has no weights in 32-bit floats"),
        ("dynamic_int8", "it has no matrix product with stored weights in floats"),
        ("weight_only", "it has no matrix product with stored weights in floats"),
    ],
)
def test_a_model_without_weights_is_told(tmp_path: Path, name: str, reason: str) -> None:
    proto = model([node("Neg", ["x"])], [value("x", [1])])
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError) as raised:
        passed(name, path, tmp_path / "out")
    assert str(raised.value) == f"{path}: {reason}"
