"""Which channels to give up: what each brings to the next layers, and what it costs."""

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.passes._activations import each_run, open_session, run
from edge.passes._channel_cut import silenced
from edge.passes._channels import Array, Channels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.passes._activations import Feeds

# A quarter of a block's channels shows how much the outputs depend on it.
_TRIED_PART = 0.25
_TRIED_SAMPLES = 16
# A channel that calibration data leaves still may matter on other data: each counts at least half
# as lively as its layer's mean. On EfficientNet-Lite0 with 13 pictures unlike those it is judged on
# the outputs' mean cosine went from 0.83 to 0.93 (a tenth of the work gone) and 0.70 to 0.82 (a
# fifth); one of four rules tried on the same 20 pictures, so the figures flatter it.
_LEAST_VARIANCE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Mean and variance of each channel of a layer's input, over samples and places."""

    mean: Array
    variance: Array


@dataclass(slots=True, kw_only=True)
class Block:
    """Channels that stand in the same weights: roots, the cheapest to lose first."""

    roots: Array
    losses: Array
    layers: tuple[int, ...]
    taken: int = 0

    def step(self, round_to: int, least: int, most_part: float) -> int:
        """Return how many to take next so that a multiple of `round_to` stays; 0: no more."""
        left = len(self.roots) - self.taken
        count = left % round_to or round_to
        floor = max(least, int(np.ceil(len(self.roots) * (1.0 - most_part))))
        return count if left - count >= floor else 0


def statistics_of(
    found: Channels, samples: "Sequence[Feeds]", threads: int
) -> dict[int, Statistics]:
    """Run the model and return by node what the inputs of layers are like, where they have ids."""
    nodes = {part.node: found.model.graph.node[part.node] for part in _uses(found)}
    names = {index: node.input[0] for index, node in nodes.items()}
    sums: dict[str, list[Any]] = {name: [0, 0.0, 0.0] for name in names.values()}
    axes = {node.input[0]: channel_axis(node.op_type) for node in nodes.values()}
    for tensors in each_run(found.model, list(sums), samples, threads):
        for name, values in tensors.items():
            rows = np.moveaxis(values, axes[name], -1).astype(np.float64)
            rows = rows.reshape(-1, rows.shape[-1])
            total = sums[name]
            total[0] += len(rows)
            total[1] = total[1] + rows.sum(axis=0)
            total[2] = total[2] + (rows**2).sum(axis=0)
    known = {}
    for index, name in names.items():
        count, total_sum, squares = sums[name]
        mean = total_sum / count
        variance = np.maximum(squares / count - mean**2, 0.0)
        known[index] = Statistics(mean=mean, variance=variance)
    return known


def channel_axis(op_type: str) -> int:
    """Return on which axis a layer's input and output have their channels."""
    return 1 if op_type.startswith("Conv") else -1


def losses_by_magnitude(found: Channels) -> Array:
    """Return for each root its part of the weights' magnitude, the mean over the weights it is in.

    The L1 norm of filters (Li et al., Pruning Filters for Efficient ConvNets, 2017), over all that
    is tied, as DepGraph does.
    """
    roots = found.ties.roots()
    losses, seen = np.zeros(len(roots)), np.zeros(len(roots))
    for part in found.slices:
        weight = found.constant(found.model.graph.node[part.node].input[part.slot])
        if weight is None or weight.ndim < 2:
            continue
        sizes = _per_entry(np.abs(weight.astype(np.float64)), part.axis)
        np.add.at(losses, roots[part.ids], sizes / max(sizes.sum(), 1e-30))
        seen[np.unique(roots[part.ids])] += 1
    mean: Array = losses / np.maximum(seen, 1)
    return mean


def losses_by_activation(found: Channels, known: "Mapping[int, Statistics]") -> Array:
    """Return for each root the part of the next layers' changing input that it brings.

    It is the variance of the channel times the squares of the weights on it: its mean is not lost,
    it goes into the bias.
    """
    roots = found.ties.roots()
    losses = np.zeros(len(roots))
    for part in _uses(found):
        weight = found.constant(found.model.graph.node[part.node].input[part.slot])
        if weight is not None:
            energy = _per_entry(weight.astype(np.float64) ** 2, part.axis)
            variance = known[part.node].variance
            energy = energy * np.maximum(variance, _LEAST_VARIANCE * variance.mean())
            np.add.at(losses, roots[part.ids], energy / max(energy.sum(), 1e-30))
    return losses


def blocks_of(found: Channels, losses: Array) -> list[Block]:
    """Return the channels that may go, by where they stand; those that save nothing are left."""
    roots, kept = found.ties.roots(), found.ties.kept()
    places: dict[int, list[int]] = defaultdict(list)
    for position, part in enumerate(found.slices):
        for root in np.unique(roots[part.ids[~kept[part.ids]]]).tolist():
            places[root].append(position)
    same: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for root, where in places.items():
        same[tuple(where)].append(root)
    blocks = []
    for members in same.values():
        gone = np.isin(roots, members)
        touched = tuple(
            number
            for number, layer in enumerate(found.layers)
            if layer.macs and layer.macs_without(gone) < layer.macs
        )
        if touched:
            order = np.array(sorted(members, key=lambda root: (losses[root], root)))
            blocks.append(Block(roots=order, losses=losses[order], layers=touched))
    return blocks


def weigh(
    found: Channels,
    blocks: "Sequence[Block]",
    known: "Mapping[int, Statistics]",
    samples: "Sequence[Feeds]",
    threads: int,
) -> None:
    """Scale the losses of each block to what losing some of it really does to the outputs."""
    roots = found.ties.roots()
    means = {node: each.mean for node, each in known.items()}
    few = samples[:_TRIED_SAMPLES]
    before = _outputs(found.model, few, threads)
    for block in blocks:
        count = max(1, int(len(block.roots) * _TRIED_PART))
        gone = np.isin(roots, block.roots[:count])
        after = _outputs(silenced(found, gone, means), few, threads)
        error = float(np.mean([_far(a, b) for a, b in zip(before, after, strict=True)]))
        block.losses = block.losses * (error / max(float(block.losses[:count].sum()), 1e-30))


def choose(
    found: Channels,
    blocks: "Sequence[Block]",
    *,
    ratio: float,
    round_to: int,
    least: int,
    most_part: float,
    even: bool,
) -> Array:
    """Return for each id whether it goes: step by step where the least is lost for a MAC saved.

    `even`: the same part of every layer, where nothing tells what a layer means to the outputs.
    """
    roots = found.ties.roots()
    gone = np.zeros(len(roots), bool)
    now = np.array([float(layer.macs) for layer in found.layers])
    goal = now.sum() * (1.0 - ratio)
    prices: dict[int, tuple[float, Array]] = {}
    while now.sum() > goal:
        for number, block in enumerate(blocks):
            count = block.step(round_to, least, most_part)
            if number in prices or not count:
                continue
            members = slice(block.taken, block.taken + count)
            without = gone | np.isin(roots, block.roots[members])
            saved = sum(now[i] - found.layers[i].macs_without(without) for i in block.layers)
            price = float(block.losses[members].sum()) / max(saved, 1e-9)
            part = (block.taken + count) / len(block.roots)
            prices[number] = part if even else price, without
        if not prices:
            break
        best = min(prices, key=lambda number: prices[number][0])
        block = blocks[best]
        gone = prices[best][1]
        block.taken += block.step(round_to, least, most_part)
        for i in block.layers:
            now[i] = found.layers[i].macs_without(gone)
        # `without` of the others is of before this step.
        prices.clear()
    return gone


def _outputs(model: Any, samples: "Sequence[Feeds]", threads: int) -> list[list[Array]]:
    session = open_session(model, threads)
    return [run(session, feeds) for feeds in samples]


def _far(one: "Sequence[Array]", other: "Sequence[Array]") -> float:
    """Return the squared distance of outputs, as a part of the squares of the first."""
    parts = []
    for a, b in zip(one, other, strict=True):
        if a.dtype.kind == "f" and a.shape == b.shape:
            wide = a.astype(np.float64)
            parts.append(float(((wide - b) ** 2).sum() / max((wide**2).sum(), 1e-30)))
    return max(parts, default=0.0)


def _per_entry(values: Array, axis: int) -> Array:
    others = tuple(other for other in range(values.ndim) if other != axis)
    return np.asarray(values.sum(axis=others))


def _uses(found: Channels) -> list[Any]:
    return [part for part in found.slices if part.role == "uses"]
