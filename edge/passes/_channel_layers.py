"""What layers that multiply by weights do to the channels of their inputs."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.passes._channels import Channels, Layer, Rewrite, Slice

if TYPE_CHECKING:
    import onnx


def attribute(node: "onnx.NodeProto", name: str, default: Any = None) -> Any:
    """Return an attribute's value."""
    from onnx import helper

    found = next((a for a in node.attribute if a.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def bar_all(found: Channels, node: "onnx.NodeProto") -> None:
    """Keep the channels of all inputs for good."""
    for name in set(node.input):
        found.bar(name, node.op_type)


def convolution(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Follow a convolution, dense or depthwise; other groups are a barrier."""
    data, weight = node.input[0], node.input[1]
    if weight not in found.weights or not _constant_bias(found, node):
        bar_all(found, node)
        return
    group = attribute(node, "group", 1)
    kernel = found.shapes[weight]
    out = found.shapes[node.output[0]]
    track = found.tracks.get(data)
    if group == 1:
        _multiplies(found, index, node, uses=1, makes=0)
    elif kernel[1] == 1 and found.shapes[data][1] == group:
        # Depthwise: every channel goes its own way, and may become several.
        if track is None or track.axis != 1:
            bar_all(found, node)
            return
        ids = np.repeat(track.ids, kernel[0] // group)
        for slot in range(1, len(node.input)):
            found.slices.append(Slice(node=index, slot=slot, axis=0, ids=ids, role="with"))
        found.rewrites.append(Rewrite(node=index, kind="group", ids=(track.ids,)))
        macs = math.prod(out) * math.prod(kernel[1:])
        found.layers.append(Layer(node=index, macs=macs, uses=None, makes=ids))
        found.put(node.output[0], 1, ids)
    else:
        found.bar(data, f"grouped {node.op_type}")
        macs = math.prod(out) * math.prod(kernel[1:])
        found.layers.append(Layer(node=index, macs=macs, uses=None, makes=None))


def transposed(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Follow a transposed convolution."""
    fits = node.input[1] in found.weights and _constant_bias(found, node)
    if not fits or attribute(node, "group", 1) != 1:
        bar_all(found, node)
        return
    _multiplies(found, index, node, uses=0, makes=1)


def gemm(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Follow a product with a matrix of weights and a bias."""
    fits = node.input[1] in found.weights and _constant_bias(found, node)
    plain = attribute(node, "alpha", 1.0) == 1.0 == attribute(node, "beta", 1.0)
    if not fits or not plain or attribute(node, "transA", 0):
        bar_all(found, node)
        return
    turned = bool(attribute(node, "transB", 0))
    _multiplies(found, index, node, uses=int(turned), makes=1 - int(turned))


def matmul(found: Channels, index: int, node: "onnx.NodeProto") -> None:
    """Follow a product with a matrix of weights."""
    weight = node.input[1]
    if weight not in found.weights or len(found.shapes[weight]) != 2:
        bar_all(found, node)
        return
    _multiplies(found, index, node, uses=0, makes=1)


def _multiplies(
    found: Channels, index: int, node: "onnx.NodeProto", *, uses: int, makes: int
) -> None:
    """Mix all the channels of the first input into new ones, by the weights in the second."""
    data, weight = node.input[0], node.input[1]
    kernel = found.shapes[weight]
    place = 1 if node.op_type.startswith("Conv") else len(found.shapes[data]) - 1
    track = found.tracks.get(data)
    used = None
    if track is not None and track.axis == place and len(track.ids) == kernel[uses]:
        used = track.ids
        found.slices.append(Slice(node=index, slot=1, axis=uses, ids=used, role="uses"))
    elif track is not None:
        found.bar(data, node.op_type)
    made = found.ties.fresh(kernel[makes])
    found.slices.append(Slice(node=index, slot=1, axis=makes, ids=made, role="makes"))
    if len(node.input) > 2 and node.input[2]:
        bias = found.shapes[node.input[2]]
        if bias and bias[-1] == len(made):
            last = len(bias) - 1
            found.slices.append(Slice(node=index, slot=2, axis=last, ids=made, role="with"))
    shapes = found.shapes
    size = shapes[data] if node.op_type == "ConvTranspose" else shapes[node.output[0]]
    per = math.prod(kernel[1:]) if node.op_type.startswith("Conv") else kernel[uses]
    macs = math.prod(size) * per
    found.layers.append(Layer(node=index, macs=macs, uses=used, makes=made))
    out_axis = 1 if node.op_type.startswith("Conv") else len(shapes[node.output[0]]) - 1
    found.put(node.output[0], out_axis, made)


def _constant_bias(found: Channels, node: "onnx.NodeProto") -> bool:
    return all(name in found.weights for name in node.input[2:] if name)
