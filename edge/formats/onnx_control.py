"""Types through If, Loop and Scan: their subgraphs, and how often each of them runs."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import onnx

from edge.formats.onnx_fold import Array
from edge.formats.onnx_scope import Scope
from edge.formats.onnx_types import element_type_of, shape_of, tensor_of, tensor_type

# Infers a graph, given the types of its inputs and the graph around it.
Run = Callable[[onnx.GraphProto, Mapping[str, onnx.TypeProto], Scope], Scope]

CONTROL: Final = ("If", "Loop", "Scan")
_BRANCHES: Final = ("then_branch", "else_branch")
# Exporters write the largest integer where only the condition ends the loop.
_ENDLESS: Final = 1 << 62


def control_types(
    run: Run, scope: Scope, index: int, node: onnx.NodeProto, attributes: Mapping[str, Any]
) -> dict[str, onnx.TypeProto]:
    """Infer the subgraphs of an If, Loop or Scan with `run`, and return its outputs' types.

    The subgraphs, and how often each runs, are kept in `scope`.
    """
    graphs = {k: g for k, g in attributes.items() if isinstance(g, onnx.GraphProto)}
    if node.op_type == "If":
        return _if(run, scope, index, node, graphs)
    body = graphs.get("body")
    if body is None:
        return {}
    if node.op_type == "Loop":
        return _loop(run, scope, index, node, body)
    return _scan(run, scope, index, node, attributes)


def _if(
    run: Run, scope: Scope, index: int, node: onnx.NodeProto, graphs: Mapping[str, onnx.GraphProto]
) -> dict[str, onnx.TypeProto]:
    inner = {key: run(graphs[key], {}, scope) for key in _BRANCHES if key in graphs}
    scope.children[index] = inner
    condition = scope.value(node.input[0]) if node.input else None
    if condition is not None and condition.size == 1:
        chosen = _BRANCHES[0] if bool(condition.ravel()[0]) else _BRANCHES[1]
        if chosen in inner:
            scope.taken[index] = chosen
            inner = {chosen: inner[chosen]}
    possible = [branch for branch in inner.values() if not branch.cannot_run()]
    results = [_outputs(branch) for branch in possible or inner.values()]
    kinds: dict[str, onnx.TypeProto] = {}
    for position, name in enumerate(node.output):
        found = [r[position] for r in results if position < len(r)]
        if name and found and len(found) == len(results):
            kinds[name] = _common(found)
    return kinds


def _loop(
    run: Run, scope: Scope, index: int, node: onnx.NodeProto, body: onnx.GraphProto
) -> dict[str, onnx.TypeProto]:
    trips = _single(scope.value(node.input[0])) if node.input and node.input[0] else None
    trips = trips if trips is not None and 0 <= trips < _ENDLESS else None
    scope.trips[index] = trips
    carried = [scope.type(name) or onnx.TypeProto() for name in node.input[2:]]
    names = [value.name for value in body.input]
    first = [
        tensor_type(onnx.TensorProto.INT64, ()),
        tensor_type(onnx.TensorProto.BOOL, ()),
    ]
    inner = run(body, dict(zip(names, first + carried, strict=False)), scope)
    ends = _outputs(inner)[1 : 1 + len(carried)]
    stable = [_common([a, b]) for a, b in zip(carried, ends, strict=False)]
    if stable != carried[: len(stable)]:
        # A carried tensor changes its shape from trip to trip.
        carried = stable + carried[len(stable) :]
        inner = run(body, dict(zip(names, first + carried, strict=False)), scope)
    scope.children[index] = {"body": inner}
    results = carried + [_stacked(kind, trips, 0) for kind in _outputs(inner)[1 + len(carried) :]]
    return {n: k for n, k in zip(node.output, results, strict=False) if n}


def _scan(
    run: Run,
    scope: Scope,
    index: int,
    node: onnx.NodeProto,
    attributes: Mapping[str, Any],
) -> dict[str, onnx.TypeProto]:
    scanned = attributes.get("num_scan_inputs")
    if not isinstance(scanned, int) or not 0 < scanned <= len(node.input):
        return {}
    kinds = [scope.type(name) or onnx.TypeProto() for name in node.input]
    states = len(kinds) - scanned
    axes = attributes.get("scan_input_axes") or [0] * scanned
    ends = attributes.get("scan_output_axes") or [0] * len(node.output)
    if not isinstance(axes, list) or len(axes) != scanned or not isinstance(ends, list):
        return {}
    slices, trips = [], None
    for kind, axis in zip(kinds[states:], axes, strict=True):
        shape = shape_of(kind)
        if shape is not None and -len(shape) <= axis < len(shape):
            size = shape[axis]
            trips = size if isinstance(size, int) else trips
            place = axis % len(shape)
            shape = shape[:place] + shape[place + 1 :]
        slices.append(tensor_type(element_type_of(kind), shape))
    body = attributes["body"]
    names = [value.name for value in body.input]
    inner = run(body, dict(zip(names, kinds[:states] + slices, strict=False)), scope)
    scope.children[index] = {"body": inner}
    scope.trips[index] = trips
    found = _outputs(inner)
    stacked = [_stacked(k, trips, a) for k, a in zip(found[states:], ends, strict=False)]
    return {n: k for n, k in zip(node.output, found[:states] + stacked, strict=False) if n}


def _single(value: Array | None) -> int | None:
    return int(value.ravel()[0]) if value is not None and value.size == 1 else None


def _outputs(scope: Scope) -> list[onnx.TypeProto]:
    return [scope.type(value.name) or onnx.TypeProto() for value in scope.graph.output]


def _common(kinds: list[onnx.TypeProto]) -> onnx.TypeProto:
    """Return what several types agree on: a dimension in which they differ is unknown."""
    first, *others = kinds
    if tensor_of(first) is None:
        return first
    shape = shape_of(first)
    for other in others:
        theirs = shape_of(other)
        if shape is None or theirs is None or len(shape) != len(theirs):
            return tensor_type(element_type_of(first), None)
        shape = tuple(a if a == b else None for a, b in zip(shape, theirs, strict=True))
    return tensor_type(element_type_of(first), shape)


def _stacked(kind: onnx.TypeProto, trips: int | None, axis: int) -> onnx.TypeProto:
    """Return the type of one trip's result, stacked over all trips."""
    shape = shape_of(kind)
    if shape is None:
        return tensor_type(element_type_of(kind), None)
    place = axis % (len(shape) + 1)
    return tensor_type(element_type_of(kind), (*shape[:place], trips, *shape[place:]))
