"""What both readers produce for every operator, and what follows for the whole model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edge.records.model import OperatorCost, Precision

# How an operator calculates; "mixed" is integer products between floating point activations.
Arithmetic = Literal["fp32", "fp16", "int8", "mixed"]

# One kind of arithmetic gives the model its name if it has at least this share of the work.
_MAJORITY = 0.9


@dataclass(frozen=True, slots=True)
class Counted:
    """One operator's cost; `arithmetic` is None for operators without multiply-accumulates."""

    cost: OperatorCost
    arithmetic: Arithmetic | None = None


def with_calls(counted: Sequence[Counted], factor: int | None) -> list[Counted]:
    """Return the operators of a subgraph that runs `factor` times; None: how often is unknown."""
    return [
        Counted(replace(c.cost, calls=_product(c.cost.calls, factor)), c.arithmetic)
        for c in counted
    ]


def _product(a: int | None, b: int | None) -> int | None:
    if a == 0 or b == 0:
        return 0
    return None if a is None or b is None else a * b


def total_macs(counted: Sequence[Counted]) -> int | None:
    """Return the multiply-accumulates of all calls; None if some are unknown."""
    total = 0
    for c in counted:
        done = _product(c.cost.macs, c.cost.calls)
        if done is None:
            return None
        total += done
    return total


def costlier(branches: Sequence[Sequence[Counted]]) -> int | None:
    """Return which branch of an If costs more; None where there is no branch.

    By multiply-accumulates, then by bytes, then by operators; an unknown cost is the highest.
    """
    if not branches:
        return None
    return max(range(len(branches)), key=lambda i: _weight(branches[i]))


def _weight(counted: Sequence[Counted]) -> tuple[float, float, int]:
    macs = total_macs(counted)
    moved = [_product(c.cost.moved_bytes, c.cost.calls) for c in counted]
    unknown = float("inf")
    return (
        unknown if macs is None else macs,
        unknown if None in moved else sum(m for m in moved if m is not None),
        len(counted),
    )


def precision_of(counted: Sequence[Counted], default: Precision) -> Precision:
    """Return the arithmetic of nearly all multiply-accumulates, else "mixed"."""
    shares: Counter[Arithmetic] = Counter()
    known = total_macs(counted) is not None
    for c in counted:
        if c.arithmetic is not None and c.cost.calls != 0:
            macs = (c.cost.macs or 0) * (c.cost.calls or 1)
            shares[c.arithmetic] += macs if known else 1
    total = sum(shares.values())
    if total == 0:
        return default
    name, most = shares.most_common(1)[0]
    return name if most >= _MAJORITY * total else "mixed"
