"""A prepared model's main graph: its constants, and who makes and who reads each tensor."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from edge.passes._graph import constants

if TYPE_CHECKING:
    import numpy as np
    import onnx


class GraphIndex:
    """Constants, producers and readers of a prepared model's main graph."""

    def __init__(self, model: "onnx.ModelProto", floats: Collection[str]) -> None:
        """Index the graph; `floats` are the tensors known to be 32-bit floats."""
        self.model = model
        self.nodes = list(model.graph.node)
        self.floats = frozenset(floats)
        self.outputs = frozenset(value.name for value in model.graph.output)
        self._constants = constants(model)
        self._values: dict[str, Any] = {}
        self.readers: dict[str, list[int]] = {}
        self.producer: dict[str, int] = {}
        for number, node in enumerate(self.nodes):
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(number)
            for name in node.output:
                self.producer[name] = number

    def constant(self, name: str) -> "np.ndarray[Any, Any] | None":
        """Return a constant's value, None where the name is none."""
        if name not in self._values and name in self._constants:
            self._values[name] = self._constants[name]()
        return self._values.get(name)

    def scalar(self, name: str) -> float | None:
        """Return a constant of one number, None for anything else."""
        value = self.constant(name)
        return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None

    def attribute(self, node: "onnx.NodeProto", name: str, default: Any) -> Any:
        """Return an attribute's value."""
        import onnx

        found = next((a for a in node.attribute if a.name == name), None)
        return default if found is None else onnx.helper.get_attribute_value(found)


def index_graph(model: "onnx.ModelProto") -> GraphIndex:
    """Infer the types of all tensors and index the graph."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model)
    graph = inferred.graph
    values = [*graph.value_info, *graph.input, *graph.output]
    kind = onnx.TensorProto.FLOAT
    return GraphIndex(model, [v.name for v in values if v.type.tensor_type.elem_type == kind])
