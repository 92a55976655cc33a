"""What operators on axes (Reshape, Transpose, Pad ...) do to the channels of their inputs."""

import math
from typing import TYPE_CHECKING

import numpy as np

from edge.passes._channel_layers import attribute, bar_all
from edge.passes._channels import Channels, Rewrite, opset_of

if TYPE_CHECKING:
    import onnx


def follow(found: Channels, _: int, node: "onnx.NodeProto") -> None:
    """Take the channels of the first input over, on the same axis."""
    track = found.tracks.get(node.input[0])
    if track is not None:
        found.put(node.output[0], track.axis, track.ids)


def transpose(found: Channels, _: int, node: "onnx.NodeProto") -> None:
    """Follow channels to another axis."""
    track = found.tracks.get(node.input[0])
    if track is not None:
        rank = len(found.shapes[node.input[0]])
        order = list(attribute(node, "perm") or reversed(range(rank)))
        found.put(node.output[0], order.index(track.axis), track.ids)


def reshape(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Follow channels whose axis stays, or is merged with its neighbours (Flatten)."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    before, after = found.shapes[node.input[0]], found.shapes[node.output[0]]
    size = len(track.ids)
    outer = math.prod(before[: track.axis])
    stated = found.constant(node.input[1]) if node.op_type == "Reshape" else None
    for axis, whole in enumerate(after):
        above = math.prod(after[:axis])
        if size < 2 or not above or outer % above or whole % size:
            continue
        tiles = outer // above
        if whole % (tiles * size) or (node.op_type == "Reshape" and stated is None):
            continue
        ids = np.tile(np.repeat(track.ids, whole // (tiles * size)), tiles)
        if stated is not None and stated[axis] > 0:
            found.rewrites.append(Rewrite(node=index, kind="entry", ids=(ids,), entry=axis))
        elif stated is not None and stated[axis] == 0 and axis != track.axis:
            continue
        found.put(node.output[0], axis, ids)
        return
    bar_all(found, node)


def _axes_of(found: Channels, node: "onnx.NodeProto", rank: int) -> list[int] | None:
    """Return the axes in an attribute or in the second input, None where they are not known."""
    axes = attribute(node, "axes")
    if axes is None and len(node.input) > 1 and node.input[1]:
        read = found.constant(node.input[1])
        axes = None if read is None else read.tolist()
    return None if axes is None else [int(axis) % rank for axis in axes]


def reduce(found: Channels, _: int, node: "onnx.NodeProto") -> None:
    """Follow channels over which nothing is summed."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    axes = _axes_of(found, node, len(found.shapes[node.input[0]]))
    if not axes or track.axis in axes:
        bar_all(found, node)
        return
    gone = 0 if attribute(node, "keepdims", 1) else sum(axis < track.axis for axis in axes)
    found.put(node.output[0], track.axis - gone, track.ids)


def squeeze(found: Channels, _: int, node: "onnx.NodeProto") -> None:
    """Follow channels where other axes go."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    rank = len(found.shapes[node.input[0]])
    axes = _axes_of(found, node, rank)
    if axes is None or track.axis in axes:
        bar_all(found, node)
        return
    found.put(node.output[0], track.axis - sum(a < track.axis for a in axes), track.ids)


def unsqueeze(found: Channels, _: int, node: "onnx.NodeProto") -> None:
    """Follow channels where axes are added."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    rank = len(found.shapes[node.output[0]])
    axes = _axes_of(found, node, rank)
    if axes is None:
        bar_all(found, node)
        return
    left = [axis for axis in range(rank) if axis not in axes]
    found.put(node.output[0], left[track.axis], track.ids)


def along(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Take the channels over where the operator works along another axis."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    rank = len(found.shapes[node.input[0]])
    old = opset_of(found.model) < 13 and node.op_type != "LayerNormalization"
    axis = attribute(node, "axis", 1 if old else -1) % rank
    onwards = old or node.op_type == "LayerNormalization"
    if track.axis == axis or (onwards and track.axis > axis):
        bar_all(found, node)
    else:
        follow(found, index, node)


def slice_of(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Follow channels of which other axes are cut."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    rank = len(found.shapes[node.input[0]])
    axes = found.constant(node.input[3]) if len(node.input) > 3 and node.input[3] else None
    if axes is None or track.axis in [int(axis) % rank for axis in axes]:
        bar_all(found, node)
    else:
        follow(found, index, node)


def pad(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Follow channels of which other axes are padded."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    rank = len(found.shapes[node.input[0]])
    pads = found.constant(node.input[1]) if len(node.input) > 1 else None
    whole = pads is not None and len(pads) == 2 * rank and len(node.input) < 4
    if pads is None or not whole or pads[track.axis] or pads[track.axis + rank]:
        bar_all(found, node)
    else:
        follow(found, index, node)


def resize(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Follow channels of pictures that are resized."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    scales = found.constant(node.input[2]) if len(node.input) == 3 else None
    sizes = found.constant(node.input[3]) if len(node.input) == 4 else None
    known = sizes if scales is None else scales
    if known is None or attribute(node, "axes") is not None or len(known) <= track.axis:
        bar_all(found, node)
        return
    if scales is None:
        ids = (track.ids,)
        found.rewrites.append(Rewrite(node=index, kind="entry", ids=ids, slot=3, entry=track.axis))
    follow(found, index, node)


def split(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Give each part its channels, or all where another axis is split."""
    track = found.tracks.get(node.input[0])
    if track is None:
        return
    axis = attribute(node, "axis", 0) % len(found.shapes[node.input[0]])
    if axis != track.axis:
        for name in filter(None, node.output):
            found.put(name, track.axis, track.ids)
        return
    if len(node.input) > 1 and node.input[1] and node.input[1] not in found.weights:
        bar_all(found, node)
        return
    sizes = [found.shapes[name][axis] for name in node.output]
    parts = tuple(np.split(track.ids, np.cumsum(sizes)[:-1]))
    for name, ids in zip(node.output, parts, strict=True):
        found.put(name, axis, ids)
    found.rewrites.append(Rewrite(node=index, kind="split", ids=parts))
