"""A TFLite file as plain data: its structure without its weights.

The file is mapped, so that only the pages with structure are ever read. Every offset in it may be
wrong: what the FlatBuffers library raises on such files ends here, and lengths are checked against
the file's before anything is looped over.
"""

import mmap
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import tflite

from edge.errors import ModelError, printable
from edge.formats.source import ModelFile

# Real models have some thousands of each.
_MOST_SUBGRAPHS: Final = 4096
_MOST_TENSORS: Final = 500_000
_MOST_OPERATORS: Final = 500_000
_MOST_REFERENCES: Final = 5_000_000
_LONGEST_NAME_BYTES: Final = 4096
_HIGHEST_RANK: Final = 32
# What reading a wrong offset raises.
_DAMAGED = (struct.error, TypeError, ValueError, IndexError, OverflowError, AttributeError)

# numpy's names and the bits of one element, by the schema's TensorType.
_TYPES: Final = {
    0: ("float32", 32), 1: ("float16", 16), 2: ("int32", 32), 3: ("uint8", 8), 4: ("int64", 64),
    5: ("str", 8), 6: ("bool", 8), 7: ("int16", 16), 8: ("complex64", 64), 9: ("int8", 8),
    10: ("float64", 64), 11: ("complex128", 128), 12: ("uint64", 64), 13: ("resource", 0),
    14: ("variant", 0), 15: ("uint32", 32), 16: ("uint16", 16), 17: ("int4", 4),
    18: ("bfloat16", 16), 19: ("int2", 2), 20: ("uint4", 4),
}  # fmt: skip
_BUILTINS: Final = {
    code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)
}
_CUSTOM: Final = 32


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """One tensor; in `signature` a size that may be changed is None."""

    name: str
    dtype: str
    bits: int | None
    shape: tuple[int, ...]
    signature: tuple[int | None, ...]
    buffer: int
    is_variable: bool
    is_quantised: bool


@dataclass(frozen=True, slots=True)
class TfliteOperator:
    """One operator; `subgraphs` are those that it runs, by role; -1 is an absent tensor."""

    op_type: str
    is_custom: bool
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: tuple[tuple[str, int], ...]
    transposes_first: bool


@dataclass(frozen=True, slots=True)
class TfliteSubgraph:
    """One subgraph; the first is the model, the others are called by operators."""

    name: str
    tensors: tuple[TfliteTensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[TfliteOperator, ...]


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """A whole file; `buffer_bytes` are the sizes of the stored tensors' contents."""

    version: int
    description: str
    subgraphs: tuple[TfliteSubgraph, ...]
    buffer_bytes: tuple[int, ...]


def load_tflite(model: ModelFile) -> TfliteFile:
    """Read the structure of a TFLite file.

    Raises:
        ModelError: it is damaged, or has more parts than any real model.
    """
    with mmap.mmap(model.descriptor, 0, prot=mmap.PROT_READ) as content:
        try:
            return _Reader(content, model.size_bytes).file()
        except _DAMAGED as error:
            # The library's words name no place that a user could look at.
            what = "the TFLite file is damaged or was cut off"
            raise ModelError(what, hint="was it copied completely?") from error


class _Reader:
    """Reads one mapped file."""

    def __init__(self, content: mmap.mmap, size_bytes: int) -> None:
        self._content = content
        self._size_bytes = size_bytes
        self._references = 0

    def file(self) -> TfliteFile:
        model = tflite.Model.GetRootAs(self._content, 0)
        buffers = tuple(self._buffers(model))
        codes = tuple(self._codes(model))
        count = self._limit(model.SubgraphsLength(), _MOST_SUBGRAPHS, "subgraphs")
        if count == 0:
            raise ModelError("the TFLite file has no subgraph")
        subgraphs = tuple(
            self._subgraph(model.Subgraphs(i), codes, len(buffers), count) for i in range(count)
        )
        return TfliteFile(
            version=int(model.Version()),
            description=self._text(model, 10),
            subgraphs=subgraphs,
            buffer_bytes=buffers,
        )

    def _limit(self, length: int, most: int, what: str) -> int:
        # Every entry takes at least four bytes of the file.
        if length > most or length * 4 > self._size_bytes:
            raise ModelError(f"damaged, or no real model: it claims {length} {what}")
        return length

    def _buffers(self, model: Any) -> Iterator[int]:
        for index in range(self._limit(model.BuffersLength(), _MOST_TENSORS, "buffers")):
            buffer = model.Buffers(index)
            size = int(buffer.DataLength())
            # Files above 2 GB keep contents outside of the FlatBuffer.
            end = int(buffer.Offset()) + int(buffer.Size())
            if buffer.Offset() > 1:
                size = int(buffer.Size())
            if max(size, end) > self._size_bytes:
                raise ModelError("the TFLite file was cut off: a tensor's content is missing")
            yield size

    def _codes(self, model: Any) -> Iterator[tuple[str, bool, int]]:
        for index in range(self._limit(model.OperatorCodesLength(), _MOST_OPERATORS, "codes")):
            code = model.OperatorCodes(index)
            number = max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))
            custom = number == _CUSTOM
            name = self._text(code, 6) if custom else _BUILTINS.get(number, f"BUILTIN_{number}")
            yield name, custom, int(code.Version())

    def _subgraph(
        self, graph: Any, codes: tuple[tuple[str, bool, int], ...], buffers: int, graphs: int
    ) -> TfliteSubgraph:
        count = self._limit(graph.TensorsLength(), _MOST_TENSORS, "tensors")
        tensors = tuple(self._tensor(graph.Tensors(i), buffers) for i in range(count))
        length = self._limit(graph.OperatorsLength(), _MOST_OPERATORS, "operators")
        operators = tuple(
            self._operator(graph.Operators(i), codes, count, graphs) for i in range(length)
        )
        return TfliteSubgraph(
            name=self._text(graph, 12),
            tensors=tensors,
            inputs=self._indices(graph.InputsLength(), graph.Inputs, count),
            outputs=self._indices(graph.OutputsLength(), graph.Outputs, count),
            operators=operators,
        )

    def _tensor(self, tensor: Any, buffers: int) -> TfliteTensor:
        shape = self._numbers(tensor.ShapeLength(), tensor.Shape, _HIGHEST_RANK)
        if any(size < 0 for size in shape):
            raise ModelError("the TFLite file is damaged: a tensor has a negative size")
        signed = self._numbers(tensor.ShapeSignatureLength(), tensor.ShapeSignature, _HIGHEST_RANK)
        if len(signed) != len(shape):
            signed = shape
        buffer = int(tensor.Buffer())
        if not 0 <= buffer < max(1, buffers):
            raise ModelError("the TFLite file is damaged: a tensor's content is nowhere")
        quantisation = tensor.Quantization()
        dtype, bits = _TYPES.get(int(tensor.Type()), ("unknown", None))
        return TfliteTensor(
            name=self._text(tensor, 10),
            dtype=dtype,
            bits=bits,
            shape=shape,
            signature=tuple(None if size < 0 else size for size in signed),
            buffer=buffer,
            is_variable=bool(tensor.IsVariable()),
            is_quantised=quantisation is not None and quantisation.ScaleLength() > 0,
        )

    def _operator(
        self, operator: Any, codes: tuple[tuple[str, bool, int], ...], tensors: int, graphs: int
    ) -> TfliteOperator:
        index = int(operator.OpcodeIndex())
        if not 0 <= index < len(codes):
            raise ModelError("the TFLite file is damaged: an operator has no code")
        name, custom, version = codes[index]
        called = tuple(_called(name, operator))
        if any(not 0 <= graph < graphs for _, graph in called):
            raise ModelError("the TFLite file is damaged: an operator calls no subgraph")
        return TfliteOperator(
            op_type=name,
            is_custom=custom,
            version=version,
            inputs=self._indices(operator.InputsLength(), operator.Inputs, tensors),
            outputs=self._indices(operator.OutputsLength(), operator.Outputs, tensors),
            subgraphs=called,
            transposes_first=name == "BATCH_MATMUL"
            and bool(_options(operator, tflite.BatchMatMulOptions, "AdjX")),
        )

    def _indices(self, length: int, item: Callable[[int], Any], count: int) -> tuple[int, ...]:
        indices = self._numbers(length, item, _MOST_TENSORS)
        if any(not -1 <= index < count for index in indices):
            raise ModelError("the TFLite file is damaged: an operator uses no tensor")
        return indices

    def _numbers(self, length: int, item: Callable[[int], Any], most: int) -> tuple[int, ...]:
        self._references += self._limit(length, most, "numbers")
        if self._references > _MOST_REFERENCES:
            raise ModelError("damaged, or no real model: it has too many parts")
        return tuple(int(item(i)) for i in range(length))

    def _text(self, table: Any, slot: int) -> str:
        """Return a string field, at most some kilobytes of it, escaped for printing."""
        place = table._tab.Offset(slot)  # noqa: SLF001 - the library would read it in full
        if place == 0:
            return ""
        start = table._tab.Vector(place)  # noqa: SLF001
        length = table._tab.VectorLen(place)  # noqa: SLF001
        if start + length > self._size_bytes:
            raise ModelError("the TFLite file was cut off: a name is missing")
        text = bytes(self._content[start : start + min(length, _LONGEST_NAME_BYTES)])
        return printable(text.decode("utf-8", "replace"))


def _called(name: str, operator: Any) -> Iterator[tuple[str, int]]:
    """Walk over the subgraphs that an operator runs."""
    if name == "IF":
        yield "then", int(_options(operator, tflite.IfOptions, "ThenSubgraphIndex"))
        yield "else", int(_options(operator, tflite.IfOptions, "ElseSubgraphIndex"))
    elif name == "WHILE":
        yield "condition", int(_options(operator, tflite.WhileOptions, "CondSubgraphIndex"))
        yield "body", int(_options(operator, tflite.WhileOptions, "BodySubgraphIndex"))
    elif name == "CALL_ONCE":
        yield "once", int(_options(operator, tflite.CallOnceOptions, "InitSubgraphIndex"))
    elif name == "STABLEHLO_COMPOSITE":
        options = operator.BuiltinOptions2()
        if options is not None:
            composite = tflite.StableHLOCompositeOptions()
            composite.Init(options.Bytes, options.Pos)
            yield "composite", int(composite.DecompositionSubgraphIndex())


def _options(operator: Any, kind: Any, field: str) -> int:
    """Return a field of an operator's options; what is not there is 0, as in FlatBuffers."""
    table = operator.BuiltinOptions()
    if table is None:
        return 0
    options = kind()
    options.Init(table.Bytes, table.Pos)
    return int(getattr(options, field)())
