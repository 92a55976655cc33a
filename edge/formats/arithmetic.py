"""The child's task: in what a runtime's own, optimised graph computes, by multiply-accumulates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edge.formats.costs import Counted
from edge.formats.source import ModelFile, format_of, open_model

# What multiplies 8-bit integers, statically or dynamically quantised. A product between
# DequantizeLinear is none of them: had it been fused, it were.
_INTEGER: Final = frozenset(
    {
        "ConvInteger", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulInteger",
        "MatMulIntegerToFloat", "QAttention", "QGemm", "QLinearConv", "QLinearConvTranspose",
        "QLinearMatMul",
    }
)  # fmt: skip
_BLOCKS: Final = "MatMulNBits"
# MatMulNBits' level at which the activations are quantised as well (com.microsoft's operators).
_INTEGER_LEVEL: Final = 4


def arithmetic(request: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the parts of the multiply-accumulates in 8-bit integers and in 16-bit floats.

    `request`: path, a graph as a runtime saved it or a TFLite file, and the shapes of inputs by
    name. None: there are no multiply-accumulates, or some are not known.

    Raises:
        ModelError: it is no model, or a damaged one.
        UsageError: the shapes do not fit its inputs.
    """
    shapes = {name: tuple(sizes) for name, sizes in request["shapes"].items()}
    with open_model(Path(request["path"])) as model:
        if format_of(model) == "tflite":
            return _parts(_tflite(model))
        return _parts(_onnx(model, shapes))


def _parts(kinds: Sequence[tuple[str, Counted]]) -> dict[str, float] | None:
    sums = {"integer": 0, "half": 0, "single": 0}
    for kind, counted in kinds:
        macs = counted.cost.macs_per_inference
        if macs is None:
            return None
        sums[kind] += macs
    total = sum(sums.values())
    if not total:
        return None
    return {"integer": sums["integer"] / total, "half": sums["half"] / total}


def _tflite(model: ModelFile) -> list[tuple[str, Counted]]:
    """Tell by the file: integer weights are kept, those behind DEQUANTIZE are floats by then."""
    from edge.formats.tflite_costs import TfliteCosts
    from edge.formats.tflite_file import load_tflite

    file = load_tflite(model)
    counted = TfliteCosts(file, [[t.shape for t in g.tensors] for g in file.subgraphs]).count()
    return [
        ("integer" if c.arithmetic in ("int8", "mixed") else "single", c)
        for c in counted
        if c.arithmetic is not None
    ]


def _onnx(model: ModelFile, shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[str, Counted]]:
    from edge.formats.onnx_costs import count
    from edge.formats.onnx_file import load_onnx, nodes_within
    from edge.formats.onnx_shapes import Inference
    from edge.formats.onnx_types import element_type_of, spec_of, tensor_of, tensor_type
    from edge.formats.shapes import given_shapes

    file = load_onnx(model)
    graph = file.proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    declared = {v.name: v.type for v in graph.input if v.name not in weights}
    known = given_shapes([spec_of(name, kind) for name, kind in declared.items()], shapes)
    kinds = {
        name: kind
        if tensor_of(kind) is None
        else tensor_type(element_type_of(kind), known[name].shape)
        for name, kind in declared.items()
    }
    scope = Inference(file.opsets, file.proto.ir_version).run(graph, kinds)
    levels = {
        node.name or node.output[0]
        for node in nodes_within(graph.node)
        if node.op_type == _BLOCKS
        and any(a.name == "accuracy_level" and a.i == _INTEGER_LEVEL for a in node.attribute)
    }
    return [(_kind(c, levels), c) for c in count(scope) if c.arithmetic is not None]


def _kind(counted: Counted, integer_blocks: set[str]) -> str:
    cost = counted.cost
    if cost.op_type in _INTEGER or (cost.op_type == _BLOCKS and cost.name in integer_blocks):
        return "integer"
    return "half" if counted.arithmetic == "fp16" else "single"
