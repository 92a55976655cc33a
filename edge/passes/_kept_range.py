"""How much of a tensor's values an 8-bit range keeps, by method."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import numpy as np

Method = Literal["minmax", "entropy", "percentile"]


METHODS: Final = ("minmax", "entropy", "percentile")


BINS: Final = 2048


# The levels of half an 8-bit range, and how far apart the thresholds are that are tried.
_LEVELS: Final = 128


_STEP: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The smallest and largest value of a tensor, and the counts of equal bins between them."""

    low: float
    high: float
    counts: "np.ndarray[Any, Any] | None" = None


def ranges_of(
    spreads: Mapping[str, Spread], method: Method, percentile: float
) -> dict[str, tuple[float, float]]:
    """Return the range of each tensor that the method keeps; `percentile` is in per cent."""
    return {name: kept_range(spread, method, percentile) for name, spread in spreads.items()}


def kept_range(spread: Spread, method: Method, percentile: float = 99.99) -> tuple[float, float]:
    """Return what a method keeps of [low, high].

    minmax keeps all; percentile cuts the same part of the values off at both ends; entropy cuts
    large magnitudes where the 8-bit levels of the rest tell most of the distribution (least
    Kullback-Leibler divergence: Migacz, "8-bit Inference with TensorRT", GTC 2017).
    """
    counts = spread.counts
    if method == "minmax" or counts is None or spread.high <= spread.low or not counts.sum():
        return spread.low, spread.high
    if method == "entropy":
        limit = _entropy_limit(spread, counts)
        return max(spread.low, -limit), min(spread.high, limit)
    import numpy as np

    part = np.cumsum(counts) / counts.sum()
    cut = (100 - percentile) / 200
    width = (spread.high - spread.low) / len(counts)
    first = int(np.searchsorted(part, cut, side="right"))
    last = int(np.searchsorted(part, 1 - cut, side="left"))
    low, high = spread.low + first * width, spread.low + (last + 1) * width
    return max(spread.low, low), min(spread.high, high)


def _entropy_limit(spread: Spread, counts: Any) -> float:
    """Return the magnitude whose clipping loses least information."""
    import numpy as np

    centres = spread.low + (np.arange(len(counts)) + 0.5) * (spread.high - spread.low) / len(counts)
    largest = max(-spread.low, spread.high)
    places = np.minimum((np.abs(centres) * (BINS / largest)).astype(np.int64), BINS - 1)
    magnitudes = np.bincount(places, counts, BINS)
    # Zeros, as a Relu makes them, are exact at any scale and say nothing about it.
    magnitudes[0] = magnitudes[1]
    best, limit = np.inf, BINS
    for bins in range(_LEVELS, BINS + 1, _STEP):
        loss = _divergence(magnitudes, bins)
        if loss < best:
            best, limit = loss, bins
    return float(limit * largest / BINS)


def _divergence(magnitudes: Any, bins: int) -> float:
    """Return how far `bins` of the histogram, in 128 levels, are from it with the rest clipped."""
    import numpy as np

    real = magnitudes[:bins].copy()
    real[-1] += magnitudes[bins:].sum()
    level = np.arange(bins) * _LEVELS // bins
    inside = magnitudes[:bins]
    filled = real > 0
    total = np.bincount(level, inside, _LEVELS)
    places = np.bincount(level, filled, _LEVELS)
    spread = np.where(filled, (total / np.maximum(places, 1))[level], 0.0)
    if not real.sum() or not spread.sum():
        return float("inf")
    p, q = real / real.sum(), spread / spread.sum()
    # A little everywhere, so that nothing is infinitely unlikely.
    q = np.maximum(q, 1e-9)
    return float(np.sum(p[filled] * np.log(p[filled] / q[filled])))
