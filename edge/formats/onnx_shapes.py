"""Types of every value of an ONNX graph: one pass over the nodes, subgraphs included.

ONNX's own rules infer each node (`onnx.shape_inference.infer_node_outputs`); small tensors are
evaluated on the way, since shapes depend on them; ONNX Runtime's own operators have rules in
onnx_contrib. What cannot be inferred is taken from what the file declares, else left unknown.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import defs, numpy_helper, shape_inference

from edge.errors import ModelError
from edge.formats.onnx_attributes import attributes_of
from edge.formats.onnx_contrib import contrib_types
from edge.formats.onnx_control import CONTROL, control_types
from edge.formats.onnx_fold import Array, content_of, fold
from edge.formats.onnx_scope import Scope
from edge.formats.onnx_types import merge_types, tensor_type, type_bytes

# Real models have a few ten thousand; each costs some hundred microseconds.
_MOST_NODES = 500_000
# What the rules of ONNX raise on nodes that do not fit them.
_REFUSED = (
    onnx.checker.ValidationError,
    defs.SchemaError,
    RuntimeError,
    ValueError,
    IndexError,
    TypeError,
    KeyError,
)
# Their outputs differ from run to run, so they are not computed at load.
_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial")


class Inference:
    """Infers the types of a model's values."""

    def __init__(self, opsets: Mapping[str, int], ir_version: int) -> None:
        """Use the operator sets that the model imports."""
        self._opsets = opsets
        self._imports = [onnx.helper.make_opsetid(d, v) for d, v in opsets.items()]
        self._ir_version = ir_version
        self._nodes = 0

    def run(
        self,
        graph: onnx.GraphProto,
        inputs: Mapping[str, onnx.TypeProto],
        parent: Scope | None = None,
    ) -> Scope:
        """Infer a graph whose inputs have the given types.

        Raises:
            ModelError: it has more nodes than any real model.
        """
        scope = Scope(graph=graph, parent=parent)
        scope.types.update(inputs)
        for tensor in graph.initializer:
            self._add_weight(scope, tensor.name, tensor)
        for sparse in graph.sparse_initializer:
            kind = tensor_type(sparse.values.data_type, tuple(sparse.dims))
            scope.types[sparse.values.name] = kind
            scope.constants.add(sparse.values.name)
            scope.weights[sparse.values.name] = sparse.values
        declared = {v.name: v.type for v in (*graph.value_info, *graph.output)}
        for index, node in enumerate(graph.node):
            self._nodes += 1
            if self._nodes > _MOST_NODES:
                raise ModelError(f"it has more than {_MOST_NODES} operators")
            self._node(scope, index, node)
            for name in filter(None, node.output):
                scope.types[name] = merge_types(scope.types.get(name), declared.get(name))
        return scope

    def _add_weight(self, scope: Scope, name: str, tensor: onnx.TensorProto) -> None:
        scope.types[name] = tensor_type(tensor.data_type, tuple(tensor.dims))
        scope.constants.add(name)
        scope.weights[name] = tensor
        content = content_of(tensor)
        if content is not None:
            scope.values[name] = content

    def _node(self, scope: Scope, index: int, node: onnx.NodeProto) -> None:
        attributes = attributes_of(node)
        domain = "" if node.domain == "ai.onnx" else node.domain
        if domain == "" and node.op_type == "Constant":
            self._constant(scope, node, attributes)
            return
        names = [name for name in node.input if name]
        if names and node.op_type not in _RANDOM and all(map(scope.is_constant, names)):
            scope.constants.update(name for name in node.output if name)
        if domain == "" and self._folded(scope, node, attributes):
            return
        if domain == "" and node.op_type in CONTROL:
            kinds = control_types(self.run, scope, index, node, attributes)
        else:
            kinds = self._inferred(scope, node, domain)
            kinds.update(contrib_types(node, attributes, scope.type, known=kinds))
        for name, kind in kinds.items():
            scope.types[name] = kind

    def _constant(self, scope: Scope, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        if not node.output:
            return
        name = node.output[0]
        value = attributes.get("value")
        if isinstance(value, onnx.TensorProto):
            self._add_weight(scope, name, value)
            return
        scope.constants.add(name)
        for key, dtype in (
            ("value_float", np.float32),
            ("value_floats", np.float32),
            ("value_int", np.int64),
            ("value_ints", np.int64),
        ):
            if key in attributes:
                content = np.asarray(attributes[key], dtype=dtype)
                self._set_value(scope, name, content)
                return
        for kind in self._inferred(scope, node, "").values():
            scope.types[name] = kind

    def _folded(self, scope: Scope, node: onnx.NodeProto, attributes: dict[str, Any]) -> bool:
        """Compute the outputs if they follow from what is known; say whether it was done."""
        if node.op_type in ("Shape", "Size") and node.input:
            shape = scope.shape(node.input[0])
            if shape is None or not all(isinstance(size, int) for size in shape):
                return False
            sizes = np.asarray(shape, dtype=np.int64)
            if node.op_type == "Size":
                sizes = np.asarray(np.prod(sizes), dtype=np.int64)
            else:
                start, end = attributes.get("start", 0), attributes.get("end")
                sizes = sizes[start:end]
            results = [sizes]
        else:
            inputs = [scope.value(name) if name else None for name in node.input]
            found = any(v is None and n for v, n in zip(inputs, node.input, strict=True))
            if found or not inputs:
                return False
            folded = fold(node.op_type, inputs, attributes, self._opsets[""])
            if folded is None or len(folded) < len(node.output):
                return False
            results = folded
        for name, content in zip(node.output, results, strict=False):
            self._set_value(scope, name, content)
        return True

    def _set_value(self, scope: Scope, name: str, content: Array) -> None:
        try:
            element_type = onnx.helper.np_dtype_to_tensor_dtype(content.dtype)
        except (ValueError, KeyError):
            return
        scope.types[name] = tensor_type(element_type, content.shape)
        scope.values[name] = content

    def _inferred(
        self, scope: Scope, node: onnx.NodeProto, domain: str
    ) -> dict[str, onnx.TypeProto]:
        version = self._opsets.get(domain)
        if version is None:
            return {}
        kinds: dict[str, onnx.TypeProto] = {}
        contents: dict[str, onnx.TensorProto] = {}
        for name in filter(None, node.input):
            kind = scope.type(name)
            if kind is None or kind.WhichOneof("value") is None:
                return {}
            kinds[name] = kind
            value = scope.value(name)
            if value is not None:
                contents[name] = numpy_helper.from_array(value, name)
        try:
            schema = defs.get_schema(node.op_type, version, domain)
            found = shape_inference.infer_node_outputs(
                schema,
                node,
                kinds,
                contents,
                opset_imports=self._imports,
                ir_version=self._ir_version,
            )
        except shape_inference.InferenceError:
            if all(type_bytes(kind) is not None for kind in kinds.values()):
                scope.refused.append(node.name or node.op_type)
            return {}
        except _REFUSED:
            return {}
        return {name: kind for name, kind in found.items() if kind.WhichOneof("value")}
