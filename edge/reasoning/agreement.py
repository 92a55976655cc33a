"""How near a variant's outputs come to the original's, and how many labels it gets right."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from edge.records.optimization import Accuracy, Agreement

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_CONFIDENCE = 0.95


def agreement(reference: "Mapping[str, Array]", got: "Mapping[str, Array]") -> Agreement:
    """Compare outputs by name; the first axis of each array is the sample.

    A value that is no finite number where the original's is counts as a cosine of -1. Integers
    agree where they are equal.

    Raises:
        ValueError: an output is missing or has another shape.
    """
    import numpy as np

    cosines: list[float] = []
    same = rows = 0
    error = largest = 0.0
    samples = 0
    for name, wanted in reference.items():
        if name not in got or got[name].shape != wanted.shape:
            shape = got[name].shape if name in got else "nothing"
            raise ValueError(f"output {name} is {shape}, the original's is {wanted.shape}")
        samples = len(wanted)
        left, right = (a.reshape(samples, -1).astype(np.float64) for a in (wanted, got[name]))
        cosines += _cosines(left, right)
        finite = np.isfinite(left) & np.isfinite(right)
        error = max(error, float(np.abs(left[finite] - right[finite]).max(initial=0.0)))
        largest = max(largest, float(np.abs(left)[np.isfinite(left)].max(initial=0.0)))
        picked = _picked(wanted), _picked(got[name])
        if picked[0] is not None and picked[1] is not None:
            rows += picked[0].size
            same += int((picked[0] == picked[1]).sum())
    return Agreement(
        samples=samples,
        cosine=min(cosines),
        mean_cosine=math.fsum(cosines) / len(cosines),
        largest_error=error,
        largest_output=largest,
        top1=same / rows if rows else None,
    )


def accuracy(outputs: "Mapping[str, Array]", labels: Sequence[int]) -> Accuracy | None:
    """Count the labels that are right; None where no output gives one class a sample.

    The first output does that is whole numbers, one a sample, or a row of scores a sample.
    """
    import numpy as np

    for array in outputs.values():
        picked = _picked(array)
        if picked is not None and picked.size == len(labels):
            right = int((picked.ravel() == np.asarray(labels)).sum())
            return accuracy_of(right, len(labels))
    return None


def accuracy_of(right: int, samples: int) -> Accuracy:
    """Return an accuracy with its 95 % interval."""
    low, high = wilson_interval(right, samples)
    return Accuracy(metric="top-1", right=right, samples=samples, low=low, high=high)


def wilson_interval(
    right: int, samples: int, confidence: float = _CONFIDENCE
) -> tuple[float, float]:
    """Return the interval of a part (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    part, square = right / samples, z * z / samples
    middle = (part + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(part * (1 - part) / samples + square / (4 * samples))
    return max(0.0, middle - half), min(1.0, middle + half)


def _cosines(left: "Array", right: "Array") -> list[float]:
    import numpy as np

    found = []
    for a, b in zip(left, right, strict=True):
        odd = ~np.isfinite(a)
        if not np.isfinite(b[~odd]).all():
            found.append(-1.0)
            continue
        # Masks of attention are infinite in both; what both lack says nothing of the rest.
        a, b = np.where(odd, 0.0, a), np.where(odd, 0.0, b)  # noqa: PLW2901 - cleaned
        sizes = float(np.linalg.norm(a)), float(np.linalg.norm(b))
        if 0.0 in sizes:
            found.append(1.0 if sizes == (0.0, 0.0) else 0.0)
        else:
            cosine = float(np.dot(a / sizes[0], b / sizes[1]))
            found.append(max(-1.0, min(1.0, cosine)))
    return found


def _picked(array: "Array") -> "Array | None":
    """Return what an output picks: whole numbers themselves, of rows the largest entry's place."""
    if array.dtype.kind in "iub":
        return array
    if array.ndim >= 2 and array.shape[-1] >= 2:
        picked: Array = array.argmax(-1)
        return picked
    return None
