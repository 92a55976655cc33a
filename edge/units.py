"""Rounding and units, for printing only; every other place keeps exact figures.

Part of the device slice: Python 3.8, standard library only.
"""

from typing import Optional

UNKNOWN = "unknown"
_NS_STEPS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))
_BYTE_STEPS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_COUNT_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def three_digits(value: float) -> str:
    """Format a number with three significant digits and no exponent: 1234, 12.3, 0.0123."""
    if value == 0:
        return "0"
    text = f"{value:.3g}"
    return f"{value:.0f}" if "e" in text and abs(value) >= 1 else text


def format_ns(duration_ns: Optional[float]) -> str:
    """Format a duration given in nanoseconds: `12.3 ms`."""
    if duration_ns is None:
        return UNKNOWN
    for step, unit in _NS_STEPS:
        if abs(duration_ns) >= step:
            return f"{three_digits(duration_ns / step)} {unit}"
    return f"{three_digits(duration_ns)} ns"


def format_bytes(size_bytes: Optional[float]) -> str:
    """Format a size given in bytes, in binary units: `4.0 GiB` is 4 * 2**30 bytes."""
    if size_bytes is None:
        return UNKNOWN
    for step, unit in _BYTE_STEPS:
        if abs(size_bytes) >= step:
            return f"{three_digits(size_bytes / step)} {unit}"
    return f"{size_bytes:.0f} B"


def format_count(count: Optional[float], unit: str = "") -> str:
    """Format a count with a decimal prefix: `385 M` or, with a unit, `385 MMAC`."""
    if count is None:
        return UNKNOWN
    for step, prefix in _COUNT_STEPS:
        if abs(count) >= step:
            return f"{three_digits(count / step)} {prefix}{unit}"
    return f"{three_digits(count)} {unit}".rstrip()


def format_money(amount: Optional[float], currency: str) -> str:
    """Format an amount of money: `12.30 USD`; what would round to nothing is `< 0.01 USD`."""
    if amount is None:
        return UNKNOWN
    return f"< 0.01 {currency}" if 0 < amount < 0.005 else f"{amount:,.2f} {currency}"


def format_shape(shape: "tuple[object, ...]") -> str:
    """Format a tensor shape: `1x3x224x224`; a scalar is `scalar`."""
    return "x".join("?" if d is None else str(d) for d in shape) or "scalar"


def format_duration_s(duration_s: Optional[float]) -> str:
    """Format a duration given in seconds, up to days: `3.2 h`, `450 ms`."""
    if duration_s is None:
        return UNKNOWN
    for step, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if duration_s >= 2 * step:
            return f"{three_digits(duration_s / step)} {unit}"
    return format_ns(duration_s * 1e9)
