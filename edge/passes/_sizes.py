"""Shapes that a graph declares and sizes that its constants hold."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import ModelError, printable
from edge.passes._graph import all_nodes, constants

if TYPE_CHECKING:
    import onnx

Sizes = dict[str, tuple[int, ...]]


def shape_of(value: "onnx.ValueInfoProto") -> tuple[int | str, ...] | None:
    """Return the declared shape: names, "" for nameless, where a dimension is free."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else d.dim_param
        for d in kind.shape.dim
    )


def fix_inputs(
    model: "onnx.ModelProto", wanted: Sizes, others: Mapping[str, Sequence[int]]
) -> Sizes:
    """Declare all inputs with numbers: as `wanted`, then as `others`, then what a name tells.

    A batch that is free otherwise is 1. Returns the shapes of all inputs; stale ones of inner
    tensors are removed.

    Raises:
        ModelError: there is no such input, it has another rank, or a dimension stays free.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name: value for value in model.graph.input if value.name not in weights}
    unknown = sorted(set(wanted) - set(inputs))
    if unknown:
        raise ModelError(f"the model has no input {printable(unknown[0])}")
    named: dict[str, int] = {}
    for given in (others, wanted):
        for name, shape in given.items():
            old = shape_of(inputs[name]) if name in inputs else None
            if old is not None and len(old) == len(shape):
                pairs = zip(old, shape, strict=True)
                named.update((o, int(n)) for o, n in pairs if isinstance(o, str) and o)
    fixed: Sizes = {}
    for name, value in inputs.items():
        old = shape_of(value)
        given_shape = wanted.get(name)
        if given_shape is None and old is not None:
            other = others.get(name, ())
            fallback = list(other) if len(other) == len(old) else [1] + [0] * (len(old) - 1)
            given_shape = tuple(
                size if isinstance(size, int) else int(named.get(size, fallback[axis]))
                for axis, size in enumerate(old)
            )
        if given_shape is None or (old is not None and len(old) != len(given_shape)):
            raise ModelError(f"the input {printable(name)} has another rank than its new shape")
        if not all(size > 0 for size in given_shape):
            raise ModelError(f"the input {printable(name)} has a free dimension that is not given")
        _declare(value, given_shape)
        fixed[name] = given_shape
    del model.graph.value_info[:]
    return fixed


def declare_outputs(model: "onnx.ModelProto", shapes: Mapping[str, Sequence[int]]) -> None:
    """Declare what the outputs have been seen to be."""
    for value in model.graph.output:
        _declare(value, shapes[value.name])


def _declare(value: "onnx.ValueInfoProto", shape: Sequence[int]) -> None:
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    value.type.tensor_type.shape.SetInParent()
    for size in shape:
        dims.add().dim_value = size


def written_sizes(
    model: "onnx.ModelProto", old: Mapping[str, Any], new: Mapping[str, Sequence[int]]
) -> list[str]:
    """Make what holds a size of the old input follow the new one where that is safe, and tell.

    A pool over the whole of its input becomes a global one. A Resize to sizes of the old input
    could still run, and would compute something else.

    Raises:
        ModelError: a Resize or a window of another kind holds a size.
    """
    notes = []
    read = constants(model)
    joined = {n.output[0]: list(n.input) for n in model.graph.node if n.op_type == "Concat"}
    sides = {
        size
        for name, shape in new.items()
        for size, now in zip(old[name] or (), shape, strict=False)
        if isinstance(size, int) and size != now and size > 1
    }
    for node in all_nodes(model.graph):
        if node.op_type == "Resize" and len(node.input) > 3 and node.input[3]:
            parts = joined.get(node.input[3], [node.input[3]])
            known = [read[part]() if part in read else np.full(1, -1) for part in parts]
            # Height and width; exporters take the batch and the channels from the input's shape.
            last = np.concatenate([np.ravel(part) for part in known])[-2:].tolist()
            if -1 not in last:
                text = "x".join(map(str, last))
                raise ModelError(f"{printable(node.name)} resizes to {text}, whatever the input is")
        elif node.op_type == "Reshape" and len(node.input) > 1 and node.input[1] in read:
            _refuse_pixels(node, read[node.input[1]](), sides)
    pools = _whole_pools(model, old)
    for node in pools:
        node.op_type = f"Global{node.op_type}"
        del node.attribute[:]
    if pools:
        notes.append(f"{len(pools)} pools over the whole of their input became global ones")
    return notes


def _refuse_pixels(node: "onnx.NodeProto", target: "np.ndarray[Any, Any]", sides: set[int]) -> None:
    """Refuse a Reshape that states as many places as the old input, or a stride of it, has."""
    places = {
        count
        for side in sides
        for stride in (1, 2, 4, 8, 16, 32)
        if side % stride == 0 and side // stride > 1
        for count in (side // stride, (side // stride) ** 2)
    }
    stated = [int(size) for size in np.ravel(target)]
    if -1 not in stated and 0 not in stated and places & set(stated[1:]):
        text = "x".join(map(str, stated))
        raise ModelError(f"{printable(node.name)} reshapes to {text}, whatever the input is")


def _whole_pools(model: "onnx.ModelProto", old: Mapping[str, Any]) -> "list[onnx.NodeProto]":
    from onnx import helper, shape_inference

    before = type(model)()
    before.CopyFrom(model)
    for value in before.graph.input:
        if value.name in old and all(isinstance(size, int) for size in old[value.name] or ("",)):
            _declare(value, old[value.name])
    inferred = shape_inference.infer_shapes(before)
    known = {value.name: shape_of(value) for value in inferred.graph.value_info}
    pools = []
    for node in model.graph.node:
        if node.op_type in ("AveragePool", "MaxPool") and len(node.output) == 1:
            values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            shape = known.get(node.input[0])
            whole = shape is not None and list(shape[2:]) == list(values.get("kernel_shape", ()))
            if whole and not any(values.get("pads", ())):
                pools.append(node)
    return pools
