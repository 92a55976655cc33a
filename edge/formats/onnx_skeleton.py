"""An ONNX file without its weights: the same messages, with large contents left out.

Walks the file through a small window and copies structure only, so that a file of any size costs
as much memory as its graph. What is left out: the contents of tensors and of attribute lists above
a kibibyte (shape inference needs small ones), documentation, metadata and training graphs.
Field numbers are those of onnx.proto, IR version 13.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.errors import ModelError
from edge.formats.wire import FIXED32, FIXED64, LENGTH, VARINT, Field, Window, WireError

# Larger contents are weights; a shape, an axis list or a scale is far below.
_SMALL_BYTES = 1024
# A graph of a million operators takes about this much.
_LARGEST_SKELETON_BYTES = 128 << 20
_MOST_FIELDS = 5_000_000
# Protocol buffers themselves stop at 100 nested messages; each nested graph takes three.
_DEEPEST_GRAPH = 30
_RUN_BYTES = 1 << 16
_ELEMENT = {
    VARINT: rb"[\x80-\xff]{0,9}[\x00-\x7f]",
    FIXED32: rb"[\x00-\xff]{4}",
    FIXED64: rb"[\x00-\xff]{8}",
}
_ELEMENT_BYTES = {VARINT: 8, FIXED32: 4, FIXED64: 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """The file's structure, and what was left out of it.

    `tensor_bytes` were in the tensors that were emptied; `list_floats` is how many floating
    point numbers, `list_bytes` how many bytes the emptied attribute lists held (a tree ensemble
    keeps its trees there).
    """

    content: bytes
    tensor_bytes: int
    list_floats: int
    list_bytes: int


def read_skeleton(window: Window) -> Skeleton:
    """Copy the structure of the ONNX file behind `window`.

    Raises:
        ModelError: the structure is damaged, or larger than any real model's.
    """
    copier = _Copier(window)
    try:
        content = copier.message(_MODEL, 0, window.size_bytes, 0)
    except WireError as error:
        raise ModelError(f"the ONNX file is damaged or was cut off: {error}") from error
    return Skeleton(
        content=content,
        tensor_bytes=copier.tensor_bytes,
        list_floats=copier.list_floats,
        list_bytes=copier.list_bytes,
    )


@dataclass(frozen=True)
class _Message:
    """How to copy one kind of message: inner messages, what to leave out, and what is data."""

    inner: dict[int, Callable[[], "_Message"]]
    dropped: frozenset[int] = frozenset()
    data: frozenset[int] = frozenset()
    lists: frozenset[int] = frozenset()
    is_graph: bool = False


_TENSOR: Final[_Message] = _Message(
    inner={},
    dropped=frozenset({12, 16}),  # doc_string, metadata_props
    # float, int32, string, int64, raw, double and uint64 data.
    data=frozenset({4, 5, 6, 7, 9, 10, 11}),
)
_SPARSE: Final[_Message] = _Message(inner={1: lambda: _TENSOR, 2: lambda: _TENSOR})
_ATTRIBUTE: Final[_Message] = _Message(
    inner={
        5: lambda: _TENSOR,
        6: lambda: _GRAPH,
        10: lambda: _TENSOR,
        11: lambda: _GRAPH,
        22: lambda: _SPARSE,
        23: lambda: _SPARSE,
    },
    dropped=frozenset({13}),  # doc_string
    lists=frozenset({4, 7, 8, 9}),  # s, floats, ints, strings
)
_NODE: Final[_Message] = _Message(inner={5: lambda: _ATTRIBUTE}, dropped=frozenset({6, 9}))
_GRAPH: Final[_Message] = _Message(
    inner={1: lambda: _NODE, 5: lambda: _TENSOR, 15: lambda: _SPARSE},
    dropped=frozenset({10, 14, 16}),  # doc_string, quantization_annotation, metadata_props
    is_graph=True,
)
_FUNCTION: Final = _Message(
    inner={7: lambda: _NODE, 11: lambda: _ATTRIBUTE},
    dropped=frozenset({8, 14}),  # doc_string, metadata_props
    is_graph=True,
)
_MODEL: Final = _Message(
    inner={7: lambda: _GRAPH, 25: lambda: _FUNCTION},
    # doc_string, metadata_props, training_info, multi-device configuration
    dropped=frozenset({6, 14, 20, 26}),
)


class _Copier:
    """Copies messages and counts what it leaves out."""

    def __init__(self, window: Window) -> None:
        self.tensor_bytes = 0
        self.list_floats = 0
        self.list_bytes = 0
        self._window = window
        self._copied_bytes = 0
        self._fields = 0

    def message(self, kind: _Message, start: int, end: int, depth: int) -> bytes:
        """Return the message in [start, end) without its large contents."""
        if kind.is_graph:
            depth += 1
            if depth > _DEEPEST_GRAPH:
                raise ModelError(f"graphs are nested more than {_DEEPEST_GRAPH} deep")
        data_bytes = self._data_bytes(kind, start, end)
        keeps_data = data_bytes <= _SMALL_BYTES
        if not keeps_data:
            self.tensor_bytes += data_bytes
        parts: list[bytes] = []
        position = start
        while position < end:
            field = next(self._window.fields(position, end))
            position = field.end
            self._count_field()
            if field.number in kind.dropped:
                continue
            if field.number in kind.data and not keeps_data:
                position = self._skip_run(field, end)[0]
            elif field.number in kind.lists and end - start > _SMALL_BYTES:
                position = self._leave_list(field, end, parts)
            elif field.number in kind.inner and field.wire_type == LENGTH:
                parts.append(self._inner(kind.inner[field.number](), field, depth))
            else:
                parts.append(self._copy(field.tag, field.end))
        return b"".join(parts)

    def _inner(self, kind: _Message, field: Field, depth: int) -> bytes:
        # Nothing in so small a message is worth leaving out.
        if field.end - field.start <= _SMALL_BYTES and not kind.is_graph:
            return self._copy(field.tag, field.end)
        content = self.message(kind, field.start, field.end, depth)
        return _varint(field.number << 3 | LENGTH) + _varint(len(content)) + content

    def _data_bytes(self, kind: _Message, start: int, end: int) -> int:
        if not kind.data:
            return 0
        total = 0
        position = start
        while position < end:
            field = next(self._window.fields(position, end))
            position = field.end
            self._count_field()
            if field.number in kind.data:
                position, count = self._skip_run(field, end)
                stored = field.end - field.start
                total += stored if field.wire_type == LENGTH else count * stored
        return total

    def _leave_list(self, field: Field, end: int, parts: list[bytes]) -> int:
        """Pass over a run of list elements, counting them; short strings are kept."""
        if field.wire_type == LENGTH and field.end - field.start <= _SMALL_BYTES:
            parts.append(self._copy(field.tag, field.end))
            return field.end
        position, count = self._skip_run(field, end)
        if field.wire_type == LENGTH:
            self.list_bytes += field.end - field.start
        else:
            self.list_bytes += count * _ELEMENT_BYTES[field.wire_type]
        if field.wire_type == FIXED32:
            self.list_floats += count
        return position

    def _skip_run(self, field: Field, end: int) -> tuple[int, int]:
        """Pass over `field` and the elements of the same list after it: (position, count).

        A list of numbers may be one field an element, hundreds of millions in a large forest.
        """
        if field.wire_type == LENGTH:
            return field.end, 1
        tag = self._window.read(field.tag, field.start)
        element = re.escape(tag) + _ELEMENT[field.wire_type]
        run = re.compile(b"(?:" + element + b"){1,4096}")
        single = re.compile(element)
        position, count = field.end, 1
        while position < end:
            piece = self._window.read(position, min(position + _RUN_BYTES, end))
            found = run.match(piece)
            if found is None:
                break
            position += found.end()
            count += len(single.findall(found.group()))
        return position, count

    def _copy(self, start: int, end: int) -> bytes:
        self._copied_bytes += end - start
        if self._copied_bytes > _LARGEST_SKELETON_BYTES:
            megabytes = _LARGEST_SKELETON_BYTES >> 20
            raise ModelError(f"its graph alone, without weights, is larger than {megabytes} MiB")
        return self._window.read(start, end)

    def _count_field(self) -> None:
        self._fields += 1
        if self._fields > _MOST_FIELDS:
            raise ModelError(f"its graph has more than {_MOST_FIELDS} parts")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
