"""Scales and ticks: from values to positions on the page, and the round values to label."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

_ROUND_STEPS = (1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Maps [low, high] to positions [start, end], linearly or by logarithm."""

    kind: Literal["linear", "log"]
    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        """Require a domain of positive extent, above 0 where logarithms are taken."""
        if not self.low < self.high:
            raise ValueError(f"empty domain: {self.low} to {self.high}")
        if self.kind == "log" and self.low <= 0:
            raise ValueError(f"no logarithm of {self.low}")

    def __call__(self, value: float) -> float:
        """Return the position of a value; a value outside the domain lands on its end."""
        inside = min(max(value, self.low), self.high)
        if self.kind == "log":
            fraction = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            fraction = (inside - self.low) / (self.high - self.low)
        return self.start + fraction * (self.end - self.start)

    def ticks(self, most: int) -> tuple[float, ...]:
        """Return at most `most` round values inside the domain, ascending."""
        if self.kind == "log":
            return log_ticks(self.low, self.high, most)
        return linear_ticks(self.low, self.high, most)


def log_domain(values: Iterable[float], factor: float = 1.25) -> tuple[float, float] | None:
    """Return a domain with some room around the positive values, or None if there are none."""
    known = [v for v in values if math.isfinite(v) and v > 0]
    if not known:
        return None
    return min(known) / factor, max(known) * factor


def log_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return at most `most` (3 or more) round values in [low, high], on a logarithmic axis.

    Decades if there are enough of them, 1-2-5 steps in a narrow domain, every n-th decade in a
    wide one; linear ticks where the domain is narrower than that.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = [float(f"1e{k}") for k in range(first, last + 1)]
    inside = [d for d in decades if low <= d <= high]
    if len(inside) > most:
        return tuple(inside[:: math.ceil(len(inside) / most)])
    fine = [d * step for d in decades for step in _ROUND_STEPS if low <= d * step <= high]
    if len(fine) <= most and len(fine) >= 2:
        return tuple(fine)
    return tuple(inside) if len(inside) >= 2 else linear_ticks(low, high, most)


def linear_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return at most `most` (3 or more) multiples of 1, 2 or 5 times a power of ten."""
    exponent = math.floor(math.log10((high - low) / most))
    for step in (s * float(f"1e{exponent}") for s in (*_ROUND_STEPS, 10.0, 20.0)):
        first, last = math.ceil(low / step), math.floor(high / step)
        ticks = [k * step for k in range(first, last + 1)] if last - first < most else []
        if ticks and all(low <= t <= high for t in ticks):
            return tuple(ticks)
    return ()
