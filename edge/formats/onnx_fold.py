"""Contents of small tensors that need no input: shapes, axes and sizes computed in the graph.

A hand-picked set of operators on tensors of a few thousand elements; the size of a result is
checked before it is made, since a file of a hundred bytes can ask for gigabytes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Array = npt.NDArray[Any]
Attributes = Mapping[str, Any]

# Far above any shape or axis list, far below anything that costs.
MOST_ELEMENTS: Final = 4096
_DEEPEST_RANK = 16


def content_of(tensor: onnx.TensorProto) -> Array | None:
    """Return the content of a small tensor that is in the file; None for any other."""
    count = math.prod(tensor.dims)
    if not 0 <= count <= MOST_ELEMENTS or len(tensor.dims) > _DEEPEST_RANK:
        return None
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.HasField("segment"):
        return None
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError):
        # Its content was left out of the skeleton, or does not fit its own shape.
        return None


def fold(
    op_type: str, inputs: Sequence[Array | None], attributes: Attributes, opset: int
) -> list[Array] | None:
    """Evaluate an operator on small known inputs; None where it cannot, or should not, be done."""
    rule = _RULES.get(op_type)
    if rule is None or not inputs or inputs[0] is None:
        return None
    try:
        with np.errstate(all="ignore"):
            results = rule(list(inputs), attributes, opset)
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, ZeroDivisionError):
        # The inputs do not fit the operator: the runtime will refuse it, we only do not know.
        return None
    if any(result.size > MOST_ELEMENTS for result in results):
        return None
    return results


class _TooLarge(ValueError):
    """The result would be larger than what is worth knowing."""


def _check(shape: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    if min(sizes, default=0) < 0 or math.prod(sizes) > MOST_ELEMENTS or len(sizes) > _DEEPEST_RANK:
        raise _TooLarge
    return sizes


_Rule = Callable[[list[Any], Attributes, int], list[Array]]


def _unary(function: Callable[[Array], Any]) -> _Rule:
    return lambda x, _a, _o: [np.asarray(function(x[0])).astype(x[0].dtype)]


def _binary(function: Callable[..., Any], *, logical: bool = False) -> _Rule:
    def rule(x: list[Any], _a: Attributes, _o: int) -> list[Array]:
        _check(np.broadcast_shapes(x[0].shape, x[1].shape))
        result = np.asarray(function(x[0], x[1]))
        return [result.astype(bool if logical else x[0].dtype)]

    return rule


def _variadic(function: Callable[..., Any]) -> _Rule:
    def rule(x: list[Any], _a: Attributes, _o: int) -> list[Array]:
        result = x[0]
        for other in x[1:]:
            _check(np.broadcast_shapes(result.shape, other.shape))
            result = function(result, other)
        return [np.asarray(result)]

    return rule


def _divide(a: Array, b: Array) -> Array:
    if np.issubdtype(a.dtype, np.floating):
        return np.asarray(a / b)
    # ONNX divides integers as C does, towards zero.
    return np.asarray(np.trunc(np.true_divide(a, b)))


def _modulo(x: list[Any], a: Attributes, _o: int) -> list[Array]:
    _check(np.broadcast_shapes(x[0].shape, x[1].shape))
    return [np.asarray(np.fmod(*x[:2]) if a.get("fmod") else np.mod(*x[:2])).astype(x[0].dtype)]


def _axes(x: list[Any], a: Attributes, index: int) -> tuple[int, ...] | None:
    if len(x) > index and x[index] is not None:
        return tuple(int(v) for v in x[index].ravel())
    given = a.get("axes")
    return None if given is None else tuple(int(v) for v in given)


def _reduce(function: Callable[..., Any]) -> _Rule:
    def rule(x: list[Any], a: Attributes, _o: int) -> list[Array]:
        axes = _axes(x, a, 1)
        if not axes and a.get("noop_with_empty_axes"):
            return [x[0]]
        kept = bool(a.get("keepdims", 1))
        return [np.asarray(function(x[0], axis=axes or None, keepdims=kept), dtype=x[0].dtype)]

    return rule


def _cast(x: list[Any], a: Attributes, _o: int) -> list[Array]:
    return [x[0].astype(onnx.helper.tensor_dtype_to_np_dtype(a["to"]))]


def _concat(x: list[Any], a: Attributes, _o: int) -> list[Array]:
    if sum(v.size for v in x) > MOST_ELEMENTS:
        raise _TooLarge
    return [np.concatenate(x, axis=a["axis"])]


def _constant_of_shape(x: list[Any], a: Attributes, _o: int) -> list[Array]:
    value = a.get("value")
    fill = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    return [np.full(_check(x[0].ravel()), fill.ravel()[0], fill.dtype)]


def _expand(x: list[Any], _a: Attributes, _o: int) -> list[Array]:
    shape = _check(np.broadcast_shapes(x[0].shape, _check(x[1].ravel())))
    return [np.broadcast_to(x[0], shape).copy()]


def _gather(x: list[Any], a: Attributes, _o: int) -> list[Array]:
    if x[0].size * max(1, x[1].size) > MOST_ELEMENTS * MOST_ELEMENTS:
        raise _TooLarge
    axis = a.get("axis", 0)
    rest = x[0].size // max(1, x[0].shape[axis])
    if rest * x[1].size > MOST_ELEMENTS:
        raise _TooLarge
    return [np.asarray(np.take(x[0], x[1].astype(np.int64), axis=axis))]


def _range(x: list[Any], _a: Attributes, _o: int) -> list[Array]:
    start, limit, step = (v.ravel()[0].item() for v in x)
    _check([max(0, math.ceil((limit - start) / step))])
    return [np.arange(start, limit, step, dtype=x[0].dtype)]


def _reshape(x: list[Any], a: Attributes, _o: int) -> list[Array]:
    wanted = [int(v) for v in x[1].ravel()]
    if not a.get("allowzero"):
        wanted = [x[0].shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return [x[0].reshape(wanted)]


def _slice(x: list[Any], a: Attributes, opset: int) -> list[Array]:
    if opset < 10:
        starts, ends, steps = a["starts"], a["ends"], None
        axes = a.get("axes")
    else:
        starts, ends = x[1].ravel(), x[2].ravel()
        axes = None if len(x) < 4 or x[3] is None else x[3].ravel()
        steps = None if len(x) < 5 or x[4] is None else x[4].ravel()
    index: list[Any] = [slice(None)] * x[0].ndim
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = i if axes is None else int(axes[i])
        step = 1 if steps is None else int(steps[i])
        # Going down, an end below the axis means past its first element.
        last = None if step < 0 and end < -x[0].shape[axis] else int(end)
        index[axis] = slice(int(start), last, step)
    return [x[0][tuple(index)]]


def _split(x: list[Any], a: Attributes, opset: int) -> list[Array]:
    sizes = a.get("split") if opset < 13 else (x[1].ravel() if len(x) > 1 else None)
    if sizes is None:
        raise _TooLarge
    places = np.cumsum([int(s) for s in sizes])[:-1]
    return list(np.split(x[0], places, axis=a.get("axis", 0)))


def _squeeze(x: list[Any], a: Attributes, _o: int) -> list[Array]:
    return [np.squeeze(x[0], axis=_axes(x, a, 1))]


def _tile(x: list[Any], _a: Attributes, _o: int) -> list[Array]:
    times = [int(v) for v in x[1].ravel()]
    _check([n * t for n, t in zip(x[0].shape, times, strict=True)])
    return [np.tile(x[0], times)]


def _transpose(x: list[Any], a: Attributes, _o: int) -> list[Array]:
    return [np.transpose(x[0], a.get("perm"))]


def _unsqueeze(x: list[Any], a: Attributes, _o: int) -> list[Array]:
    axes = _axes(x, a, 1)
    if axes is None or len(axes) > _DEEPEST_RANK:
        raise _TooLarge
    return [np.expand_dims(x[0], axes)]


def _where(x: list[Any], _a: Attributes, _o: int) -> list[Array]:
    _check(np.broadcast_shapes(x[0].shape, x[1].shape, x[2].shape))
    return [np.asarray(np.where(x[0], x[1], x[2]))]


_RULES: Final[dict[str, _Rule]] = {
    "Abs": _unary(np.abs),
    "Add": _binary(np.add),
    "And": _binary(np.logical_and, logical=True),
    "Cast": _cast,
    "Ceil": _unary(np.ceil),
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Div": _binary(_divide),
    "Equal": _binary(np.equal, logical=True),
    "Expand": _expand,
    "Floor": _unary(np.floor),
    "Gather": _gather,
    "Greater": _binary(np.greater, logical=True),
    "GreaterOrEqual": _binary(np.greater_equal, logical=True),
    "Identity": _unary(lambda x: x),
    "Less": _binary(np.less, logical=True),
    "LessOrEqual": _binary(np.less_equal, logical=True),
    "Max": _variadic(np.maximum),
    "Min": _variadic(np.minimum),
    "Mod": _modulo,
    "Mul": _binary(np.multiply),
    "Neg": _unary(np.negative),
    "Not": _unary(np.logical_not),
    "Or": _binary(np.logical_or, logical=True),
    "Range": _range,
    "ReduceMax": _reduce(np.max),
    "ReduceMin": _reduce(np.min),
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "Reshape": _reshape,
    "Round": _unary(np.rint),
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _unary(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _binary(np.subtract),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
