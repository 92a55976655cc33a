"""Which nodes of a prepared model compute in int8, and which tensors are quantised for them.

It follows what ONNX Runtime's CPU provider fuses (onnxruntime/core/optimizer/qdq_transformer/
selectors_actions/qdq_selector_action_transformer.cc): a Q/DQ pair around anything else costs time.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.passes._int8_index import GraphIndex

if TYPE_CHECKING:
    import onnx

Ranges = Mapping[str, tuple[float, float]]

LAYERS: Final = ("Conv", "Gemm", "MatMul")
# They give what they took: the same scale holds on both sides.
_THROUGH: Final = (
    "MaxPool",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Slice",
)
_AVERAGES: Final = ("GlobalAveragePool", "AveragePool", "Sigmoid", "LeakyRelu")
# A shift may widen a range so far, and must be so many steps, which are rounded to a whole number.
_MOST_WIDENED: Final = 1.1
_LEAST_STEPS: Final = 6


@dataclass(slots=True)
class Int8Plan:
    """What `plan_int8` found; nodes by position, tensors by name.

    `layers` are Conv, Gemm and MatMul, `others` the nodes between them. `bounded` maps an absorbed
    Relu or Clip to the node whose range it ends. `relabelled` maps a Mul or Add by a constant to
    (factor, shift): the same integers with another scale and zero point, at no cost. `roots` maps
    such a tensor to (the tensor that it comes from, factor, shift) and `shifts` the latter to what
    its scale has to divide. `made` are the tensors that come out of int8 nodes, `taken` all that
    int8 nodes read or give, `bounds` those after an absorbed Relu or Clip, `same` those with the scale of another.
    """

    layers: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    bounded: dict[int, int] = field(default_factory=dict)
    relabelled: dict[int, tuple[float, float]] = field(default_factory=dict)
    roots: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    shifts: dict[str, float] = field(default_factory=dict)
    bounds: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    same: dict[str, str] = field(default_factory=dict)
    taken: dict[str, None] = field(default_factory=dict)


def plan_int8(
    index: GraphIndex, in_float: Collection[str], ranges: Ranges | None = None
) -> Int8Plan:
    """Return what computes in int8 when the layers of these names stay in float.

    Without ranges, as before calibration, no Add is relabelled: it takes the ranges to tell where
    that loses nothing.
    """
    plan = Int8Plan()
    for number, node in enumerate(index.nodes):
        if number in plan.bounded or node.name in in_float:
            continue
        if node.domain not in ("", "ai.onnx"):
            continue
        if _is_layer(index, node):
            plan.layers.append(number)
            _take(index, plan, number)
        elif (change := relabelling(index, plan, node, ranges)) is not None:
            _relabel(plan, number, node, change)
        elif _goes_along(index, plan, node):
            plan.others.append(number)
            _take(index, plan, number)
    return plan


def _is_layer(index: GraphIndex, node: "onnx.NodeProto") -> bool:
    if node.op_type not in LAYERS or node.input[0] not in index.floats:
        return False
    weight = index.constant(node.input[1])
    if weight is None or weight.dtype.name != "float32" or not weight.size:
        return False
    if index.constant(node.input[0]) is not None:
        return False
    has_bias = len(node.input) > 2 and node.input[2] != ""
    bias = index.constant(node.input[2]) if has_bias else None
    if has_bias and bias is None:
        return False
    if node.op_type == "Conv":
        return weight.ndim in (3, 4)
    if node.op_type == "MatMul":
        return weight.ndim == 2
    plain = not index.attribute(node, "transA", 0) and index.attribute(node, "alpha", 1.0) == 1.0
    columns = weight.shape[0 if index.attribute(node, "transB", 0) else 1]
    plain = plain and index.attribute(node, "beta", 1.0) == 1.0
    return plain and (bias is None or bias.shape in ((columns,), (1, columns)))


def _goes_along(index: GraphIndex, plan: Int8Plan, node: "onnx.NodeProto") -> bool:
    """Say whether a node between layers has an int8 kernel and int8 inputs."""
    kind = node.op_type
    if kind in _THROUGH or kind in _AVERAGES:
        return node.input[0] in plan.made and len(node.output) == 1
    if kind == "Concat":
        return all(name in plan.made for name in node.input)
    if kind == "Resize":
        return node.input[0] in plan.made and index.attribute(node, "mode", b"") == b"nearest"
    if kind not in ("Add", "Mul"):
        return False
    variable = [name for name in node.input if index.constant(name) is None]
    if len(variable) == 2:
        return all(name in index.floats for name in variable) and any(
            name in plan.made for name in variable
        )
    if kind == "Mul" or len(variable) != 1 or variable[0] not in plan.made:
        return False
    other = next(name for name in node.input if name != variable[0])
    return index.scalar(other) is not None


def relabelling(
    index: GraphIndex, plan: Int8Plan, node: "onnx.NodeProto", ranges: Ranges | None
) -> tuple[float, float] | None:
    """Return (factor, shift) where the node only changes what its int8 input's numbers mean."""
    if node.op_type not in ("Mul", "Add") or node.output[0] in index.outputs:
        return None
    variable = [name for name in node.input if name in plan.made]
    numbers = [index.scalar(name) for name in node.input if name not in plan.made]
    if len(variable) != 1 or len(numbers) != 1 or numbers[0] is None:
        return None
    if node.op_type == "Mul":
        return (numbers[0], 0.0) if numbers[0] > 0 else None
    root, factor, shift = plan.roots.get(variable[0], (variable[0], 1.0, 0.0))
    taken = shift or root in plan.shifts or root in plan.same or root in plan.bounds
    if ranges is None or taken or _bound_after(index, node.output[0]) is not None:
        return None
    return (1.0, numbers[0]) if _fits_shift(ranges[root], numbers[0] / factor) else None


def _fits_shift(kept: tuple[float, float], shift: float) -> bool:
    """Say whether the zero of before and after both lie in the range, and some steps apart."""
    low, high = min(kept[0], 0.0), max(kept[1], 0.0)
    width = max(high, -shift) - min(low, -shift)
    return width <= _MOST_WIDENED * (high - low) and abs(shift) * 255 >= _LEAST_STEPS * width


def _relabel(
    plan: Int8Plan, number: int, node: "onnx.NodeProto", change: tuple[float, float]
) -> None:
    source = next(name for name in node.input if name in plan.made)
    root, factor, shift = plan.roots.get(source, (source, 1.0, 0.0))
    plan.relabelled[number] = change
    whole = (root, factor * change[0], shift * change[0] + change[1])
    plan.roots[node.output[0]] = whole
    plan.made.add(node.output[0])
    if change[1]:
        plan.shifts[root] = whole[2] / whole[1]


def _take(index: GraphIndex, plan: Int8Plan, number: int) -> None:
    """Enter an int8 node's tensors: what it reads, and what it gives after a Relu or Clip."""
    node = index.nodes[number]
    layer = node.op_type in LAYERS
    reads = node.input[:1] if layer or node.op_type in (*_THROUGH, "Resize") else node.input
    plan.taken.update(
        (name, None) for name in reads if name in index.floats and index.constant(name) is None
    )
    name = node.output[0]
    follower = _bound_after(index, name)
    if follower is not None and node.op_type not in _THROUGH:
        name = index.nodes[follower].output[0]
    else:
        follower = None
    if node.op_type in ("Gemm", "MatMul") and not _only_layers_read(index, name):
        # These kernels give floats at no cost, and floats lose nothing.
        return
    if follower is not None:
        plan.bounded[follower] = number
        plan.bounds.add(name)
    plan.made.add(name)
    plan.taken[name] = None
    if node.op_type in (*_THROUGH, "Resize"):
        plan.same[name] = node.input[0]


def _only_layers_read(index: GraphIndex, name: str) -> bool:
    readers = [index.nodes[number] for number in index.readers.get(name, ())]
    return name not in index.outputs and bool(readers) and all(_is_layer(index, n) for n in readers)


def _bound_after(index: GraphIndex, name: str) -> int | None:
    """Return the Relu or Clip that alone reads a tensor, and whose range has the zero in it."""
    readers = index.readers.get(name, ())
    if len(readers) != 1 or name in index.outputs:
        return None
    node = index.nodes[readers[0]]
    if node.op_type == "Relu":
        return readers[0]
    if node.op_type != "Clip":
        return None
    low = index.scalar(node.input[1]) if len(node.input) > 1 and node.input[1] else float("-inf")
    high = index.scalar(node.input[2]) if len(node.input) > 2 and node.input[2] else float("inf")
    if low is None or high is None:
        return None
    return readers[0] if low <= 0 <= high and low < high else None


def calibrated_names(index: GraphIndex, plan: Int8Plan) -> list[str]:
    """Return the tensors whose ranges are needed whatever layers stay in float."""
    names = dict.fromkeys(plan.taken)
    names.update(dict.fromkeys(plan.roots))
    return [name for name in names if name in index.floats]
