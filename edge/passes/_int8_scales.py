"""Scales and zero points of 8-bit integers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

# Below it a scale is no normal number of 32 bits.
_LEAST_SCALE: Final = 1.1754944e-38


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Form:
    """How numbers become 8-bit integers; `reduce_range` keeps weights to 7 bits."""

    activations: str = "uint8"
    symmetric: bool = False
    per_channel: bool = True
    reduce_range: bool = False


def activation_scale(low: float, high: float, form: Int8Form) -> tuple[float, int]:
    """Return the scale and the zero point of an activation whose values lie in [low, high].

    Zero is always a value of its own. Symmetric: the zero point is in the middle, or, where no
    value is negative, the lowest.
    """
    import numpy as np

    low, high = min(low, 0.0), max(high, 0.0)
    least = 0 if form.activations == "uint8" else -128
    if form.symmetric and low < 0:
        scale = float(np.float32(max(-low, high) / 127))
        return (scale, least + 128) if scale >= _LEAST_SCALE else (1.0, 0)
    exact = (high - low) / 255
    if exact < _LEAST_SCALE:
        return 1.0, 0
    # As the library rounds: half to even, of the exact scale.
    return float(np.float32(exact)), int(np.round(least - low / exact))


def shifted_scale(low: float, high: float, shift: float, form: Int8Form) -> tuple[float, int]:
    """Return a scale of which `shift` is a whole multiple, and a zero point for [low, high].

    The zero point of what is `shift` larger is an 8-bit number as well.
    """
    low, high = min(low, 0.0, -shift), max(high, 0.0, -shift)
    exact = (high - low) / 255
    # Rounding of both ends takes up to one step.
    scale = abs(shift) / max(1, int(abs(shift) / (exact * 255 / 254)))
    least = 0 if form.activations == "uint8" else -128
    lowest = round(-low / scale)
    steps = round(shift / scale)
    lowest = max(0, steps, min(lowest, 255, 255 + steps))
    return scale, least + lowest


def weight_scales(
    weight: "np.ndarray[Any, Any]", axis: int | None, *, reduce_range: bool
) -> "np.ndarray[Any, Any]":
    """Return the scales of symmetric int8 weights, one for each place along `axis` or one alone."""
    import numpy as np

    others = None if axis is None else tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.abs(weight).max(axis=others).astype(np.float64)
    scales = largest / (64 if reduce_range else 127)
    return np.where(scales < _LEAST_SCALE, 1.0, scales).astype(np.float32)
