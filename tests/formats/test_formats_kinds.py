"""What a network looks like, rule by rule."""

from typing import Any

import pytest
from made_advice import operator

from edge.formats.costs import Counted, precision_of, with_calls
from edge.formats.kinds import looks_like
from edge.records.tensor import Dimension, TensorSpec


def _ops(*plan: tuple[str, str, int], **changes: Any) -> list[Counted]:
    return [
        Counted(operator(kind, macs, op_type=op_type, **changes), "fp32")
        for op_type, kind, macs in plan
    ]


def _spec(name: str, *shape: Dimension, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, dtype, shape)


IMAGE = _spec("image", 1, 3, 64, 64)
TOKENS = _spec("input_ids", 1, 128, dtype="int64")
SCORES = _spec("scores", 1, 10)
CONV, FC = ("Conv", "dense", 1000), ("MatMul", "matmul", 10)
DEPTHWISE = ("Conv", "depthwise", 100)
SOFTMAX = ("Softmax", "elementwise", 0)
# Products of activations read no weights.
ATTENTION = _ops(
    ("MatMul", "matmul", 500), SOFTMAX, ("MatMul", "matmul", 500), weight_bytes=0
)  # fmt: skip
CASES: dict[str, tuple[list[Counted], int, list[TensorSpec], list[TensorSpec], str]] = {
    "trees": (
        _ops(("TreeEnsembleClassifier", "elementwise", 0)), 9, [SCORES], [SCORES], "tree ensemble"
    ),
    "logistic regression": (
        _ops(("LinearClassifier", "matmul", 40)), 40, [SCORES], [SCORES], "linear model"
    ),
    "one product": (_ops(("Gemm", "matmul", 40)), 40, [SCORES], [SCORES], "linear model"),
    "two products": (
        _ops(("Gemm", "matmul", 40), ("Gemm", "matmul", 9)), 49, [SCORES], [SCORES], "perceptron"
    ),
    "convolutions": (_ops(CONV, CONV, FC), 9, [IMAGE], [SCORES], "convolutional network"),
    "depthwise": (
        _ops(CONV, *[DEPTHWISE, CONV] * 3), 9, [IMAGE], [SCORES], "mobile convolutional network"
    ),
    "recurrent": (
        _ops(CONV, ("LSTM", "recurrent", 300)), 9, [IMAGE], [SCORES], "recurrent network"
    ),
    "transformer": (ATTENTION * 2, 9, [TOKENS], [SCORES], "transformer"),
    "with attention": (
        [*_ops(*[CONV] * 9), *ATTENTION], 9, [IMAGE], [SCORES], "convolutional network with attention"
    ),
    "language model by size": (
        ATTENTION * 2, 10**9, [TOKENS], [SCORES], "large language model"
    ),
    "language model by its cache": (
        ATTENTION, 10**7, [TOKENS, _spec("past_key_values.0.key", 1, 8, 9, 64)], [SCORES],
        "large language model",
    ),
    "diffusion": (
        [*_ops(*[CONV] * 9), *ATTENTION], 10**9, [_spec("latent", 1, 4, 64, 64), _spec("t", 1)],
        [_spec("noise", 1, 4, 64, 64)], "diffusion network",
    ),
    "boxes and scores": (
        _ops(CONV), 9, [IMAGE], [_spec("b", 1, 896, 16), _spec("s", 1, 896, 1)], "detector"
    ),
    "one row of both": (_ops(CONV), 9, [IMAGE], [_spec("o", 1, 84, 8400)], "detector"),
    "suppression": (
        _ops(CONV, ("NonMaxSuppression", "elementwise", 0)), 9, [IMAGE], [SCORES], "detector"
    ),
    "letters are no boxes": (
        _ops(CONV, SOFTMAX), 9, [IMAGE], [_spec("o", 1, 40, 6625)], "convolutional network"
    ),
    "sounds are no boxes": (
        _ops(CONV), 9, [_spec("audio", 1, 43844, 1)],
        [_spec("a", 1, 172, 88), _spec("b", 1, 172, 264)], "convolutional network",
    ),
    "nothing": ([], 0, [IMAGE], [IMAGE], "unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_looks_like(name: str) -> None:
    counted, parameters, inputs, outputs, expected = CASES[name]
    assert looks_like(counted, parameters, inputs, outputs) == expected


def test_what_never_runs_says_nothing() -> None:
    counted = [*_ops(CONV), *with_calls(_ops(("LSTM", "recurrent", 10**6)), 0)]
    assert looks_like(counted, 9, [IMAGE], [SCORES]) == "convolutional network"


def test_precision_is_that_of_nine_tenths_of_the_work() -> None:
    def counted(fp32: int, int8: int) -> list[Counted]:
        return [Counted(operator("dense", fp32), "fp32"), Counted(operator("dense", int8), "int8")]

    assert precision_of(counted(9, 91), "fp32") == "int8"
    assert precision_of(counted(50, 50), "fp32") == "mixed"
    assert precision_of(counted(91, 9), "int8") == "fp32"
    assert precision_of([], "fp16") == "fp16"
