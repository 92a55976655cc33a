"""Small ONNX models for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from edge.formats.read import read_model
from edge.records.model import ModelInfo, OperatorCost

FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64
Shape = Sequence[int | str | None] | None


def value(name: str, shape: Shape, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def node(op_type: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs, outputs or ["y"], **attributes)


def empty(name: str, shape: Sequence[int], kind: int = FLOAT) -> onnx.TensorProto:
    """Return an initializer of zeros, without a helper that is slow for large ones."""
    bits = {FLOAT: 32, INT64: 64, TensorProto.INT8: 8, TensorProto.UINT8: 8, TensorProto.INT32: 32}
    size = bits.get(kind, 16) // 8
    for length in shape:
        size *= length
    return TensorProto(name=name, data_type=kind, dims=shape, raw_data=bytes(size))


def numbers(name: str, values: Sequence[int]) -> onnx.TensorProto:
    return helper.make_tensor(name, INT64, [len(values)], values)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
    outputs: Sequence[onnx.ValueInfoProto] = (),
    opsets: Mapping[str, int] | None = None,
    **more: Any,
) -> onnx.ModelProto:
    results = list(outputs) or [value(nodes[-1].output[0], None)]
    graph = helper.make_graph(nodes, "g", inputs, results, weights)
    sets = [helper.make_opsetid(d, v) for d, v in (opsets or {"": 17}).items()]
    return helper.make_model(graph, opset_imports=sets, ir_version=8, **more)


def read(
    proto: onnx.ModelProto, folder: Path, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> ModelInfo:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return read_model(path, shapes or {})


def one(info: ModelInfo, op_type: str) -> OperatorCost:
    """Return the only operator of a type."""
    (found,) = [o for o in info.operators if o.op_type == op_type]
    return found
