"""Cutting channels out of a graph, and the same without cutting: weights of 0 for what is gone."""

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.passes._channels import Array, Channels, Rewrite, opset_of
from edge.passes._graph import add_constant, drop_unused

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx


def silenced(
    found: Channels, gone: Array, means: "Mapping[int, Array] | None" = None
) -> "onnx.ModelProto":
    """Return the model with the ids for which `gone` is true unheard by whatever uses them.

    `means` has by node what its input's channels are on average: what a channel brought on average
    goes into the layer's bias. Cutting these channels out of the result changes no output. The
    nodes stand where they stood.
    """
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(found.model)
    for part in found.slices:
        if part.role != "uses" or not gone[part.ids].any():
            continue
        node = model.graph.node[part.node]
        weight = np.array(_values(model, node.input[part.slot]))
        silent = gone[part.ids]
        rows = np.moveaxis(weight, part.axis, 0)
        mean = None if means is None else means.get(part.node)
        # A transposed convolution's kernel does not reach every place of its output.
        if mean is not None and node.op_type != "ConvTranspose":
            lost = np.tensordot(np.where(silent, mean, 0.0), rows.astype(np.float64), 1)
            add_to_bias(model, part.node, lost.reshape(len(lost), -1).sum(axis=1))
        rows[silent] = 0
        node.input[part.slot] = add_constant(model, f"{node.input[part.slot]}_heard", weight)
    drop_unused(model)
    return model


def bias_place(model: "onnx.ModelProto", index: int, channels: int) -> "tuple[Any, int] | None":
    """Return the node and the slot of what a layer adds to its output's channels.

    A MatMul has one where its only reader is an Add of one constant a channel.
    """
    node = model.graph.node[index]
    if node.op_type != "MatMul":
        return node, 2
    readers = [other for other in model.graph.node if node.output[0] in other.input]
    if len(readers) != 1 or readers[0].op_type != "Add":
        return None
    named = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    slots = [i for i, name in enumerate(readers[0].input) if named.get(name) == [channels]]
    return (readers[0], slots[0]) if slots else None


def add_to_bias(model: "onnx.ModelProto", index: int, change: Array) -> None:
    """Add to what a layer adds to its output's channels; nothing where it has no place for that."""
    place = bias_place(model, index, len(change))
    if place is None:
        return
    node, slot = place
    if len(node.input) <= slot:
        node.input.append("")
    old = _values(model, node.input[slot]) if node.input[slot] else np.zeros(1, np.float32)
    value = (old.astype(np.float64) + change).astype(old.dtype)
    node.input[slot] = add_constant(model, f"{node.output[0]}_bias", value)


def cut(found: Channels, model: "onnx.ModelProto", gone: Array) -> "onnx.ModelProto":
    """Return `model`, which has the nodes of the one looked at, without the ids that are `gone`."""
    import onnx

    less = onnx.ModelProto()
    less.CopyFrom(model)
    changed: dict[tuple[int, int], Array] = {}
    for part in found.slices:
        keep = ~gone[part.ids]
        if keep.all():
            continue
        place = part.node, part.slot
        name = less.graph.node[part.node].input[part.slot]
        value = changed.get(place)
        changed[place] = np.compress(
            keep, _values(less, name) if value is None else value, axis=part.axis
        )
    for rewrite in found.rewrites:
        _rewrite(less, rewrite, gone, changed)
    for (index, slot), value in changed.items():
        node = less.graph.node[index]
        while len(node.input) <= slot:
            node.input.append("")
        stem = node.input[slot] or f"{node.output[0]}_input_{slot}"
        node.input[slot] = add_constant(less, stem, np.ascontiguousarray(value))
    # They say how large tensors were before.
    del less.graph.value_info[:]
    drop_unused(less)
    return less


def _rewrite(
    model: "onnx.ModelProto", rewrite: Rewrite, gone: Array, changed: dict[tuple[int, int], Array]
) -> None:
    """State the new number of channels where a node states one."""
    from onnx import helper

    node = model.graph.node[rewrite.node]
    counts = [int((~gone[ids]).sum()) for ids in rewrite.ids]
    if counts == [len(ids) for ids in rewrite.ids]:
        return
    if rewrite.kind == "entry":
        place = rewrite.node, rewrite.slot
        value = changed.get(place)
        stated = np.array(_values(model, node.input[rewrite.slot]) if value is None else value)
        stated[rewrite.entry] = counts[0]
        changed[place] = stated
        return
    new = counts[0] if rewrite.kind == "group" else counts
    stale = ("group",) if rewrite.kind == "group" else ("split", "num_outputs")
    others = [attribute for attribute in node.attribute if attribute.name not in stale]
    del node.attribute[:]
    node.attribute.extend(others)
    if rewrite.kind == "split" and opset_of(model) >= 13:
        changed[rewrite.node, 1] = np.array(counts, np.int64)
    else:
        node.attribute.append(helper.make_attribute(rewrite.kind, new))


def _values(model: "onnx.ModelProto", name: str) -> Array:
    """Return a constant of the main graph, which is one since the channels were looked for."""
    from onnx import numpy_helper

    found: Any = next((t for t in model.graph.initializer if t.name == name), None)
    if found is None:
        node = next(n for n in model.graph.node if name in n.output)
        found = next(a.t for a in node.attribute if a.name == "value")
    return np.asarray(numpy_helper.to_array(found))
