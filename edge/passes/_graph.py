"""ONNX files as the passes read, change and write them, weights and all."""

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.adapters.files import host_error
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import onnx

# A protobuf holds less than 2 GiB; some room is left for what later passes add.
LARGEST_SINGLE_BYTES: Final = 1_500_000_000


def read_graph(path: Path, *, weights: bool = True) -> "onnx.ModelProto":
    """Read an ONNX file, its own functions inlined; without `weights` external data stay outside.

    Raises:
        ModelError: it is no ONNX file, or damaged, or its external data are not plain files beside
            it.
    """
    import onnx
    import onnx.inliner
    from google.protobuf.message import DecodeError

    from edge.formats.onnx_external import check_external
    from edge.formats.source import format_of, open_model

    with open_model(path) as file:
        if format_of(file) != "onnx":
            raise ModelError("not an ONNX file, and this pass is for ONNX files", where=path)
    try:
        model = onnx.load(path, load_external_data=False)
        check_external(model, path.parent)
        if weights:
            onnx.load_external_data_for_model(model, str(path.parent))
        return onnx.inliner.inline_local_functions(model) if model.functions else model
    except (DecodeError, onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise ModelError("the ONNX file is damaged", where=path) from error


def write_graph(model: "onnx.ModelProto", folder: Path, name: str) -> str:
    """Write a model into `folder` and return its file's name; large weights go to `name`.data.

    The model is not to be used afterwards: its weights may have left it.

    Raises:
        HostError: it cannot be written.
    """
    import onnx

    large = model.ByteSize() > LARGEST_SINGLE_BYTES
    data = f"{name}.data"
    try:
        with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as staged:
            onnx.save_model(
                model, str(Path(staged, name)), save_as_external_data=large, location=data
            )
            # The weights first: where there is a model, it is whole.
            for part in (data, name) if large else (name,):
                Path(staged, part).replace(folder / part)
    except OSError as error:
        raise host_error(error, folder / name) from error
    return name


def constants(model: "onnx.ModelProto") -> "dict[str, Callable[[], np.ndarray[Any, Any]]]":
    """Return what reads each constant of the main graph, initialisers and Constant nodes alike."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if value is not None:
                tensors[node.output[0]] = value
    return {name: functools.partial(numpy_helper.to_array, t) for name, t in tensors.items()}


def add_constant(model: "onnx.ModelProto", stem: str, value: "np.ndarray[Any, Any]") -> str:
    """Add an initialiser and return its name, `stem` or what is still free."""
    from onnx import numpy_helper

    name = free_name(model, stem)
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def free_name(model: "onnx.ModelProto", stem: str) -> str:
    """Return `stem`, with a number behind it where a value or node of any graph has that name."""
    taken = _names(model.graph)
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def replace_node(
    model: "onnx.ModelProto", old: "onnx.NodeProto", new: "Sequence[onnx.NodeProto]"
) -> None:
    """Put `new` where `old` stands in the main graph; none removes it."""
    nodes = model.graph.node
    place = next(index for index, node in enumerate(nodes) if node is old or node == old)
    rest = list(nodes[place + 1 :])
    del nodes[place:]
    nodes.extend([*new, *rest])


def drop_unused(model: "onnx.ModelProto") -> None:
    """Remove the nodes and initialisers of the main graph that no output of it needs."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_reads(node))
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(reversed(kept))
    # An initialiser that is an input as well is its default: without it, it had to be given.
    needed.update(value.name for value in graph.input)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    if len(weights) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(weights)


def all_nodes(graph: "onnx.GraphProto") -> "Iterator[onnx.NodeProto]":
    """Walk over the nodes of a graph and of its subgraphs."""
    for node in graph.node:
        yield node
        for inner in _subgraphs(node):
            yield from all_nodes(inner)


def _reads(node: "onnx.NodeProto") -> "Iterator[str]":
    """Walk over the names that a node reads, those of its subgraphs included."""
    yield from filter(None, node.input)
    for graph in _subgraphs(node):
        for inner in graph.node:
            yield from _reads(inner)
        yield from (value.name for value in graph.output)


def _subgraphs(node: "onnx.NodeProto") -> "Iterator[onnx.GraphProto]":
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _names(graph: "onnx.GraphProto") -> set[str]:
    taken = {
        value.name for part in (graph.input, graph.output, graph.initializer) for value in part
    }
    for node in graph.node:
        taken.update((node.name, *node.input, *node.output))
        for inner in _subgraphs(node):
            taken |= _names(inner)
    return taken
