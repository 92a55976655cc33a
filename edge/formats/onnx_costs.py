"""What every operator of an ONNX graph costs, subgraphs included, and the peak of its tensors."""

from collections.abc import Iterator, Mapping
from typing import Final

import onnx

from edge.formats.costs import Arithmetic, Counted, costlier, with_calls
from edge.formats.liveness import Step, peak_bytes
from edge.formats.onnx_attributes import attributes_of, list_bytes
from edge.formats.onnx_macs import ATTENTION, DENSE, LINEAR, MATRIX, RECURRENT, Call, macs_of
from edge.formats.onnx_scope import Scope
from edge.formats.onnx_types import dtype_name, element_type_of, type_bytes
from edge.records.model import OperatorCost, OperatorKind

# They only relabel their input: the runtime shares the memory.
_VIEWS: Final = frozenset(
    {"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Shape", "Size"}
)
_ALIASES: Final = _VIEWS - {"Shape", "Size"}
LAYOUT: Final = _VIEWS | {
    "Cast", "ChannelShuffle", "Compress", "Concat", "ConstantOfShape", "DepthToSpace", "Expand",
    "Gather", "GatherElements", "GatherND", "Pad", "ReorderInput", "ReorderOutput",
    "ReverseSequence", "Scatter", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split",
    "Tile", "Transpose",
}  # fmt: skip
_CONTROL: Final = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_LOOKUPS: Final = frozenset({"Gather", "GatherElements", "GatherND", "GatherBlockQuantized"})
_STATIC_INT8: Final = frozenset({"QLinearConv", "QLinearMatMul", "QGemm", "QLinearConvTranspose"})
_DYNAMIC_INT8: Final = frozenset(
    {
        "MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
        "QAttention", "DynamicQuantizeLSTM", "MatMulInteger16",
    }
)  # fmt: skip
_BYTES: Final = ("int8", "uint8")
# What may stand between a stored weight and the operator that uses it.
_THROUGH: Final = frozenset(
    {"Cast", "DequantizeLinear", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)


def count(scope: Scope, path: str = "") -> list[Counted]:
    """Return the cost of every operator, in the file's order, subgraphs after their operator."""
    producers = {name: node for node in scope.graph.node for name in node.output if name}
    needed = _needed(scope.graph)
    counted: list[Counted] = []
    for index, node in enumerate(scope.graph.node):
        # A Constant is no operator: runtimes make it a weight.
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            continue
        counted.append(_cost(scope, node, path, producers, needed))
        inner = scope.children.get(index)
        if inner:
            name = node.name or f"{node.op_type}_{index}"
            counted += _subgraphs(scope, index, inner, f"{path}/{name}")
    return counted


def _needed(graph: onnx.GraphProto) -> set[str]:
    """Return the names that something reads; an output that nobody reads is not made."""
    names = {value.name for value in graph.output}
    for node in graph.node:
        names.update(_reads(node))
    return names


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Walk over the names that a node reads, those of its subgraphs included."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _reads(inner)
            yield from (value.name for value in graph.output)


def _subgraphs(scope: Scope, index: int, inner: Mapping[str, Scope], path: str) -> list[Counted]:
    parts = {key: count(child, f"{path}/{key}") for key, child in inner.items()}
    if "body" in parts:
        return with_calls(parts["body"], scope.trips.get(index))
    keys = list(parts)
    chosen = scope.taken.get(index)
    if chosen is None:
        # A branch that cannot take these shapes is for other inputs.
        possible = [key for key in keys if not inner[key].cannot_run()] or keys
        place = costlier([parts[key] for key in possible])
        chosen = None if place is None else possible[place]
    return [c for key in keys for c in with_calls(parts[key], 1 if key == chosen else 0)]


def _cost(
    scope: Scope,
    node: onnx.NodeProto,
    path: str,
    producers: Mapping[str, onnx.NodeProto],
    needed: set[str],
) -> Counted:
    names = list(dict.fromkeys(name for name in node.input if name))
    constant = [name for name in names if scope.is_constant(name)]
    fixed = bool(node.output) and all(map(scope.is_constant, filter(None, node.output)))
    domain = "" if node.domain == "ai.onnx" else node.domain
    attributes = attributes_of(node)
    call = Call(
        op_type=node.op_type,
        inputs=[scope.shape(name) if name else None for name in node.input],
        outputs=[scope.shape(name) if name else None for name in node.output],
        attributes=attributes,
    )
    macs = macs_of(call, domain)
    arithmetic = None if macs == 0 else _arithmetic(scope, node, producers)
    moved = _moved(scope, node, names, constant, needed)
    if arithmetic == "int8":
        # The weights stay as they are stored; a runtime fuses the DequantizeLinear before them.
        stored = [_stored(name, producers) for name in constant]
        moved = (moved[0], _sum(scope, stored), moved[2])
    if domain == "ai.onnx.ml" and moved[1] is not None:
        moved = (moved[0], moved[1] + list_bytes(node), moved[2])
    return Counted(
        OperatorCost(
            name=node.name or (node.output[0] if node.output else ""),
            op_type=node.op_type,
            domain=domain,
            subgraph=path,
            kind=_kind(node, call),
            # What depends on no input is computed once, when the runtime loads the model.
            calls=0 if fixed else 1,
            macs=macs,
            input_bytes=moved[0],
            weight_bytes=moved[1],
            output_bytes=moved[2],
        ),
        arithmetic,
    )


def _moved(
    scope: Scope,
    node: onnx.NodeProto,
    names: list[str],
    constant: list[str],
    needed: set[str],
) -> tuple[int | None, int | None, int | None]:
    """Return the bytes of inputs, weights and outputs that one call touches."""
    if node.op_type in _VIEWS or node.op_type in _CONTROL:
        return 0, 0, 0
    inputs = _sum(scope, [name for name in names if name not in constant])
    outputs = _sum(scope, [name for name in node.output if name in needed])
    if node.op_type in _LOOKUPS and constant[:1] == list(node.input[:1]):
        # Only the rows that are looked up are read.
        return inputs, outputs, outputs
    return inputs, _sum(scope, constant), outputs


def _kind(node: onnx.NodeProto, call: Call) -> OperatorKind:
    if node.op_type in DENSE:
        return "depthwise" if _is_depthwise(call) else "dense"
    if node.op_type in RECURRENT:
        return "recurrent"
    if node.op_type in MATRIX or node.op_type in ATTENTION or node.op_type in LINEAR:
        return "matmul"
    if node.op_type in _CONTROL:
        return "control"
    return "layout" if node.op_type in LAYOUT else "elementwise"


def _is_depthwise(call: Call) -> bool:
    """Whether every group has one input channel: then hardly any input is used again."""
    groups = call.attributes.get("group", 1)
    data = call.input(0)
    channels = data[1] if data is not None and len(data) > 1 else None
    return isinstance(groups, int) and groups > 1 and channels in (groups, None)


def _sum(scope: Scope, names: list[str]) -> int | None:
    total = 0
    for name in names:
        size = type_bytes(scope.type(name))
        if size is None:
            return None
        total += size
    return total


def _stored(name: str, producers: Mapping[str, onnx.NodeProto]) -> str:
    """Follow a constant back to the weight in the file that it is made from."""
    for _ in range(len(_THROUGH)):
        node = producers.get(name)
        if node is None or node.op_type not in _THROUGH or not node.input:
            break
        name = node.input[0]
    return name


def _arithmetic(
    scope: Scope, node: onnx.NodeProto, producers: Mapping[str, onnx.NodeProto]
) -> Arithmetic:
    if node.op_type in _STATIC_INT8:
        return "int8"
    if node.op_type in _DYNAMIC_INT8:
        return "mixed"
    operands = [name for name in node.input[:2] if name]
    quantised = []
    for name in operands:
        maker = producers.get(name)
        quantised.append(maker is not None and maker.op_type == "DequantizeLinear")
    if len(operands) == 2 and all(quantised):
        stored = [_dtype(scope, producers[name].input[0]) for name in operands]
        if all(dtype in _BYTES for dtype in stored):
            return "int8"
    dtype = _dtype(scope, node.output[0]) if node.output else "unknown"
    return "fp16" if dtype in ("float16", "bfloat16") else "fp32"


def _dtype(scope: Scope, name: str) -> str:
    return dtype_name(element_type_of(scope.type(name)))


def peak(scope: Scope) -> int | None:
    """Return the peak of a graph's live activations, subgraphs on top of what is live around."""
    needed = _needed(scope.graph)
    sizes: dict[str, int | None] = {}
    steps = []
    names = [v.name for v in scope.graph.input if v.name not in scope.constants]
    for name in names:
        sizes[name] = type_bytes(scope.type(name))
    for index, node in enumerate(scope.graph.node):
        for name in node.output:
            if name and not scope.is_constant(name):
                sizes[name] = type_bytes(scope.type(name)) if name in needed else 0
        views = node.op_type in _ALIASES and node.input and not scope.is_constant(node.input[0])
        steps.append(
            Step(
                reads=tuple(_reads(node)),
                writes=tuple(name for name in node.output if name in sizes),
                extra_bytes=_peak_of_subgraphs(scope, index, node),
                alias_of=node.input[0] if views else None,
            )
        )
    return peak_bytes(steps, sizes, names, [value.name for value in scope.graph.output])


def _peak_of_subgraphs(scope: Scope, index: int, node: onnx.NodeProto) -> int | None:
    """Return what the subgraphs of a node need beyond its own inputs and outputs."""
    children = list(scope.children.get(index, {}).values())
    possible = [child for child in children if not child.cannot_run()] or children
    highest = 0
    for child in possible:
        needed = peak(child)
        if needed is None:
            return None
        highest = max(highest, needed)
    if node.op_type == "If":
        # A branch's results are the node's own outputs.
        highest -= sum(type_bytes(scope.type(name)) or 0 for name in node.output if name)
    return max(0, highest)
