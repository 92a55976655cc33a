"""Residual sums that ONNX Runtime does not fuse with the layer normalisation after them.

On x86 ONNX Runtime's SkipLayerNormalization takes several times as long as the sum and the
normalisation by themselves (1.32: 250 us against 10 and 28 for 128 x 384 on an EPYC with AVX-512),
and its optimiser makes one of every Add before a LayerNormalization whose sizes it knows
(skip_layer_norm_fusion.cc). A user's plain session does so, too. Sum, with two inputs, is the same
operation, and is left alone. The runtime's other fusions look for other patterns and stay.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.errors import ModelError

REQUIRES: tuple[str, ...] = ()
EXTRA = None


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the model with its residual sums apart into the folder.

    Raises:
        ModelError: it is no ONNX model, or has no sum before a layer normalisation.
        HostError: it cannot be written.
    """
    from edge.passes._graph import read_graph, write_graph

    path, folder = Path(request["model"]), Path(request["folder"])
    model = read_graph(path)
    count = keep_sums_apart(model)
    if not count:
        raise ModelError("it has no sum before a layer normalisation", where=path)
    note = f"{count} residual sums are kept apart from the layer normalisations after them"
    return {"file": write_graph(model, folder, "model.onnx"), "notes": [note]}


def keep_sums_apart(model: Any) -> int:
    """Rewrite the model's sums in place, where Sum broadcasts; return how many."""
    graph = model.graph
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    makers = {name: node for node in graph.node for name in node.output}
    normalised = _normalised(graph.node, makers)
    count = 0
    for name in normalised:
        node = makers.get(name)
        # Sum broadcasts since opset 8.
        if node is not None and node.op_type == "Add" and node.domain in ("", "ai.onnx"):
            if opset < 8:
                break
            node.op_type = "Sum"
            count += 1
    return count


def _normalised(nodes: Any, makers: Mapping[str, Any]) -> list[str]:
    """Return what layer normalisations read, LayerNormalization's or written out before opset 17.

    Written out, it is x - mean(x), and all else of it hangs on that difference.
    """
    found = []
    for node in nodes:
        if node.op_type in ("LayerNormalization", "SimplifiedLayerNormalization"):
            found.append(node.input[0])
        elif node.op_type == "Sub":
            mean = makers.get(node.input[1])
            if mean is not None and mean.op_type == "ReduceMean" and mean.input[0] == node.input[0]:
                found.append(node.input[0])
    return list(dict.fromkeys(found))
