"""Which channels of an ONNX graph can only be removed together, and where they stand in weights.

Every channel that a layer makes has a number (an id). Walking along the graph, each tensor gets the
ids of its channels, along one axis; operators tie ids (a residual Add), repeat them (Flatten), put
them behind each other (Concat), or keep them for good where nothing is known of how to remove them.
The idea is Torch-Pruning's dependency graph (Fang et al., DepGraph, CVPR 2023), on ONNX operators
and by single channels, so that offsets need no rules of their own.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx

Array = np.ndarray[Any, Any]
Role = Literal["makes", "uses", "with"]
ONNX_DOMAINS: Final = ("", "ai.onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The ids of a tensor's channels along `axis`."""

    axis: int
    ids: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A constant operand (node, slot) with the ids along its `axis`.

    It makes channels (filters), uses them (a filter's inputs), or goes with them (a factor).
    """

    node: int
    slot: int
    axis: int
    ids: Array
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """A number of channels that a node states: in `group`, or in `entry` of a constant operand."""

    node: int
    kind: Literal["group", "split", "entry"]
    ids: tuple[Array, ...]
    slot: int = 1
    entry: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A node that multiplies: its multiply-accumulates with all the channels that it has now."""

    node: int
    macs: int
    uses: Array | None
    makes: Array | None

    def macs_without(self, gone: Array) -> float:
        """Return the multiply-accumulates without the ids for which `gone` is true."""
        left = float(self.macs)
        for ids in (self.uses, self.makes):
            if ids is not None:
                left *= 1.0 - float(gone[ids].mean())
        return left


class Ties:
    """Ids, which of them belong together, and which must stay."""

    def __init__(self) -> None:
        """Start without any."""
        self._parents: list[int] = []
        self._kept: list[int] = []

    def fresh(self, count: int) -> Array:
        """Return new ids, tied to nothing."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def tie(self, one: Array, other: Array) -> None:
        """Tie the ids of two tensors pairwise."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            roots = self._root(a), self._root(b)
            self._parents[max(roots)] = min(roots)

    def keep(self, ids: Array) -> None:
        """Make sure that these stay, and what they are tied to."""
        self._kept.extend(ids.tolist())

    def roots(self) -> Array:
        """Return for each id the one that stands for all that it is tied to."""
        return np.array([self._root(i) for i in range(len(self._parents))], np.int64)

    def kept(self) -> Array:
        """Tell for each id whether it must stay."""
        roots = self.roots()
        stay = np.zeros(len(roots), bool)
        stay[roots[self._kept]] = True
        return stay[roots]

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number


@dataclass(slots=True, kw_only=True)
class Channels:
    """What is known of a graph's channels; filled by walking over its nodes.

    `barriers` counts by operator type the tensors whose channels it does not let go.
    """

    model: "onnx.ModelProto"
    shapes: "Mapping[str, tuple[int, ...]]"
    weights: "Mapping[str, Callable[[], Array]]"
    ties: Ties = field(default_factory=Ties)
    tracks: dict[str, Track] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    rewrites: list[Rewrite] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    barriers: Counter[str] = field(default_factory=Counter)

    def constant(self, name: str) -> Array | None:
        """Return a constant's values, None where it is none."""
        read = self.weights.get(name)
        return None if read is None else read()

    def put(self, name: str, axis: int, ids: Array) -> None:
        """Say which ids a tensor has; a tensor that is not as wide as they are keeps them."""
        shape = self.shapes.get(name)
        if shape is None or not 0 <= axis < len(shape) or shape[axis] != len(ids):
            self.ties.keep(ids)
        else:
            self.tracks[name] = Track(axis=axis, ids=ids)

    def bar(self, name: str, why: str) -> None:
        """Keep the channels of a tensor for good."""
        track = self.tracks.get(name)
        if track is not None:
            self.ties.keep(track.ids)
            self.barriers[why] += 1


def opset_of(model: "onnx.ModelProto") -> int:
    """Return the version of ONNX's own operators that a model imports."""
    return max((o.version for o in model.opset_import if o.domain in ONNX_DOMAINS), default=1)


def find_channels(
    model: "onnx.ModelProto",
    shapes: "Mapping[str, tuple[int, ...]]",
    weights: "Mapping[str, Callable[[], Array]]",
) -> Channels:
    """Walk over a graph whose tensors have `shapes`, its constants folded and nodes sorted."""
    from edge.passes._channel_rules import RULES

    found = Channels(model=model, shapes=shapes, weights=weights)
    for index, node in enumerate(model.graph.node):
        rule = RULES.get(node.op_type) if node.domain in ONNX_DOMAINS else None
        known = all(name in shapes for name in (*node.input, *node.output) if name)
        if rule is not None and known and not any(a.HasField("g") for a in node.attribute):
            rule(found, index, node)
        else:
            for name in _read(node):
                found.bar(name, node.op_type)
    for output in model.graph.output:
        found.bar(output.name, "an output")
    return found


def _read(node: "onnx.NodeProto") -> set[str]:
    names = set(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                names |= _read(inner)
            names.update(value.name for value in graph.output)
    return names
