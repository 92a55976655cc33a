"""What each ONNX operator does to the channels of its inputs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.passes._channel_axes import (
    along,
    follow,
    pad,
    reduce,
    reshape,
    resize,
    slice_of,
    split,
    squeeze,
    transpose,
    unsqueeze,
)
from edge.passes._channel_layers import (
    attribute,
    bar_all,
    convolution,
    gemm,
    matmul,
    transposed,
)
from edge.passes._channels import Array, Channels, Slice

if TYPE_CHECKING:
    import onnx

Rule = Callable[[Channels, int, "onnx.NodeProto"], None]


def _pool(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    track = found.tracks.get(node.input[0])
    if track is not None and (track.axis != 1 or len([o for o in node.output if o]) > 1):
        bar_all(found, node)
    else:
        follow(found, index, node)


def _elementwise(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Tie the channels of all operands, which are broadcast from the right."""
    shape = found.shapes[node.output[0]]
    tracks = {}
    for slot, name in enumerate(node.input):
        track = found.tracks.get(name)
        if track is not None:
            axis = track.axis + len(shape) - len(found.shapes[name])
            if len(track.ids) == shape[axis]:
                tracks[slot] = (axis, track.ids)
            else:
                found.bar(name, node.op_type)
    if not tracks:
        return
    axis, ids = next(iter(tracks.values()))
    parts: list[Slice] = []
    for slot, name in enumerate(node.input):
        own = axis - (len(shape) - len(found.shapes[name])) if name else -1
        if slot in tracks:
            fits = tracks[slot][0] == axis
        elif own < 0 or found.shapes[name][own] == 1:
            fits = True
        else:
            fits = name in found.weights
            parts.append(Slice(node=index, slot=slot, axis=own, ids=ids, role="with"))
        if not fits:
            bar_all(found, node)
            return
    for _, other in tracks.values():
        found.ties.tie(ids, other)
    found.slices.extend(parts)
    found.put(node.output[0], axis, ids)


def _per_channel(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Normalise each channel by itself: what follows the first input has one entry for each."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    if track.axis != 1 or not all(name in found.weights for name in node.input[1:]):
        bar_all(found, node)
        return
    for slot in range(1, len(node.input)):
        found.slices.append(Slice(node=index, slot=slot, axis=0, ids=track.ids, role="with"))
    found.put(node.output[0], 1, track.ids)


def _concat(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    shape = found.shapes[node.output[0]]
    axis = attribute(node, "axis") % len(shape)
    tracks = [found.tracks.get(name) for name in node.input]
    known = [track for track in tracks if track is not None]
    if not known or any(track.axis != known[0].axis for track in known):
        bar_all(found, node)
        return
    along = known[0].axis == axis
    ids: list[Array] = []
    parts: list[Slice] = []
    for slot, (name, track) in enumerate(zip(node.input, tracks, strict=True)):
        if track is not None:
            ids.append(track.ids)
            continue
        constant = name in found.weights
        if along:
            new = found.ties.fresh(found.shapes[name][axis])
            if not constant:
                found.ties.keep(new)
            ids.append(new)
        elif not constant:
            bar_all(found, node)
            return
        if constant:
            own = ids[-1] if along else known[0].ids
            at = known[0].axis
            parts.append(Slice(node=index, slot=slot, axis=at, ids=own, role="with"))
    found.slices.extend(parts)
    if along:
        found.put(node.output[0], axis, np.concatenate(ids))
        return
    for track in known:
        found.ties.tie(known[0].ids, track.ids)
    found.put(node.output[0], known[0].axis, known[0].ids)


_UNARY: Final = """Abs Cast Ceil Celu Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity
LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Swish
Tanh ThresholdedRelu"""
_BINARY: Final = "Add Div Equal Greater Less Max Mean Min Mul PRelu Pow Sub Sum Where"
_REDUCTIONS: Final = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"

RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(_UNARY.split(), follow),
    **dict.fromkeys(_BINARY.split(), _elementwise),
    **dict.fromkeys((f"Reduce{name}" for name in _REDUCTIONS.split()), reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "LayerNormalization"), along),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"), _pool),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), _per_channel),
    **dict.fromkeys(("Reshape", "Flatten"), reshape),
    "Concat": _concat,
    "Conv": convolution,
    "ConvTranspose": transposed,
    "Gemm": gemm,
    "MatMul": matmul,
    "Pad": pad,
    "Resize": resize,
    "Slice": slice_of,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
