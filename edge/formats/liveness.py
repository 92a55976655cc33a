"""The highest sum of live tensors when operators run one after the other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operator: what it reads and writes, and what it needs only while it runs.

    `extra_bytes` is the peak of the subgraph that it runs. `alias_of` names the tensor whose
    memory its first output shares, for an operator that only relabels.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    extra_bytes: int | None = 0
    alias_of: str | None = None


def peak_bytes(
    steps: Sequence[Step],
    sizes: Mapping[str, int | None],
    inputs: Iterable[str],
    outputs: Iterable[str],
) -> int | None:
    """Return the peak in bytes, or None where a size is not known.

    `sizes` has every activation (constants are no activations, and reading them costs nothing
    here). `inputs` are live from the start, `outputs` to the end.
    """
    owner: dict[str, str] = {}
    for step in steps:
        if step.alias_of is not None and step.writes:
            owner[step.writes[0]] = owner.get(step.alias_of, step.alias_of)
    last_use = {owner.get(name, name): -1 for name in inputs}
    for index, step in enumerate(steps):
        for name in (*step.reads, *step.writes):
            last_use[owner.get(name, name)] = index
    for name in outputs:
        last_use[owner.get(name, name)] = len(steps)

    ends: dict[int, list[str]] = {}
    for name, index in last_use.items():
        ends.setdefault(index, []).append(name)
    live = {name for name in inputs if name in sizes}
    total = _sum(sizes[name] for name in live)
    peak = total
    for index, step in enumerate(steps):
        if total is None or peak is None or step.extra_bytes is None:
            return None
        for name in {owner.get(name, name) for name in step.writes} - live:
            size = sizes.get(name, 0)
            if size is None:
                return None
            live.add(name)
            total += size
        peak = max(peak, total + step.extra_bytes)
        for name in ends.get(index, ()):
            if name in live:
                live.discard(name)
                total -= sizes.get(name) or 0
    return peak


def _sum(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total
