"""Resizing that smooths what it makes smaller, as Pillow does: most training code resizes with it."""

from typing import Literal

from edge.backends.protocol import Array

# Half the width of a filter in pixels of the smaller grid (Pillow, src/libImaging/Resample.c).
_REACH = {"linear": 1.0, "cubic": 2.0}
_A = -0.5


def resampled(pixels: Array, height: int, width: int, kind: Literal["linear", "cubic"]) -> Array:
    """Return 8-bit pixels at another size, across first and then down, rounded in between.

    It is what Pillow's BILINEAR and BICUBIC do, to a difference of 1 of 255.
    """
    import numpy as np

    grid = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32)
    across = _rounded(
        np.einsum("hwc,vw->hvc", grid, _weights(grid.shape[1], width, kind), optimize=True)
    )
    down = _rounded(
        np.einsum("hwc,vh->vwc", across, _weights(grid.shape[0], height, kind), optimize=True)
    )
    return down.astype(np.uint8).reshape(height, width, *pixels.shape[2:])


def _rounded(values: Array) -> Array:
    import numpy as np

    rounded: Array = np.clip(np.floor(values + 0.5), 0, 255)
    return rounded


def _weights(before: int, after: int, kind: Literal["linear", "cubic"]) -> Array:
    """Return, for each pixel of the result, the weights of those before; each row adds up to 1."""
    import numpy as np

    step = before / after
    scale = max(step, 1.0)
    reach = _REACH[kind] * scale
    centres = (np.arange(after) + 0.5) * step
    first = np.maximum(0, (centres - reach + 0.5).astype(np.int64))[:, None]
    last = np.minimum(before, (centres + reach + 0.5).astype(np.int64))[:, None]
    places = np.arange(before)[None, :]
    away = np.abs((places + 0.5 - centres[:, None]) / scale)
    if kind == "linear":
        weights = np.maximum(0.0, 1.0 - away)
    else:
        # Keys, "Cubic convolution interpolation" (1981), with a of -0.5.
        near = ((_A + 2) * away - (_A + 3)) * away * away + 1
        far = ((away - 5) * away + 8) * _A * away - 4 * _A
        weights = np.where(away < 1, near, np.where(away < 2, far, 0.0))
    weights = np.where((places >= first) & (places < last), weights, 0.0)
    whole: Array = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return whole
