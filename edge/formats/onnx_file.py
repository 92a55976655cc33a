"""An ONNX file as structure: parsed without its weights, functions inlined, external data checked.

The only way into an ONNX file; see docs/adr/0004-reading-onnx-files.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError, Message

from edge.errors import ModelError
from edge.formats.onnx_external import External, check_external
from edge.formats.onnx_skeleton import Skeleton, read_skeleton
from edge.formats.source import ModelFile
from edge.formats.wire import Window

# A function may call functions, so that a small file can stand for billions of operators.
_MOST_NODES = 500_000
# Before it there was one operator set, and it was not named.
_FIRST_IR_WITH_OPSETS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """A parsed file: `proto` has no weights; `opsets` by domain, ONNX's own being ""."""

    proto: onnx.ModelProto
    skeleton: Skeleton
    external: External
    opsets: dict[str, int]


def load_onnx(model: ModelFile) -> OnnxFile:
    """Parse the structure of an ONNX file.

    Raises:
        ModelError: it is damaged, larger than any real model's structure, or its external data
            are not plain files beside it that hold what it says.
    """
    skeleton = read_skeleton(Window(model.descriptor, model.size_bytes))
    try:
        proto = onnx.ModelProto.FromString(skeleton.content)
    except DecodeError as error:
        raise ModelError("the ONNX file is damaged: its graph cannot be parsed") from error
    if not proto.ir_version or not proto.HasField("graph"):
        raise ModelError("not an ONNX model: it has no IR version or no graph")
    _require_text(proto)
    if not proto.opset_import and proto.ir_version >= _FIRST_IR_WITH_OPSETS:
        raise ModelError(
            "the ONNX file was cut off: it names no operator set", hint="was it copied completely?"
        )
    external = check_external(proto, model.folder)
    opsets = {_domain(o.domain): int(o.version) for o in proto.opset_import}
    opsets.setdefault("", 1)
    return OnnxFile(
        proto=_without_functions(proto), skeleton=skeleton, external=external, opsets=opsets
    )


def _require_text(message: Message) -> None:
    """Refuse names that are no UTF-8, which the library hands out as bytes.

    Raises:
        ModelError: there is one.
    """
    for field, content in message.ListFields():
        if field.type == field.TYPE_STRING:
            for text in [content] if isinstance(content, str | bytes) else content:
                if not isinstance(text, str):
                    raise ModelError("the ONNX file is damaged: a name in it is no text")
        elif field.type == field.TYPE_MESSAGE:
            for inner in [content] if isinstance(content, Message) else content:
                _require_text(inner)


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _without_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Put the bodies of the model's own functions where they are called."""
    if not proto.functions:
        return proto
    sizes: dict[tuple[str, str, str], int | None] = {}
    bodies = {(f.domain, f.name, f.overload): f for f in proto.functions}
    total = _expanded(proto.graph.node, bodies, sizes)
    if total > _MOST_NODES:
        raise ModelError(f"its functions stand for more than {_MOST_NODES} operators")
    try:
        return onnx.inliner.inline_local_functions(proto)
    except (RuntimeError, ValueError, DecodeError) as error:
        raise ModelError("its functions cannot be inlined") from error


def _expanded(
    nodes: Iterable[onnx.NodeProto],
    bodies: dict[tuple[str, str, str], onnx.FunctionProto],
    sizes: dict[tuple[str, str, str], int | None],
) -> int:
    total = 0
    for node in nodes_within(nodes):
        key = (node.domain, node.op_type, node.overload)
        if key not in bodies:
            total += 1
            continue
        if key not in sizes:
            sizes[key] = None
            # Beyond the limit the exact number no longer matters, but it must not grow without end.
            sizes[key] = min(_MOST_NODES + 1, _expanded(bodies[key].node, bodies, sizes))
        size = sizes[key]
        if size is None:
            raise ModelError(f"its function {node.op_type} calls itself")
        total += size
    return total


def nodes_within(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Walk over nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from nodes_within(graph.node)
