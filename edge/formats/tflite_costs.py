"""What every operator of a TFLite file costs, called subgraphs included, and the peak."""

from collections.abc import Sequence
from typing import Final

from edge.errors import ModelError
from edge.formats.costs import Arithmetic, Counted, costlier, with_calls
from edge.formats.liveness import Step, peak_bytes
from edge.formats.tflite_file import TfliteFile, TfliteOperator, TfliteSubgraph, TfliteTensor
from edge.formats.tflite_macs import Call, Sizes, elements, kind_of, macs_of
from edge.records.model import OperatorCost

_VIEWS: Final = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "BITCAST", "SHAPE", "RANK"})
_ALIASES: Final = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "BITCAST"})
_LOOKUPS: Final = frozenset({"GATHER", "GATHER_ND", "EMBEDDING_LOOKUP"})
# With a stored input they run once: the kernels keep the result (dequantize.cc, densify.cc).
_ONCE: Final = frozenset({"DEQUANTIZE", "DENSIFY"})
_INTEGERS: Final = ("int8", "uint8", "int16", "int4", "int2", "uint4")
_MOST_OPERATORS: Final = 500_000


class TfliteCosts:
    """Counts a file; `shapes` are the tensors' shapes by subgraph, where they differ from it."""

    def __init__(self, file: TfliteFile, shapes: Sequence[Sequence[Sizes]]) -> None:
        """Keep the file and find out which tensors are stored in it."""
        self._file = file
        self._shapes = shapes
        self._running: list[int] = []
        self._seen: set[int] = set()
        self._listed = 0
        self._constants = [_constants(graph, file.buffer_bytes) for graph in file.subgraphs]

    def is_constant(self, graph: int, tensor: int) -> bool:
        """Whether a tensor's content is stored, or made once from one that is."""
        return tensor in self._constants[graph]

    def count(self) -> list[Counted]:
        """Return the cost of every operator; subgraphs that nothing calls run no time.

        Raises:
            ModelError: subgraphs call each other in a circle.
        """
        counted = self._count(0, "")
        for index in range(len(self._file.subgraphs)):
            if index not in self._seen:
                name = self._file.subgraphs[index].name or f"subgraph {index}"
                counted += with_calls(self._count(index, name), 0)
        return counted

    def _count(self, index: int, path: str) -> list[Counted]:
        if index in self._running:
            raise ModelError("the TFLite file is damaged: a subgraph calls itself")
        self._running.append(index)
        self._seen.add(index)
        graph = self._file.subgraphs[index]
        counted: list[Counted] = []
        for place, operator in enumerate(graph.operators):
            self._listed += 1
            if self._listed > _MOST_OPERATORS:
                raise ModelError(f"its subgraphs stand for more than {_MOST_OPERATORS} operators")
            counted.append(self._cost(index, operator, place, path))
            if operator.subgraphs:
                counted += self._called(operator, f"{path}/{operator.op_type}_{place}")
        self._running.pop()
        return counted

    def _called(self, operator: TfliteOperator, path: str) -> list[Counted]:
        parts = {role: self._count(graph, f"{path}/{role}") for role, graph in operator.subgraphs}
        if operator.op_type == "IF":
            keys = list(parts)
            place = costlier([parts[key] for key in keys])
            chosen = None if place is None else keys[place]
            return [c for k in keys for c in with_calls(parts[k], 1 if k == chosen else 0)]
        # A WHILE runs as often as its data say; CALL_ONCE runs with the first inference only.
        factor = {"WHILE": None, "CALL_ONCE": 0}.get(operator.op_type, 1)
        return [c for part in parts.values() for c in with_calls(part, factor)]

    def _cost(self, index: int, operator: TfliteOperator, place: int, path: str) -> Counted:
        graph, shapes = self._file.subgraphs[index], self._shapes[index]
        call = Call(
            op_type=operator.op_type,
            inputs=[shapes[i] if i >= 0 else None for i in operator.inputs],
            outputs=[shapes[i] if i >= 0 else None for i in operator.outputs],
            transposes_first=operator.transposes_first,
        )
        macs = macs_of(call, is_custom=operator.is_custom)
        names = [graph.tensors[i].name for i in operator.outputs if i >= 0]
        moved = self._moved(index, operator)
        used = [i for i in operator.outputs if i >= 0]
        once = bool(used) and all(self.is_constant(index, i) for i in used)
        return Counted(
            OperatorCost(
                name=names[0] if names else f"{operator.op_type}_{place}",
                op_type=operator.op_type,
                domain="custom" if operator.is_custom else "",
                subgraph=path,
                kind=kind_of(operator.op_type),
                calls=0 if once else 1,
                macs=macs,
                input_bytes=moved[0],
                weight_bytes=moved[1],
                output_bytes=moved[2],
            ),
            None if macs == 0 else _arithmetic(operator, graph),
        )

    def _moved(
        self, index: int, operator: TfliteOperator
    ) -> tuple[int | None, int | None, int | None]:
        if operator.op_type in _VIEWS or operator.subgraphs:
            return 0, 0, 0
        used = list(dict.fromkeys(i for i in operator.inputs if i >= 0))
        weights = [i for i in used if self.is_constant(index, i)]
        inputs = self._sum(index, [i for i in used if i not in weights])
        outputs = self._sum(index, [i for i in operator.outputs if i >= 0])
        if operator.op_type in _LOOKUPS and weights:
            # Only the rows that are looked up are read.
            return inputs, outputs, outputs
        return inputs, self._sum(index, weights), outputs

    def _sum(self, index: int, tensors: Sequence[int]) -> int | None:
        total = 0
        for tensor in tensors:
            size = self.bytes_of(index, tensor)
            if size is None:
                return None
            total += size
        return total

    def bytes_of(self, index: int, tensor: int) -> int | None:
        """Return the bytes of a tensor; None where its shape or type is not known."""
        bits = self._file.subgraphs[index].tensors[tensor].bits
        count = elements(self._shapes[index][tensor])
        return None if bits is None or count is None else (count * bits + 7) // 8

    def peak(self, index: int = 0, depth: int = 0) -> int | None:
        """Return the peak of live activations, state included; called subgraphs on top."""
        graph = self._file.subgraphs[index]
        state = [i for i, t in enumerate(graph.tensors) if t.is_variable]
        sizes: dict[str, int | None] = {}
        for i in range(len(graph.tensors)):
            if not self.is_constant(index, i):
                sizes[str(i)] = self.bytes_of(index, i)
        steps = []
        for operator in graph.operators:
            extra = [
                self.peak(called, depth + 1) if depth < 8 else 0 for _, called in operator.subgraphs
            ]
            first = operator.inputs[0] if operator.inputs else -1
            views = operator.op_type in _ALIASES and str(first) in sizes
            steps.append(
                Step(
                    reads=tuple(str(i) for i in operator.inputs if i >= 0),
                    writes=tuple(str(i) for i in operator.outputs if str(i) in sizes),
                    extra_bytes=None if None in extra else max((e for e in extra if e), default=0),
                    alias_of=str(first) if views else None,
                )
            )
        inputs = [str(i) for i in (*graph.inputs, *state) if str(i) in sizes]
        outputs = [str(i) for i in (*graph.outputs, *state)]
        return peak_bytes(steps, sizes, inputs, outputs)


def _constants(graph: TfliteSubgraph, buffer_bytes: Sequence[int]) -> set[int]:
    found = {
        i
        for i, tensor in enumerate(graph.tensors)
        if tensor.buffer > 0 and buffer_bytes[tensor.buffer] > 0 and not tensor.is_variable
    }
    for operator in graph.operators:
        if operator.op_type in _ONCE and operator.inputs and operator.inputs[0] in found:
            found.update(i for i in operator.outputs if i >= 0)
    return found


def _arithmetic(operator: TfliteOperator, graph: TfliteSubgraph) -> Arithmetic:
    tensors: list[TfliteTensor] = [graph.tensors[i] for i in operator.inputs if i >= 0]
    # A transposed convolution has its output's shape in front.
    tensors = [t for t in tensors if t.dtype not in ("int32", "int64")][:2]
    integer = [t.dtype in _INTEGERS for t in tensors]
    if tensors and all(integer):
        return "int8"
    if any(integer):
        return "mixed"
    return "fp16" if tensors and all(t.dtype == "float16" for t in tensors) else "fp32"
