"""Magnitude pruning: the smallest weights become 0, which makes the compressed file smaller.

It takes no work away: dense kernels multiply by 0 as by anything else. Options: ratio (the part of
the weights that become 0, 0.5), scope ("layer": that part of each layer; "global": the smallest of
all, so that robust layers lose more).
"""

import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.errors import ModelError
from edge.passes._graph import all_nodes, read_graph, write_graph

if TYPE_CHECKING:
    import onnx

REQUIRES: Final = ()
EXTRA: Final = None
_LAYERS: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Small ones are biases and factors, which matter more than they weigh.
_LEAST_ELEMENTS: Final = 256
# What is compressed to tell what it brings: more takes long and tells the same.
_MOST_COMPRESSED_BYTES: Final = 16 << 20


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Set the smallest weights to 0.

    Raises:
        ModelError: there are no float weights of layers, or the ratio is no part.
    """
    from onnx import numpy_helper

    options = request["options"]
    ratio, scope = float(options.get("ratio", 0.5)), str(options.get("scope", "layer"))
    if not 0.0 < ratio < 1.0 or scope not in ("layer", "global"):
        raise ModelError(f"pruning takes no ratio {ratio:g} and scope {scope}")
    path = Path(request["model"])
    model = read_graph(path)
    tensors = _weights(model)
    if not tensors:
        raise ModelError("it has no float weights of layers to prune", where=path)
    values = [numpy_helper.to_array(tensor) for tensor in tensors]
    limits = _limits(values, ratio, scope)
    pruned = [
        np.where(np.abs(value) <= limit, value.dtype.type(0), value)
        for value, limit in zip(values, limits, strict=True)
    ]
    for tensor, value in zip(tensors, pruned, strict=True):
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    count = sum(value.size for value in pruned)
    zeros = sum(int((value == 0).sum()) for value in pruned)
    before, after = _compressed(values), _compressed(pruned)
    worth = (
        f"the weights compress to {100 * after / before:.0f} % of what they did (xz): a bundle is "
        "compressed, the file itself stays as large"
    )
    notes = [
        f"{zeros} of {count} weights are 0 ({100 * zeros / count:.0f} %)",
        "this takes no work away: dense kernels multiply by 0 as by anything else",
        worth,
    ]
    return {"file": write_graph(model, Path(request["folder"]), "model.onnx"), "notes": notes}


def _weights(model: "onnx.ModelProto") -> "list[onnx.TensorProto]":
    """Return the float constants that layers multiply by."""
    import onnx

    used = {
        name
        for node in all_nodes(model.graph)
        if node.op_type in _LAYERS
        for name in node.input[:2]
    }
    tensors = [t for t in model.graph.initializer if t.name in used]
    for node in model.graph.node:
        if node.op_type == "Constant" and node.output[0] in used:
            tensors.extend(a.t for a in node.attribute if a.name == "value")
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    return [
        tensor
        for tensor in tensors
        if tensor.data_type in floats
        and len(tensor.dims) > 1
        and np.prod(tensor.dims) >= _LEAST_ELEMENTS
    ]


def _limits(values: Sequence[np.ndarray[Any, Any]], ratio: float, scope: str) -> list[float]:
    """Return for each tensor the largest magnitude that becomes 0."""
    if scope == "layer":
        return [float(np.quantile(np.abs(value), ratio, method="lower")) for value in values]
    sizes = np.concatenate([np.abs(value).ravel() for value in values])
    return [float(np.quantile(sizes, ratio, method="lower"))] * len(values)


def _compressed(values: Sequence[np.ndarray[Any, Any]]) -> int:
    data = b"".join(np.ascontiguousarray(value).tobytes() for value in values)
    return len(lzma.compress(data[:_MOST_COMPRESSED_BYTES], preset=1))
