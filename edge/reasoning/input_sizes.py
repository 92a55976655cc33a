"""Which smaller inputs of a model are worth a try."""

from typing import Final

from edge.records.tensor import TensorSpec

# Networks halve pictures five times as a rule; a side that 32 does not divide is padded somewhere.
_STRIDE: Final = 32
_SHORTEST_SEQUENCE: Final = 16
_CHANNELS: Final = (1, 3, 4)


def smaller_sizes(spec: TensorSpec, given: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Return smaller shapes than `given` for an input, the largest first; none where none is known.

    Pictures (four axes, one of them 1, 3 or 4 channels) get smaller in steps of 32 down to half,
    both sides by the same part, and only the width where the height is too low to be halved, as in
    lines of text. Sequences (token ids, batch by length) get the powers of two below, down to a
    quarter and not below 16. What the model fixes may still be refused when it is made.
    """
    if len(given) == 4 and spec.dtype in ("float32", "float16", "uint8", "int8"):
        sides = _sides(given)
        return () if sides is None else _pictures(given, *sides)
    if len(given) == 2 and spec.dtype in ("int64", "int32"):
        return _sequences(given)
    return ()


def _sides(given: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the axes of height and width."""
    if given[1] in _CHANNELS:
        return 2, 3
    return (1, 2) if given[3] in _CHANNELS else None


def _pictures(given: tuple[int, ...], high: int, wide: int) -> tuple[tuple[int, ...], ...]:
    height, width = given[high], given[wide]
    low = height < 2 * _STRIDE
    longest = width if low else max(height, width)
    shapes = []
    for length in range((longest - 1) // _STRIDE * _STRIDE, 0, -_STRIDE):
        if 2 * length < longest:
            break
        shape = list(given)
        if not low:
            shape[high] = _scaled(height, length / longest)
        shape[wide] = length if low else _scaled(width, length / longest)
        shapes.append(tuple(shape))
    return tuple(dict.fromkeys(shape for shape in shapes if shape != given))


def _scaled(side: int, part: float) -> int:
    """Return the nearest multiple of the stride that is not longer than the side was."""
    near = round(side * part / _STRIDE) * _STRIDE
    return min(max(_STRIDE, near), max(_STRIDE, side // _STRIDE * _STRIDE))


def _sequences(given: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    batch, length = given
    powers = [1 << bits for bits in range(length.bit_length(), 0, -1)]
    least = max(_SHORTEST_SEQUENCE, -(-length // 4))
    return tuple((batch, power) for power in powers if least <= power < length)
