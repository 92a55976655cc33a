"""Protocol buffers' wire format, read from a file piece by piece.

Only what is needed to walk an ONNX file without loading its weights; see
https://protobuf.dev/programming-guides/encoding/ for the format.
"""

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT_BYTES = 10
_WINDOW_BYTES = 1 << 16

# The fields of ModelProto by number and wire type (onnx.proto, IR version 13).
_GRAPH_FIELD = 7
_MODEL_FIELDS = {
    (1, VARINT),  # ir_version
    (2, LENGTH),  # producer_name
    (3, LENGTH),  # producer_version
    (4, LENGTH),  # domain
    (5, VARINT),  # model_version
    (6, LENGTH),  # doc_string
    (_GRAPH_FIELD, LENGTH),
    (8, LENGTH),  # opset_import
    (14, LENGTH),  # metadata_props
    (20, LENGTH),  # training_info
    (25, LENGTH),  # functions
    (26, LENGTH),  # configuration
}
# A model has a handful of these, and as many as it has functions or metadata.
_MOST_MODEL_FIELDS = 100_000


class WireError(ValueError):
    """The bytes are no protocol buffer; `cut_off` where they only end too early."""

    def __init__(self, text: str, *, cut_off: bool = False) -> None:
        """Keep whether the end is missing."""
        super().__init__(text)
        self.cut_off = cut_off


class Field(NamedTuple):
    """One field: where its tag starts, where its content starts and ends.

    For a varint the content is its bytes; for a length-delimited field what follows the length.
    """

    number: int
    wire_type: int
    tag: int
    start: int
    end: int


class Window:
    """A file read through a small window, so that its size costs no memory."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        """Read from the open file `descriptor`."""
        self.size_bytes = size_bytes
        self._descriptor = descriptor
        self._start = 0
        self._bytes = b""

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes of [start, end).

        Raises:
            WireError: the file ends before.
        """
        first = start - self._start
        if first < 0 or end - self._start > len(self._bytes):
            self._bytes = os.pread(self._descriptor, max(end - start, _WINDOW_BYTES), start)
            self._start, first = start, 0
            if len(self._bytes) < end - start:
                raise WireError("the file ends too early", cut_off=True)
        return self._bytes[first : first + end - start]

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """Return the variable-length integer at `position` and the position after it.

        Raises:
            WireError: it does not end before `end`, or is longer than 64 bits.
        """
        value = 0
        piece = self.read(position, min(position + _LONGEST_VARINT_BYTES, end))
        for index, byte in enumerate(piece):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + index + 1
        if len(piece) == _LONGEST_VARINT_BYTES:
            raise WireError(f"byte {position}: an integer is too long")
        raise WireError("the file ends too early", cut_off=True)

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """Walk over the fields of a message that lies in [start, end).

        Raises:
            WireError: those bytes are no message.
        """
        position = start
        while position < end:
            tag = position
            key, position = self.varint(position, end)
            number, wire_type = key >> 3, key & 7
            if number == 0 or number >= 1 << 29:
                raise WireError(f"byte {tag}: no such field number")
            content = position
            if wire_type == VARINT:
                _, position = self.varint(position, end)
            elif wire_type in _FIXED_BYTES:
                position += _FIXED_BYTES[wire_type]
            elif wire_type == LENGTH:
                length, content = self.varint(position, end)
                position = content + length
            else:
                raise WireError(f"byte {tag}: no such field type")
            if position > end:
                raise WireError(f"the file ends {position - end} bytes too early", cut_off=True)
            yield Field(number, wire_type, tag, content, position)


def onnx_fields_problem(window: Window) -> str | None:
    """Say why the file's outermost fields are not those of an ONNX model; None if they are."""
    seen: set[int] = set()
    try:
        for count, field in enumerate(window.fields(0, window.size_bytes)):
            if (field.number, field.wire_type) not in _MODEL_FIELDS or count > _MOST_MODEL_FIELDS:
                return "neither an ONNX nor a TFLite file"
            seen.add(field.number)
    except WireError as error:
        if error.cut_off and seen:
            return f"an ONNX file that was cut off or damaged: {error}"
        return "neither an ONNX nor a TFLite file"
    if _GRAPH_FIELD not in seen:
        return "an ONNX file without a graph, or no ONNX file at all"
    return None
