"""External data of an ONNX file: which files, and whether they are what they may be.

Runtimes differ in what they accept here (paths out of the folder, links, pointer markers), so
edgekit accepts only the plain case: regular files with one name, beside the model, that hold the
bytes that the model says.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from edge.errors import ModelError, printable
from edge.formats.onnx_types import bytes_of
from edge.formats.source import digest, open_regular

_KEYS = ("location", "offset", "length", "checksum")
# Hashing reads every byte; beyond this the digest is left out and said to be unknown.
_MOST_HASHED_BYTES = 16 << 30
_LONGEST_NUMBER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalFile:
    """A file of weights beside the model; `sha256` None where it was too large to hash."""

    name: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """The files, and how many bytes of them the model's tensors take."""

    files: tuple[ExternalFile, ...]
    tensor_bytes: int


def check_external(proto: onnx.ModelProto, folder: Path) -> External:
    """Check the size of every stored tensor, and every reference to external data.

    Raises:
        ModelError: a size is negative, or a reference is not of the plain kind, or its file is
            missing or too short.
    """
    sizes: dict[str, int] = {}
    total = 0
    for tensor in _tensors(proto):
        if any(size < 0 for size in tensor.dims):
            raise ModelError(f"tensor {printable(tensor.name, 60)!r} has a negative size")
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            total += _check(tensor, folder, sizes)
    hashed = sum(sizes.values()) <= _MOST_HASHED_BYTES
    files = tuple(
        ExternalFile(name=name, size_bytes=size, sha256=_digest(folder / name) if hashed else None)
        for name, size in sorted(sizes.items())
    )
    return External(files=files, tensor_bytes=total)


def _check(tensor: onnx.TensorProto, folder: Path, sizes: dict[str, int]) -> int:
    entries = [(entry.key, entry.value) for entry in tensor.external_data]
    values = dict(entries)
    who = f"external data of tensor {printable(tensor.name, 60)!r}"
    unknown = [key for key in values if key not in _KEYS]
    if unknown or len(values) != len(entries):
        raise ModelError(f"{who}: a key is unknown or given twice")
    name = values.get("location", "")
    if name not in sizes:
        sizes[name] = _size_of(name, folder, who)
    offset = _number(values.get("offset", "0"), who)
    needed = bytes_of(tensor.data_type, tuple(tensor.dims))
    length = _number(values["length"], who) if "length" in values else needed
    if length is None or needed is None:
        raise ModelError(f"{who}: its element type is unknown")
    if length != needed:
        raise ModelError(f"{who}: {length} bytes, but its shape needs {needed}")
    if offset + length > sizes[name]:
        missing = offset + length - sizes[name]
        hint = "was it copied completely?"
        raise ModelError(f"{who}: the file is {missing} bytes too short", where=name, hint=hint)
    return length


def _size_of(name: str, folder: Path, who: str) -> int:
    plain = name not in ("", ".", "..") and not any(c in name for c in "/\\\0")
    if not plain:
        hint = "edgekit reads external data only from a file beside the model"
        raise ModelError(f"{who}: {printable(name, 80)!r} is no plain file name", hint=hint)
    try:
        facts = os.lstat(folder / name)
    except (OSError, ValueError) as error:
        hint = "external data have to lie beside the model"
        raise ModelError(f"{who}: no such file: {printable(name, 80)}", hint=hint) from error
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        hint = "replace it by a copy of the file"
        raise ModelError(f"{who}: {printable(name, 80)} is a link or no regular file", hint=hint)
    return facts.st_size


def _number(text: str, who: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise ModelError(f"{who}: {printable(text, 40)!r} is no number of bytes")
    return int(text)


def _digest(path: Path) -> str:
    descriptor = open_regular(path)
    try:
        return digest(descriptor)
    finally:
        os.close(descriptor)


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _of_graph(proto.graph)
    for function in proto.functions:
        yield from _of_nodes(function.node)
        for attribute in function.attribute_proto:
            yield from _of_attribute(attribute)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from _of_attribute(attribute)


def _of_attribute(attribute: onnx.AttributeProto) -> Iterator[onnx.TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
        yield from (sparse.values, sparse.indices)
    if attribute.HasField("g"):
        yield from _of_graph(attribute.g)
    for graph in attribute.graphs:
        yield from _of_graph(graph)
