"""Small TFLite models for tests, written with the schema's own builder functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import flatbuffers
import tflite

from edge.formats.read import read_model
from edge.records.model import ModelInfo

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int8": 9}
_BYTES = {"float32": 4, "float16": 2, "int32": 4, "uint8": 1, "int64": 8, "bool": 1, "int8": 1}
Options = Callable[[flatbuffers.Builder], int]


@dataclass
class Tensor:
    """One tensor; `stored` says that its content (zeros) is in the file."""

    name: str
    shape: Sequence[int]
    dtype: str = "float32"
    stored: bool = False
    signature: Sequence[int] | None = None
    scale: float | None = None
    variable: bool = False


@dataclass
class Operator:
    """One operator; `options` is a kind's number and what builds it."""

    op_type: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    version: int = 1
    options: tuple[int, Options] | None = None


@dataclass
class Graph:
    """One subgraph."""

    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: Sequence[int]
    outputs: Sequence[int]
    name: str = "main"
    _codes: dict[tuple[str, int], int] = field(default_factory=dict)


def if_options(then: int, other: int) -> tuple[int, Options]:
    def build(b: flatbuffers.Builder) -> int:
        tflite.IfOptionsStart(b)
        tflite.IfOptionsAddThenSubgraphIndex(b, then)
        tflite.IfOptionsAddElseSubgraphIndex(b, other)
        return int(tflite.IfOptionsEnd(b))

    return tflite.BuiltinOptions.IfOptions, build


def while_options(condition: int, body: int) -> tuple[int, Options]:
    def build(b: flatbuffers.Builder) -> int:
        tflite.WhileOptionsStart(b)
        tflite.WhileOptionsAddCondSubgraphIndex(b, condition)
        tflite.WhileOptionsAddBodySubgraphIndex(b, body)
        return int(tflite.WhileOptionsEnd(b))

    return tflite.BuiltinOptions.WhileOptions, build


def call_once_options(graph: int) -> tuple[int, Options]:
    def build(b: flatbuffers.Builder) -> int:
        tflite.CallOnceOptionsStart(b)
        tflite.CallOnceOptionsAddInitSubgraphIndex(b, graph)
        return int(tflite.CallOnceOptionsEnd(b))

    return tflite.BuiltinOptions.CallOnceOptions, build


def transposed_first() -> tuple[int, Options]:
    def build(b: flatbuffers.Builder) -> int:
        tflite.BatchMatMulOptionsStart(b)
        tflite.BatchMatMulOptionsAddAdjX(b, adjX=True)
        return int(tflite.BatchMatMulOptionsEnd(b))

    return tflite.BuiltinOptions.BatchMatMulOptions, build


def tflite_bytes(*graphs: Graph) -> bytes:
    """Return a TFLite file of these subgraphs."""
    b = flatbuffers.Builder(1024)
    sizes = [0]
    codes: dict[tuple[str, int], int] = {}
    written = [_graph(b, graph, sizes, codes) for graph in graphs]
    subgraphs = _tables(b, written)
    operator_codes = _tables(b, [_code(b, name, version) for name, version in codes])
    buffers = _tables(b, [_buffer(b, size) for size in sizes])
    description = b.CreateString("made by a test")
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddDescription(b, description)
    tflite.ModelAddOperatorCodes(b, operator_codes)
    tflite.ModelAddSubgraphs(b, subgraphs)
    tflite.ModelAddBuffers(b, buffers)
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


def read(
    folder: Path, *graphs: Graph, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> ModelInfo:
    path = folder / "model.tflite"
    path.write_bytes(tflite_bytes(*graphs))
    return read_model(path, shapes or {})


def _graph(
    b: flatbuffers.Builder, graph: Graph, sizes: list[int], codes: dict[tuple[str, int], int]
) -> int:
    tensors = _tables(b, [_tensor(b, tensor, sizes) for tensor in graph.tensors])
    operators = _tables(b, [_operator(b, operator, codes) for operator in graph.operators])
    inputs, outputs = _integers(b, graph.inputs), _integers(b, graph.outputs)
    name = b.CreateString(graph.name)
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensors)
    tflite.SubGraphAddInputs(b, inputs)
    tflite.SubGraphAddOutputs(b, outputs)
    tflite.SubGraphAddOperators(b, operators)
    tflite.SubGraphAddName(b, name)
    return int(tflite.SubGraphEnd(b))


def _tensor(b: flatbuffers.Builder, tensor: Tensor, sizes: list[int]) -> int:
    buffer = 0
    if tensor.stored:
        size = _BYTES[tensor.dtype]
        for length in tensor.shape:
            size *= length
        buffer = len(sizes)
        sizes.append(size)
    name, shape = b.CreateString(tensor.name), _integers(b, tensor.shape)
    signature = None if tensor.signature is None else _integers(b, tensor.signature)
    quantisation = None
    if tensor.scale is not None:
        b.StartVector(4, 1, 4)
        b.PrependFloat32(tensor.scale)
        scale = b.EndVector()
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scale)
        quantisation = tflite.QuantizationParametersEnd(b)
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, TYPES[tensor.dtype])
    tflite.TensorAddBuffer(b, buffer)
    tflite.TensorAddName(b, name)
    tflite.TensorAddIsVariable(b, tensor.variable)
    if signature is not None:
        tflite.TensorAddShapeSignature(b, signature)
    if quantisation is not None:
        tflite.TensorAddQuantization(b, quantisation)
    return int(tflite.TensorEnd(b))


def _operator(b: flatbuffers.Builder, operator: Operator, codes: dict[tuple[str, int], int]) -> int:
    inputs, outputs = _integers(b, operator.inputs), _integers(b, operator.outputs)
    index = codes.setdefault((operator.op_type, operator.version), len(codes))
    options = None if operator.options is None else operator.options[1](b)
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, index)
    tflite.OperatorAddInputs(b, inputs)
    tflite.OperatorAddOutputs(b, outputs)
    if operator.options is not None:
        tflite.OperatorAddBuiltinOptionsType(b, operator.options[0])
        tflite.OperatorAddBuiltinOptions(b, options)
    return int(tflite.OperatorEnd(b))


def _code(b: flatbuffers.Builder, name: str, version: int) -> int:
    number = getattr(tflite.BuiltinOperator, name, tflite.BuiltinOperator.CUSTOM)
    custom = b.CreateString(name) if number == tflite.BuiltinOperator.CUSTOM else None
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
    tflite.OperatorCodeAddBuiltinCode(b, number)
    tflite.OperatorCodeAddVersion(b, version)
    if custom is not None:
        tflite.OperatorCodeAddCustomCode(b, custom)
    return int(tflite.OperatorCodeEnd(b))


def _buffer(b: flatbuffers.Builder, size: int) -> int:
    data = b.CreateByteVector(bytes(size)) if size else None
    tflite.BufferStart(b)
    if data is not None:
        tflite.BufferAddData(b, data)
    return int(tflite.BufferEnd(b))


def _integers(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependInt32(value)
    return int(b.EndVector())


def _tables(b: flatbuffers.Builder, tables: Sequence[int]) -> int:
    b.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        b.PrependUOffsetTRelative(table)
    return int(b.EndVector())
