"""What a program makes of a model's outputs: the class, or the boxes. Device slice: Python 3.8."""

from typing import TYPE_CHECKING, Any, Callable, Final, List, Sequence

from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.backends.protocol import Array

POSTPROCESSES: Final = ("top1", "boxes", "none")
_LEAST_SCORE = 0.5
_MOST_OVERLAP = 0.5
_MOST_BOXES = 300


def choose(asked: Any, outputs: "Sequence[Array]") -> str:
    """Return what is done with such outputs: what was asked for, or what their shapes suggest.

    A row of values gives its largest (top1); N rows of 4 numbers and more, with scores in the same
    array or in another one of N rows, give boxes; anything else is left alone.

    Raises:
        UsageError: boxes were asked for of outputs that have none, or something unknown was.
    """
    if asked not in (None, *POSTPROCESSES):
        raise UsageError("postprocess must be one of " + ", ".join(POSTPROCESSES))
    has_boxes = _box_arrays(outputs) is not None
    if asked == "boxes" and not has_boxes:
        raise UsageError("the model's outputs are no boxes with scores")
    if asked is not None:
        return str(asked)
    if has_boxes:
        return "boxes"
    is_row = len(outputs) == 1 and outputs[0].size > 1
    return "top1" if is_row and max(outputs[0].shape) == outputs[0].size else "none"


def function_of(kind: str) -> "Callable[[Sequence[Array]], Any]":
    """Return the function of the outputs: top1 gives a class, boxes their number."""
    return {"top1": _top1, "boxes": _boxes}[kind]


def _top1(outputs: "Sequence[Array]") -> int:
    return int(outputs[0].argmax())


def _box_arrays(outputs: "Sequence[Array]") -> Any:
    """Return (boxes N x 4, scores N, whether they are centres and sizes), or None."""
    arrays = [a[0] for a in outputs if a.ndim in (2, 3) and len(a) == 1 and a.dtype.kind == "f"]
    if len(outputs) == 1 and len(arrays) == 1 and arrays[0].ndim == 2:
        # YOLO's: 4 numbers and a score for each class in a row or a column. Its grids of 8, 16 and
        # 32 pixels have 16 + 4 + 1 places where the last has one.
        rows = arrays[0] if arrays[0].shape[0] >= arrays[0].shape[1] else arrays[0].T
        is_yolo = rows.shape[1] >= 5 and rows.shape[0] % 21 == 0
        return (rows[:, :4], rows[:, 4:].max(axis=1), True) if is_yolo else None
    boxes = next((a for a in arrays if a.ndim == 2 and a.shape[1] >= 4), None)
    if boxes is None:
        return None
    # An SSD's classes and scores are both rows of N, and the scores come second.
    others = [a for a in arrays if a is not boxes and len(a) == len(boxes)]
    scores = others[-1].reshape(len(boxes), -1) if others else None
    if scores is None or (boxes.shape[1] > 4 and scores.shape[1] > 1):
        return None
    return boxes[:, :4], scores.max(axis=1), False


def _boxes(outputs: "Sequence[Array]") -> int:
    """Return how many boxes are left: scores above one half, the best of those that overlap."""
    import numpy as np

    boxes, scores, are_centres = _box_arrays(outputs)
    found = np.flatnonzero(scores > _LEAST_SCORE)
    found = found[np.argsort(-scores[found])][:_MOST_BOXES]
    low, high = boxes[found, :2], boxes[found, 2:]
    if are_centres:
        low, high = low - high / 2, low + high / 2
    area = np.prod(np.maximum(high - low, 0), axis=1)
    left = np.arange(len(found))
    kept: List[int] = []
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(int(best))
        shared = np.minimum(high[best], high[rest]) - np.maximum(low[best], low[rest])
        inner = np.prod(np.maximum(shared, 0), axis=1)
        outer = area[best] + area[rest] - inner
        left = rest[inner <= _MOST_OVERLAP * outer]
    return len(kept)
