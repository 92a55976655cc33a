"""What is known of the values of an ONNX graph."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx

from edge.formats.onnx_fold import Array
from edge.formats.onnx_types import Shape, shape_of


@dataclass(slots=True)
class Scope:
    """One graph with what is known of its values; an inner graph sees its parent's.

    `values` holds small contents, `constants` the names that no input reaches, `children` the
    subgraphs by the node's position and the attribute's name, `trips` how often a Loop's or
    Scan's body runs, `taken` the branch of an If whose condition is known, `refused` the
    operators that cannot take the (fully known) shapes which reach them.
    """

    graph: onnx.GraphProto
    parent: "Scope | None"
    types: dict[str, onnx.TypeProto] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    weights: dict[str, onnx.TensorProto] = field(default_factory=dict)
    children: dict[int, dict[str, "Scope"]] = field(default_factory=dict)
    trips: dict[int, int | None] = field(default_factory=dict)
    taken: dict[int, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def type(self, name: str) -> onnx.TypeProto | None:
        """Return a value's type here or in the graphs around."""
        for scope in self.around():
            if name in scope.types:
                return scope.types[name]
        return None

    def shape(self, name: str) -> Shape | None:
        """Return a value's shape; None where not even the rank is known."""
        return shape_of(self.type(name))

    def value(self, name: str) -> Array | None:
        """Return a value's content, if it is small and known."""
        for scope in self.around():
            if name in scope.types:
                return scope.values.get(name)
        return None

    def is_constant(self, name: str) -> bool:
        """Whether no input of the model reaches the value."""
        for scope in self.around():
            if name in scope.types:
                return name in scope.constants
        return False

    def cannot_run(self) -> bool:
        """Whether an operator here, or in a subgraph that is sure to run, refuses its shapes."""
        if self.refused:
            return True
        for index, inner in self.children.items():
            taken = self.taken.get(index)
            sure = [inner[taken]] if taken is not None else list(inner.values())
            if sure and all(child.cannot_run() for child in sure):
                return True
        return False

    def around(self) -> Iterator["Scope"]:
        """Walk from this graph outwards."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent
