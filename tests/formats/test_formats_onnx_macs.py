"""Multiply-accumulates operator by operator."""

from pathlib import Path
from typing import Any

import onnx
import pytest
from made_onnx import FLOAT, empty, model, node, one, read, value
from onnx import TensorProto, helper

MS = {"": 17, "com.microsoft": 1}
INT8, UINT8, INT32 = TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32


def _scalar(name: str, kind: int = FLOAT) -> onnx.TensorProto:
    return helper.make_tensor(name, kind, [], [1])


X = value("x", [2, 6, 10, 10])
CASES: dict[str, tuple[onnx.ModelProto, str, int | None, str]] = {
    "conv": (
        model([node("Conv", ["x", "w"])], [X], [empty("w", [8, 6, 3, 3])]),
        "Conv", 2 * 8 * 8 * 8 * 6 * 9, "dense",
    ),
    "conv with groups": (
        model([node("Conv", ["x", "w"], group=2)], [X], [empty("w", [8, 3, 3, 3])]),
        "Conv", 2 * 8 * 8 * 8 * 3 * 9, "dense",
    ),
    "depthwise": (
        model([node("Conv", ["x", "w"], group=6)], [X], [empty("w", [6, 1, 3, 3])]),
        "Conv", 2 * 6 * 8 * 8 * 9, "depthwise",
    ),
    "conv of one dimension, strided": (
        model([node("Conv", ["x", "w"], strides=[2])], [value("x", [1, 4, 20])],
              [empty("w", [8, 4, 2])]),
        "Conv", 10 * 8 * 4 * 2, "dense",
    ),
    "transposed conv": (
        model([node("ConvTranspose", ["x", "w"], strides=[2, 2])], [X], [empty("w", [6, 5, 2, 2])]),
        "ConvTranspose", 2 * 6 * 10 * 10 * 5 * 4, "dense",
    ),
    "gemm": (
        model([node("Gemm", ["x", "w"])], [value("x", [3, 4])], [empty("w", [4, 5])]),
        "Gemm", 60, "matmul",
    ),
    "gemm, both transposed": (
        model([node("Gemm", ["x", "w"], transA=1, transB=1)], [value("x", [4, 3])],
              [empty("w", [5, 4])]),
        "Gemm", 60, "matmul",
    ),
    "matmul with a batch": (
        model([node("MatMul", ["x", "w"])], [value("x", [7, 2, 3, 4]), value("w", [2, 4, 5])]),
        "MatMul", 7 * 2 * 3 * 4 * 5, "matmul",
    ),
    "matmul, matrix in front of the batch": (
        model([node("MatMul", ["w", "x"])], [value("x", [7, 4, 3])], [empty("w", [5, 4])]),
        "MatMul", 7 * 5 * 4 * 3, "matmul",
    ),
    "matmul of vectors": (
        model([node("MatMul", ["x", "w"])], [value("x", [9]), value("w", [9])]),
        "MatMul", 9, "matmul",
    ),
    "einsum": (
        model([node("Einsum", ["x", "w"], equation="bij, bjk -> bik")],
              [value("x", [2, 3, 4]), value("w", [2, 4, 5])]),
        "Einsum", 2 * 3 * 4 * 5, "matmul",
    ),
    "einsum with an ellipsis": (
        model([node("Einsum", ["x", "w"], equation="...ij,jk->...ik")],
              [value("x", [6, 2, 3, 4]), value("w", [4, 5])]),
        "Einsum", 6 * 2 * 3 * 4 * 5, "matmul",
    ),
    "lstm": (
        model([node("LSTM", ["x", "w", "r"], hidden_size=5)], [value("x", [7, 2, 3])],
              [empty("w", [1, 20, 3]), empty("r", [1, 20, 5])]),
        "LSTM", 7 * 2 * (20 * 3 + 20 * 5), "recurrent",
    ),
    "gru in both directions": (
        model([node("GRU", ["x", "w", "r"], hidden_size=5, direction="bidirectional")],
              [value("x", [7, 2, 3])], [empty("w", [2, 15, 3]), empty("r", [2, 15, 5])]),
        "GRU", 7 * 2 * 2 * (15 * 3 + 15 * 5), "recurrent",
    ),
    "rnn": (
        model([node("RNN", ["x", "w", "r"], hidden_size=5)], [value("x", [7, 2, 3])],
              [empty("w", [1, 5, 3]), empty("r", [1, 5, 5])]),
        "RNN", 7 * 2 * (15 + 25), "recurrent",
    ),
    "quantised conv": (
        model([node("QLinearConv", ["x", "s", "z", "w", "s", "z", "s", "z"])],
              [value("x", [1, 6, 10, 10], UINT8)],
              [empty("w", [8, 6, 3, 3], UINT8), _scalar("s"), _scalar("z", UINT8)]),
        "QLinearConv", 8 * 8 * 8 * 6 * 9, "dense",
    ),
    "quantised matmul": (
        model([node("QLinearMatMul", ["x", "s", "z", "w", "s", "z", "s", "z"])],
              [value("x", [3, 4], UINT8)],
              [empty("w", [4, 5], UINT8), _scalar("s"), _scalar("z", UINT8)]),
        "QLinearMatMul", 60, "matmul",
    ),
    "integer matmul": (
        model([node("MatMulInteger", ["x", "w"])], [value("x", [3, 4], UINT8)],
              [empty("w", [4, 5], INT8)]),
        "MatMulInteger", 60, "matmul",
    ),
    "integer conv": (
        model([node("ConvInteger", ["x", "w"])], [value("x", [1, 6, 10, 10], UINT8)],
              [empty("w", [8, 6, 3, 3], UINT8)]),
        "ConvInteger", 8 * 8 * 8 * 6 * 9, "dense",
    ),
    "fused matmul, transposed": (
        model([node("FusedMatMul", ["x", "w"], domain="com.microsoft", transA=1, transB=1)],
              [value("x", [2, 4, 3]), value("w", [2, 5, 4])], opsets=MS),
        "FusedMatMul", 2 * 3 * 4 * 5, "matmul",
    ),
    "matmul of four-bit weights": (
        model([node("MatMulNBits", ["x", "w", "s"], domain="com.microsoft", K=64, N=16, bits=4,
                    block_size=32)],
              [value("x", [3, 64])], [empty("w", [16, 2, 16], UINT8), empty("s", [32])], opsets=MS),
        "MatMulNBits", 3 * 64 * 16, "matmul",
    ),
    "fused conv": (
        model([node("FusedConv", ["x", "w"], domain="com.microsoft", activation="Relu")], [X],
              [empty("w", [8, 6, 3, 3])], opsets=MS),
        "FusedConv", 2 * 8 * 8 * 8 * 6 * 9, "dense",
    ),
    "quantised gemm": (
        model([node("QGemm", ["x", "s", "z", "w", "s", "z"], domain="com.microsoft", transB=1)],
              [value("x", [3, 4], UINT8)],
              [empty("w", [5, 4], UINT8), _scalar("s"), _scalar("z", UINT8)], opsets=MS),
        "QGemm", 60, "matmul",
    ),
    "attention with its projections": (
        model([node("Attention", ["x", "w", "b"], domain="com.microsoft", num_heads=2)],
              [value("x", [2, 10, 16])], [empty("w", [16, 48]), empty("b", [48])], opsets=MS),
        "Attention", 2 * 10 * 16 * 48 + 2 * 10 * 10 * (16 + 16), "matmul",
    ),
    "multi-head attention": (
        model([node("MultiHeadAttention", ["q", "k", "v"], domain="com.microsoft", num_heads=2)],
              [value("q", [2, 10, 16]), value("k", [2, 7, 16]), value("v", [2, 7, 16])], opsets=MS),
        "MultiHeadAttention", 2 * 10 * 7 * 32, "matmul",
    ),
    "attention of opset 23": (
        model([node("Attention", ["q", "k", "v"])],
              [value("q", [2, 4, 10, 8]), value("k", [2, 4, 7, 8]), value("v", [2, 4, 7, 6])],
              opsets={"": 23}),
        "Attention", 2 * 10 * 7 * (4 * 8 + 4 * 6), "matmul",
    ),
    "linear classifier": (
        model([node("LinearClassifier", ["x"], "label", "y", domain="ai.onnx.ml",
                    coefficients=[0.5] * 12, classlabels_ints=[0, 1, 2])],
              [value("x", [5, 4])], opsets={"": 17, "ai.onnx.ml": 3}),
        "LinearClassifier", 60, "matmul",
    ),
    "normalisation has none": (
        model([node("BatchNormalization", ["x", "a", "a", "a", "a"])], [X], [empty("a", [6])]),
        "BatchNormalization", 0, "elementwise",
    ),
    "an open size": (
        model([node("Gemm", ["x", "w"])], [value("x", ["n", 4])], [empty("w", [4, 5])]),
        "Gemm", None, "matmul",
    ),
    "an operator of ONNX Runtime without a rule": (
        model([node("MoE", ["x"], domain="com.microsoft")], [value("x", [3, 4])], opsets=MS),
        "MoE", None, "elementwise",
    ),
    "a custom operator": (
        model([node("Mine", ["x"], domain="org.example")], [value("x", [3, 4])],
              opsets={"": 17, "org.example": 1}),
        "Mine", None, "elementwise",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_macs(name: str, tmp_path: Path) -> None:
    proto, op_type, macs, kind = CASES[name]
    operator = one(read(proto, tmp_path), op_type)
    assert (operator.macs, operator.kind) == (macs, kind)


def _quantised(kind: int) -> tuple[list[Any], list[Any]]:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "xq"),
        node("DequantizeLinear", ["xq", "s", "z"], "xd"),
        node("DequantizeLinear", ["w", "s", "z"], "wd"),
        node("Conv", ["xd", "wd"], "y"),
    ]
    return nodes, [empty("w", [8, 6, 3, 3], kind), _scalar("s"), _scalar("z", kind)]


def test_conv_between_quantisations_is_int8_and_reads_stored_weights(tmp_path: Path) -> None:
    nodes, weights = _quantised(INT8)
    info = read(model(nodes, [X], weights), tmp_path)
    conv = one(info, "Conv")
    assert info.precision == "int8"
    assert conv.macs == 2 * 8 * 8 * 8 * 6 * 9
    assert conv.weight_bytes == 8 * 6 * 9
    assert [o.calls for o in info.operators] == [1, 1, 0, 1]


def test_weights_in_int8_alone_leave_the_arithmetic_float(tmp_path: Path) -> None:
    nodes, weights = _quantised(INT8)
    nodes = [nodes[2], node("Conv", ["x", "wd"], "y")]
    info = read(model(nodes, [X], weights), tmp_path)
    assert info.precision == "fp32"
    expected = "weights are stored in 8 bits or less, but the arithmetic is floating point"
    assert expected in info.risks


def test_dynamic_quantisation_is_mixed(tmp_path: Path) -> None:
    nodes = [
        node("DynamicQuantizeLinear", ["x"], "xq", "s", "z"),
        node("MatMulInteger", ["xq", "w", "z"], "y"),
    ]
    info = read(model(nodes, [value("x", [3, 4])], [empty("w", [4, 5], INT8)]), tmp_path)
    assert info.precision == "mixed"


def test_float16_arithmetic(tmp_path: Path) -> None:
    half = TensorProto.FLOAT16
    nodes = [node("MatMul", ["x", "w"])]
    info = read(model(nodes, [value("x", [3, 4], half)], [empty("w", [4, 5], half)]), tmp_path)
    assert info.precision == "fp16"
    assert info.weights_bytes == 40
