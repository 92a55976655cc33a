"""The smallest memory that a program runs in, found by trying."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

STEP_BYTES: Final = 64 << 20
# Boards are sold with these.
_BOARDS_BYTES: Final = tuple(gigabytes << 30 for gigabytes in (1, 2, 4, 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How it went with some memory; `needs_bytes` is what it is thought to need, once it ran."""

    sufficed: bool
    needs_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Smallest:
    """The smallest memory that was seen to do; `exact` if one step less was seen not to."""

    bytes: int
    exact: bool


def smallest_memory(
    attempt: Callable[[int], Attempt], failed_bytes: int, *, largest_bytes: int, most: int
) -> Smallest | None:
    """Return the smallest memory that does, in whole steps, from at most `most` attempts.

    With `failed_bytes` it was seen not to. First it is doubled until it does; the need that is
    known then tells where to look, and what is in between is halved. None: nothing up to
    `largest_bytes` does, or the attempts were used up before.
    """
    low, high, needs = failed_bytes, None, None
    for _ in range(most):
        if high is None:
            if low >= largest_bytes:
                return None
            size = min(low * 2, largest_bytes)
        elif high - low <= STEP_BYTES:
            break
        else:
            size = _next(low, high, needs)
        tried = attempt(size)
        if tried.sufficed:
            high = size
            needs = tried.needs_bytes if needs is None else needs
        else:
            low = size
    return None if high is None else Smallest(bytes=high, exact=high - low <= STEP_BYTES)


def board_bytes(memory_bytes: int) -> int | None:
    """Return the smallest memory that boards are sold with and that is as much; None: none is."""
    return next((size for size in _BOARDS_BYTES if size >= memory_bytes), None)


def _next(low: int, high: int, needs: int | None) -> int:
    """Return the size to try between one that does not and one that does, both left out."""
    first = _up(low + 1)
    last = _up(high) - STEP_BYTES
    if needs is None:
        middle = _up((low + high) // 2)
    elif _up(needs) <= low:
        # The estimate was too low by little, or it lies below what was seen to fail.
        middle = first
    elif _up(needs) >= high:
        middle = last
    else:
        middle = _up(needs)
    return min(max(middle, first), last)


def _up(size: int) -> int:
    return -(-size // STEP_BYTES) * STEP_BYTES
