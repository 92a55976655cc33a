"""What one kind of data gives to whoever writes it down: samples on demand, and their labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.backends.protocol import Array

Sample = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """`count` samples out of `total`; `make` is called for each in order.

    `make(i)` gives the inputs of one sample, or None where it cannot be read. `labels` are class
    numbers, one a sample, or None. `noun` and `name` say what they are, `notes` how they were made.
    """

    noun: str
    name: str
    total: int
    count: int
    make: Callable[[int], Sample | None]
    labels: tuple[int, ...] | None
    notes: tuple[str, ...]

    def told(self, kept: int) -> str:
        """Say it in words once it is known how many could be read."""
        head = f"{kept} {self.noun} of {self.name}"
        if kept != self.total:
            head = f"{kept} of {self.total} {self.noun} of {self.name}"
        remarks = ["evenly spread"] if self.count < self.total else []
        if kept < self.count:
            remarks.append(f"{self.count - kept} unreadable left out")
        told = f" ({'; '.join(remarks)})" if remarks else ""
        return ", ".join((head + told, *self.notes))


def spread(count: int, most: int | None) -> tuple[int, ...]:
    """Return the positions of at most `most` of `count`, evenly spread, in order."""
    if most is None or most >= count:
        return tuple(range(count))
    return tuple(number * count // most for number in range(most))
