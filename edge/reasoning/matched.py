"""How much less accurate one model is than another on the very same samples."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from edge.reasoning.agreement import accuracy
from edge.records.distillation import LostAccuracy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def right_ones(outputs: "Mapping[str, Array]", labels: Sequence[int]) -> tuple[bool, ...]:
    """Return for each sample whether its label is right; empty where no output tells classes."""
    found = []
    for number, label in enumerate(labels):
        one = {name: array[number : number + 1] for name, array in outputs.items()}
        counted = accuracy(one, [label])
        if counted is None:
            return ()
        found.append(counted.right == 1)
    return tuple(found)


def lost_accuracy(teacher: Sequence[bool], student: Sequence[bool]) -> LostAccuracy:
    """Compare right answers to the same questions, with the 95 % interval of the difference.

    It is Wald's with half an answer more in each of the four cells, which holds what it says for
    few samples, too (Agresti and Min 2005, doi:10.1002/sim.1781). The value is the plain one.

    Raises:
        ValueError: there are none, or not as many of the one as of the other.
    """
    if not teacher or len(teacher) != len(student):
        raise ValueError("both answer the same samples, and there is one")
    pairs = list(zip(teacher, student, strict=True))
    lost = sum(t and not s for t, s in pairs)
    won = sum(s and not t for t, s in pairs)
    samples = len(pairs)
    more_lost, more_won, more = lost + 0.5, won + 0.5, samples + 2.0
    middle = (more_lost - more_won) / more
    variance = (more_lost + more_won - (more_lost - more_won) ** 2 / more) / more**2
    half = NormalDist().inv_cdf(0.975) * math.sqrt(variance)
    return LostAccuracy(
        value=(lost - won) / samples,
        low=max(-1.0, middle - half),
        high=min(1.0, middle + half),
    )
