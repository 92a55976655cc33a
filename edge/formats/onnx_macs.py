"""Multiply-accumulates of ONNX operators (and ONNX Runtime's own), by the usual conventions.

Convolutions, matrix products, recurrent cells and attention count; everything else is 0: bias,
activation, normalisation, pooling, resizing. Borders count as if they were inside (as published
figures do). None: a shape that is needed is not known, or the operator is not.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.formats.onnx_types import Shape, elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operator with what is known of its tensors; absent inputs have the shape None."""

    op_type: str
    inputs: Sequence[Shape | None]
    outputs: Sequence[Shape | None]
    attributes: Mapping[str, Any]

    def input(self, index: int) -> Shape | None:
        """Return the shape of an input, None where it is absent or unknown."""
        return self.inputs[index] if index < len(self.inputs) else None

    def output(self, index: int = 0) -> Shape | None:
        """Return the shape of an output."""
        return self.outputs[index] if index < len(self.outputs) else None


def macs_of(call: Call, domain: str) -> int | None:
    """Return the multiply-accumulates of one call."""
    rule = _RULES.get(call.op_type)
    if rule is not None:
        return rule(call)
    if domain in _KNOWN_DOMAINS or call.op_type in _FREE:
        return 0
    return None


def _times(*factors: int | None) -> int | None:
    known = [factor for factor in factors if factor is not None]
    return math.prod(known) if len(known) == len(factors) else None


def _size(shape: Shape | None, index: int) -> int | None:
    if shape is None or not -len(shape) <= index < len(shape):
        return None
    size = shape[index]
    return size if isinstance(size, int) else None


def _convolution(weights: int) -> Callable[[Call], int | None]:
    def rule(call: Call) -> int | None:
        kernel = call.input(weights)
        # Weights are M x C/groups x kernel, so that groups need no further thought.
        return _times(elements(call.output()), elements(kernel[1:] if kernel else None))

    return rule


def _transposed(weights: int) -> Callable[[Call], int | None]:
    def rule(call: Call) -> int | None:
        kernel = call.input(weights)
        return _times(elements(call.input(0)), elements(kernel[1:] if kernel else None))

    return rule


def _channels_last(call: Call) -> int | None:
    kernel = call.input(1)
    return _times(elements(call.output()), elements(kernel[1:] if kernel else None))


def _gemm(call: Call) -> int | None:
    depth = _size(call.input(0), 0 if call.attributes.get("transA") else 1)
    return _times(elements(call.output()), depth)


def _matmul(call: Call) -> int | None:
    left = call.input(0)
    transposed = call.attributes.get("transA") and left is not None and len(left) > 1
    return _times(elements(call.output()), _size(left, -2 if transposed else -1))


def _einsum(call: Call) -> int | None:
    """Count the loop nest: the product of all distinct index sizes."""
    equation = call.attributes.get("equation", b"")
    text = equation.decode("ascii", "replace") if isinstance(equation, bytes) else str(equation)
    terms = text.replace(" ", "").partition("->")[0].split(",")
    if len(terms) < 2:
        return 0
    sizes: dict[str, int | None] = {}
    for term, shape in zip(terms, call.inputs, strict=False):
        if shape is None:
            return None
        head, dots, tail = term.partition("...")
        free = len(shape) - len(head) - len(tail)
        if free < 0 or (free and not dots):
            return None
        # The ellipsis stands for leading sizes that broadcast from the right.
        labels = [*head, *(f"...{free - i}" for i in range(free)), *tail]
        for label, size in zip(labels, shape, strict=True):
            known = size if isinstance(size, int) else None
            if sizes.get(label, 1) in (1, None):
                sizes[label] = known
    return _times(*sizes.values())


def _recurrent(call: Call) -> int | None:
    """Count input and recurrent weights once for every step of every sequence."""
    steps = _times(_size(call.input(0), 0), _size(call.input(0), 1))
    inputs, recurrent = elements(call.input(1)), elements(call.input(2))
    if steps is None or inputs is None or recurrent is None:
        return None
    return steps * (inputs + recurrent)


def _scores(
    batch: int | None,
    queries: int | None,
    keys: int | None,
    width_qk: int | None,
    width_v: int | None,
) -> int | None:
    """Count queries times keys, and the result times values; widths are over all heads."""
    if width_qk is None or width_v is None:
        return None
    return _times(batch, queries, keys, width_qk + width_v)


def _attention_with_projection(call: Call) -> int | None:
    """com.microsoft.Attention: three projections of the input, then attention."""
    data, weights = call.input(0), call.input(1)
    batch, queries = _size(data, 0), _size(data, 1)
    projection = _times(batch, queries, elements(weights))
    total, width_v = _size(weights, 1), _size(call.output(), 2)
    if projection is None or total is None or width_v is None or queries is None:
        return None
    past = _size(call.input(4), 3) or 0
    attention = _scores(batch, queries, queries + past, (total - width_v) // 2, width_v)
    return None if attention is None else projection + attention


def _multi_head(call: Call) -> int | None:
    """com.microsoft.MultiHeadAttention: inputs are projected already."""
    query, key = call.input(0), call.input(1)
    width_v = _size(call.output(), 2)
    if query is not None and len(query) == 5:
        width = _times(_size(query, 2), _size(query, 4))
        return _scores(_size(query, 0), _size(query, 1), _size(query, 1), width, width_v)
    if key is not None and len(key) > 3:
        keys = _size(key, 2) if len(key) == 4 else _size(key, 1)
    else:
        keys = _size(key, 1)
    return _scores(_size(query, 0), _size(query, 1), keys, _size(query, 2), width_v)


def _grouped_query(call: Call) -> int | None:
    """com.microsoft.GroupQueryAttention: the keys so far are in the second output."""
    query, width = call.input(0), _size(call.output(), 2)
    keys = _size(call.output(1), 2)
    if keys is None and call.input(3) is None:
        keys = _size(query, 1)
    return _scores(_size(query, 0), _size(query, 1), keys, width, width)


def _attention(call: Call) -> int | None:
    """ONNX's Attention: batch x heads x sequence x size, or batch x sequence x width."""
    query, key, value = call.input(0), call.input(1), call.input(2)
    past = _size(call.input(4), 2) or 0
    if query is None or key is None or value is None:
        return None
    if len(query) == 4:
        heads, queries, keys = _size(query, 1), _size(query, 2), _size(key, 2)
        width_qk = _times(heads, _size(query, 3))
        width_v = _times(heads, _size(value, 3))
    else:
        queries, keys = _size(query, 1), _size(key, 1)
        width_qk, width_v = _size(query, 2), _size(call.output(), 2)
    if keys is None:
        return None
    return _scores(_size(query, 0), queries, keys + past, width_qk, width_v)


def _linear(call: Call) -> int | None:
    return _times(_size(call.input(0), 0), len(call.attributes.get("coefficients", ())))


def _support_vectors(call: Call) -> int | None:
    return _times(_size(call.input(0), 0), len(call.attributes.get("support_vectors", ())))


DENSE: Final = frozenset(
    {
        "Conv", "ConvInteger", "ConvTranspose", "ConvTransposeWithDynamicPads", "DeformConv",
        "FusedConv", "NhwcConv", "NhwcFusedConv", "QLinearConv", "QLinearConvTranspose",
    }
)  # fmt: skip
MATRIX: Final = frozenset(
    {
        "DynamicQuantizeMatMul", "Einsum", "FusedGemm", "FusedMatMul", "FusedMatMulActivation",
        "Gemm", "GemmFastGelu", "MatMul", "MatMulBnb4", "MatMulFpQ4", "MatMulInteger",
        "MatMulInteger16", "MatMulIntegerToFloat", "MatMulNBits", "QGemm", "QLinearMatMul",
        "SparseToDenseMatMul", "TransposeMatMul",
    }
)  # fmt: skip
RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"})
ATTENTION: Final = frozenset(
    {"Attention", "QAttention", "MultiHeadAttention", "GroupQueryAttention"}
)
TREES: Final = frozenset({"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"})
LINEAR: Final = frozenset({"LinearClassifier", "LinearRegressor", "SVMClassifier", "SVMRegressor"})

_RULES: Final[Mapping[str, Callable[[Call], int | None]]] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "DeformConv": _convolution(1),
    "FusedConv": _convolution(1),
    "NhwcConv": _channels_last,
    "NhwcFusedConv": _channels_last,
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed(1),
    "ConvTransposeWithDynamicPads": _transposed(1),
    "QLinearConvTranspose": _transposed(3),
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "GemmFastGelu": _matmul,
    "QGemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "FusedMatMul": _matmul,
    "FusedMatMulActivation": _matmul,
    "TransposeMatMul": _matmul,
    "DynamicQuantizeMatMul": _matmul,
    "MatMulIntegerToFloat": _matmul,
    "MatMulInteger16": _matmul,
    "MatMulNBits": _matmul,
    "MatMulBnb4": _matmul,
    "MatMulFpQ4": _matmul,
    "SparseToDenseMatMul": _matmul,
    "Einsum": _einsum,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "DynamicQuantizeLSTM": _recurrent,
    "QAttention": _attention_with_projection,
    "MultiHeadAttention": _multi_head,
    "GroupQueryAttention": _grouped_query,
    "Attention": lambda call: (
        # The two operators of this name differ in their second input: weights or keys.
        _attention_with_projection(call) if len(call.input(1) or ()) == 2 else _attention(call)
    ),
    "LinearClassifier": _linear,
    "LinearRegressor": _linear,
    "SVMClassifier": _support_vectors,
    "SVMRegressor": _support_vectors,
    # A mixture of experts, or linear attention, is no fixed number of products.
    "LinearAttention": lambda _call: None,
    "CausalConvWithState": lambda _call: None,
}
# Every other operator of these domains has none.
_KNOWN_DOMAINS: Final = ("", "ai.onnx.ml")
# Of ONNX Runtime's own operators: those that have none.
_FREE: Final = frozenset(
    {
        "BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "BifurcationDetector",
        "CDist", "CropAndResize", "DequantizeLinear", "EmbedLayerNormalization", "ExpandDims",
        "FastGelu", "GatedAdd", "GatherBlockQuantized", "GatherND", "Gelu", "GridSample",
        "GroupNorm", "Inverse", "IsAllFinite", "MaxpoolWithMask", "MurmurHash3", "NGramRepeatBlock",
        "NhwcMaxPool", "Pad", "QEmbedLayerNormalization", "QLinearAdd", "QLinearAveragePool",
        "QLinearConcat", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul",
        "QLinearReduceMean", "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere", "QuantizeLinear",
        "QuickGelu", "Range", "ReduceSumInteger", "RelativePositionBias", "RemovePadding",
        "ReorderInput", "ReorderOutput", "RestorePadding", "RotaryEmbedding", "SampleOp",
        "SimplifiedLayerNormalization", "SkipGroupNorm", "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization", "Tokenizer", "TorchEmbedding", "Trilu", "Unique",
        "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "Upsample",
    }
)  # fmt: skip
