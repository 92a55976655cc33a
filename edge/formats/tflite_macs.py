"""Multiply-accumulates of TFLite operators, by the same conventions as for ONNX."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edge.records.model import OperatorKind

Sizes = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operator with the shapes of its tensors; None is an absent tensor."""

    op_type: str
    inputs: Sequence[Sizes | None]
    outputs: Sequence[Sizes | None]
    transposes_first: bool = False

    def input(self, index: int) -> Sizes | None:
        """Return the shape of an input, None where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def output(self) -> Sizes | None:
        """Return the shape of the first output."""
        return self.outputs[0] if self.outputs else None


def macs_of(call: Call, *, is_custom: bool) -> int | None:
    """Return the multiply-accumulates of one call; None where a shape or the operator is unknown."""
    rule = _RULES.get(call.op_type)
    if rule is not None:
        return rule(call)
    if (is_custom and call.op_type not in _FREE_CUSTOM) or call.op_type.startswith(_OPAQUE):
        return None
    return 0


def elements(shape: Sizes | None) -> int | None:
    """Return the number of elements; None where the tensor is absent or a size is unknown."""
    if shape is None:
        return None
    known = [size for size in shape if size is not None]
    return math.prod(known) if len(known) == len(shape) else None


def _times(*factors: int | None) -> int | None:
    known = [factor for factor in factors if factor is not None]
    return math.prod(known) if len(known) == len(factors) else None


def _size(shape: Sizes | None, index: int) -> int | None:
    return shape[index] if shape is not None and -len(shape) <= index < len(shape) else None


def _convolution(call: Call) -> int | None:
    """Weights are output channels x height x width x input channels of one group."""
    kernel = call.input(1)
    return _times(elements(call.output()), elements(kernel[1:] if kernel else None))


def _depthwise(call: Call) -> int | None:
    """Weights are 1 x height x width x output channels."""
    kernel = call.input(1)
    return _times(elements(call.output()), elements(kernel[1:3] if kernel else None))


def _transposed(data: int) -> Callable[[Call], int | None]:
    """Every input element meets every output channel at every place of the kernel."""

    def rule(call: Call) -> int | None:
        kernel = call.input(1)
        return _times(elements(call.input(data)), elements(kernel[:3] if kernel else None))

    return rule


def _convolution_3d(call: Call) -> int | None:
    """Weights are depth x height x width x input channels x output channels."""
    kernel = call.input(1)
    return _times(elements(call.output()), elements(kernel[:4] if kernel else None))


def _transposed_3d(call: Call) -> int | None:
    """Weights are depth x height x width x output channels x input channels."""
    kernel = call.input(1)
    return _times(elements(call.input(2)), elements(kernel[:4] if kernel else None))


def _fully_connected(call: Call) -> int | None:
    return _times(elements(call.output()), _size(call.input(1), -1))


def _batch_matmul(call: Call) -> int | None:
    depth = _size(call.input(0), -2 if call.transposes_first else -1)
    return _times(elements(call.output()), depth)


def _weights(call: Call, places: Sequence[int]) -> int | None:
    """Add up weights; absent ones are none (a coupled gate, no projection)."""
    total = 0
    for place in places:
        shape = call.input(place)
        if shape is not None:
            count = elements(shape)
            if count is None:
                return None
            total += count
    return total


def _cell(*places: int, sequence: bool) -> Callable[[Call], int | None]:
    """Every step of every sequence meets every weight once."""

    def rule(call: Call) -> int | None:
        data = call.input(0)
        steps = _times(_size(data, 0), _size(data, 1) if sequence else 1)
        return _times(steps, _weights(call, places))

    return rule


# Input, recurrent and projection weights, in the order of lstm.cc's inputs.
_LSTM: Final = (*range(1, 9), 16)
_BACKWARD_LSTM: Final = (*range(18, 26), 33, *range(40, 48))


def _lstm(call: Call) -> int | None:
    # The basic kernel has five inputs, and all weights in the third.
    places = (2,) if len(call.inputs) == 5 else _LSTM
    return _cell(*places, sequence=False)(call)


_RULES: Final[Mapping[str, Callable[[Call], int | None]]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed(2),
    "Convolution2DTransposeBias": _transposed(0),
    "CONV_3D": _convolution_3d,
    "CONV_3D_TRANSPOSE": _transposed_3d,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "LSTM": _lstm,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _cell(*_LSTM, sequence=True),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _cell(*_LSTM, *_BACKWARD_LSTM, sequence=True),
    "RNN": _cell(1, 2, sequence=False),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _cell(1, 2, sequence=True),
    "BIDIRECTIONAL_SEQUENCE_RNN": _cell(1, 2, 5, 6, sequence=True),
    "SVDF": _cell(1, 2, sequence=False),
}
_KINDS: Final[Mapping[str, OperatorKind]] = {
    "CONV_2D": "dense",
    "TRANSPOSE_CONV": "dense",
    "Convolution2DTransposeBias": "dense",
    "CONV_3D": "dense",
    "CONV_3D_TRANSPOSE": "dense",
    "DEPTHWISE_CONV_2D": "depthwise",
    "FULLY_CONNECTED": "matmul",
    "BATCH_MATMUL": "matmul",
    "LSTM": "recurrent",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "recurrent",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "recurrent",
    "RNN": "recurrent",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "recurrent",
    "BIDIRECTIONAL_SEQUENCE_RNN": "recurrent",
    "SVDF": "recurrent",
    "IF": "control",
    "WHILE": "control",
    "CALL_ONCE": "control",
    "STABLEHLO_COMPOSITE": "control",
    "VAR_HANDLE": "control",
}
_LAYOUT: Final = frozenset(
    {
        "ASSIGN_VARIABLE", "BATCH_TO_SPACE_ND", "BITCAST", "BROADCAST_TO", "CAST", "CONCATENATION",
        "DEPTH_TO_SPACE", "DYNAMIC_UPDATE_SLICE", "EXPAND_DIMS", "FILL", "GATHER", "GATHER_ND",
        "MIRROR_PAD", "PACK", "PAD", "PADV2", "READ_VARIABLE", "RESHAPE", "REVERSE_SEQUENCE",
        "REVERSE_V2", "SCATTER_ND", "SHAPE", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH",
        "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
    }
)  # fmt: skip
# MediaPipe's and TensorFlow's custom operators without products.
_FREE_CUSTOM: Final = frozenset(
    {
        "AudioSpectrogram", "Landmarks2TransformMatrix", "MaxPoolingWithArgmax2D", "MaxUnpooling2D",
        "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess", "TransformLandmarks",
        "TransformTensorBilinear",
    }
)  # fmt: skip
_OPAQUE: Final = ("BUILTIN_", "STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL", "DELEGATE")


def kind_of(op_type: str) -> OperatorKind:
    """Return the kind of an operator."""
    return _KINDS.get(op_type, "layout" if op_type in _LAYOUT else "elementwise")
