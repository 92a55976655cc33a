"""What an ONNX model is: the record that `inspect` shows."""

from collections.abc import Iterable, Mapping
from typing import Final

import onnx

from edge.errors import printable
from edge.formats.costs import Counted, precision_of
from edge.formats.kinds import looks_like
from edge.formats.onnx_attributes import list_bytes
from edge.formats.onnx_costs import LAYOUT, count, peak
from edge.formats.onnx_file import OnnxFile, load_onnx
from edge.formats.onnx_scope import Scope
from edge.formats.onnx_shapes import Inference
from edge.formats.onnx_types import (
    bytes_of,
    dtype_name,
    element_type_of,
    elements,
    shape_of,
    spec_of,
    tensor_of,
    tensor_type,
)
from edge.formats.risks import RiskFacts, risks_of
from edge.formats.shapes import given_shapes
from edge.formats.source import ModelFile
from edge.records.model import ModelInfo, OpsetVersion, Precision
from edge.records.tensor import TensorSpec

# ONNX Runtime's own operator sets; any other domain needs a library of custom operators.
_RUNTIME_DOMAINS: Final = (
    "",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview",
    "ai.onnx.preview.training",
    "com.microsoft",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
    "com.microsoft.experimental",
)
_FLOATS: Final = ("float32", "float16", "bfloat16", "float64")
# Under ONNX's own name, but only ONNX Runtime has them: old experiments, and its optimiser's.
_RUNTIME_OPERATORS: Final = frozenset(
    {
        "Affine", "Crop", "DynamicSlice", "ImageScaler", "MemcpyFromHost", "MemcpyToHost",
        "ParametricSoftplus", "Scale", "ScaledTanh", "SimplifiedLayerNormalization",
    }
)  # fmt: skip


def inspect_onnx(model: ModelFile, shapes: Mapping[str, tuple[int, ...]]) -> ModelInfo:
    """Describe an ONNX model; `shapes` gives sizes to inputs that leave them open.

    Raises:
        ModelError: it is damaged.
        UsageError: `shapes` does not fit its inputs.
    """
    file = load_onnx(model)
    graph = file.proto.graph
    weights = {t.name for t in graph.initializer}
    weights |= {t.values.name for t in graph.sparse_initializer}
    declared = {v.name: v.type for v in graph.input if v.name not in weights}
    specs = [spec_of(name, kind) for name, kind in declared.items()]
    known = given_shapes(specs, shapes)
    kinds = {name: _with_shape(kind, known[name]) for name, kind in declared.items()}
    scope = Inference(file.opsets, file.proto.ir_version).run(graph, kinds)
    counted = count(scope)
    stored = _Weights()
    stored.add(scope)
    inputs = tuple(spec_of(name, kind) for name, kind in kinds.items())
    outputs = tuple(spec_of(v.name, scope.type(v.name)) for v in graph.output)
    skeleton = file.skeleton
    parameters = stored.parameters + skeleton.list_floats
    weights_bytes = stored.memory_bytes + skeleton.list_bytes
    disk_bytes = stored.kept_bytes + skeleton.tensor_bytes + skeleton.list_bytes
    custom = _custom(counted)
    precision = precision_of(counted, stored.precision())
    return ModelInfo(
        name=model.path.name,
        format="onnx",
        sha256=model.sha256(),
        file_bytes=model.size_bytes + sum(f.size_bytes for f in file.external.files),
        external_files=tuple(f.name for f in file.external.files),
        external_sha256=tuple(f.sha256 for f in file.external.files),
        producer=_producer(file.proto),
        ir_version=int(file.proto.ir_version),
        opsets=tuple(OpsetVersion(domain=d, version=v) for d, v in sorted(_used(file, counted))),
        operator_versions=(),
        inputs=inputs,
        outputs=outputs,
        parameters=parameters,
        weights_bytes=weights_bytes,
        stored_weights_bytes=disk_bytes + file.external.tensor_bytes,
        peak_activation_bytes=peak(scope),
        precision=precision,
        looks_like=looks_like(counted, parameters, inputs, outputs),
        custom_operators=custom,
        operators=tuple(c.cost for c in counted),
        risks=risks_of(
            RiskFacts(
                inputs=inputs,
                operators=tuple(c.cost for c in counted),
                custom_operators=custom,
                external_files=tuple(f.name for f in file.external.files),
                unhashed=any(f.sha256 is None for f in file.external.files),
                precision=precision,
                weight_types=stored.types(),
                weights_bytes=weights_bytes,
                parameters=parameters,
                made_at_load=stored.made_parameters,
                refused=tuple(scope.refused),
            )
        ),
    )


def _with_shape(kind: onnx.TypeProto, spec: TensorSpec) -> onnx.TypeProto:
    return kind if tensor_of(kind) is None else tensor_type(element_type_of(kind), spec.shape)


def _producer(proto: onnx.ModelProto) -> str:
    return printable(f"{proto.producer_name} {proto.producer_version}".strip(), 80)


def _used(file: OnnxFile, counted: Iterable[Counted]) -> set[tuple[str, int]]:
    """Return the operator sets; one that only a Constant or nothing uses is still required."""
    named = {(c.cost.domain, file.opsets.get(c.cost.domain, 1)) for c in counted}
    return named | {(domain, version) for domain, version in file.opsets.items()}


def _custom(counted: Iterable[Counted]) -> tuple[str, ...]:
    found = {
        f"{c.cost.domain}.{c.cost.op_type}" if c.cost.domain else c.cost.op_type
        for c in counted
        if not _is_known(c.cost.domain, c.cost.op_type)
    }
    return tuple(sorted(printable(name, 120) for name in found))


def _is_known(domain: str, op_type: str) -> bool:
    if domain == "":
        return onnx.defs.has(op_type) or op_type in _RUNTIME_OPERATORS
    return domain in _RUNTIME_DOMAINS


class _Weights:
    """Adds up the weights of all graphs."""

    def __init__(self) -> None:
        self.parameters = 0
        self.made_parameters = 0
        self.memory_bytes = 0
        self.kept_bytes = 0
        self._bytes_by_type: dict[str, int] = {}

    def add(self, scope: Scope) -> None:
        for tensor in scope.weights.values():
            count_of = elements(tuple(tensor.dims)) or 0
            size = bytes_of(tensor.data_type, tuple(tensor.dims)) or 0
            self._add(dtype_name(tensor.data_type), count_of, size)
            self.kept_bytes += _kept_bytes(tensor)
        weighing = {
            n for node in scope.graph.node if node.op_type not in LAYOUT for n in node.input
        }
        for node in scope.graph.node:
            if weighing.intersection(node.output):
                self._add_made(scope, node)
            if node.domain == "ai.onnx.ml":
                self._add_lists(node)
        for children in scope.children.values():
            for child in children.values():
                self.add(child)

    def _add(self, dtype: str, count_of: int, size: int) -> None:
        self.memory_bytes += size
        self._bytes_by_type[dtype] = self._bytes_by_type.get(dtype, 0) + size
        # Shapes, axes and indices are integers and no parameters; int8 weights are.
        if dtype not in ("int64", "int32", "bool", "str"):
            self.parameters += count_of

    def _add_made(self, scope: Scope, node: onnx.NodeProto) -> None:
        """Count weights that the model makes at load from a shape that stands in the file.

        What is only padded or concatenated with is no weight.
        """
        if node.op_type != "ConstantOfShape" or not node.input or not node.output:
            return
        if not any(node.input[0] in around.weights for around in scope.around()):
            return
        kind = scope.type(node.output[0])
        size = elements(shape_of(kind)) or 0
        dtype = dtype_name(element_type_of(kind))
        if dtype in _FLOATS:
            self._add(dtype, size, bytes_of(element_type_of(kind), shape_of(kind)) or 0)
            self.made_parameters += size

    def _add_lists(self, node: onnx.NodeProto) -> None:
        for attribute in node.attribute:
            self.parameters += len(attribute.floats)
        self.memory_bytes += list_bytes(node)
        self.kept_bytes += list_bytes(node)

    def types(self) -> dict[str, int]:
        """Return the bytes of the weights by element type."""
        return dict(self._bytes_by_type)

    def precision(self) -> Precision:
        """Return the precision of a model without multiply-accumulates: that of its weights."""
        most = max(self._bytes_by_type, key=self._bytes_by_type.__getitem__, default="float32")
        narrow: dict[str, Precision] = {
            "float16": "fp16",
            "bfloat16": "fp16",
            "int8": "int8",
            "uint8": "int8",
        }
        return narrow.get(most, "fp32")


def _kept_bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes of a small tensor that the skeleton has kept."""
    return (
        len(tensor.raw_data)
        + 4 * len(tensor.float_data)
        + 4 * len(tensor.int32_data)
        + 8 * len(tensor.int64_data)
        + 8 * len(tensor.double_data)
        + 8 * len(tensor.uint64_data)
        + sum(len(text) for text in tensor.string_data)
    )
