"""A simpler graph of the same, standard operators: ONNX Runtime's own level "basic", written out.

What depends on constants only is computed (what a session does each time it is made), batch
normalisation goes into convolutions, what does nothing goes. Names and shapes of inputs and
outputs, metadata, operator set and IR version stay, so that whatever runs the original runs this.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

REQUIRES: tuple[str, ...] = ()
EXTRA = None


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the simplified model into the folder.

    Raises:
        ModelError: it is no ONNX model, or ONNX Runtime refuses it.
        HostError: it cannot be written.
    """
    from edge.passes._graph import drop_unused, read_graph, write_graph
    from edge.passes._optimized import keep_domains, optimized

    path, folder = Path(request["model"]), Path(request["folder"])
    before = read_graph(path, weights=False)
    # A product and the sum after it stay apart: the runtime joins them itself, and what quantises
    # products looks for them.
    model = optimized(path, "basic", folder, without=("MatMulAddFusion",))
    drop_unused(model)
    keep_domains(model, before)
    told = f"{_operators(before)} operators became {_operators(model)}"
    return {"file": write_graph(model, folder, "model.onnx"), "notes": [told]}


def _operators(model: Any) -> int:
    """Count operators; a Constant is none, as runtimes make it a weight."""
    return sum(node.op_type != "Constant" for node in model.graph.node)
