"""A model file, opened once: what it may be, its digest, and its format by content.

Reliability rule: look (lstat) before opening, regular files only, never follow a link and never
wait on a pipe; everything later reads the descriptor that was opened here.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ModelError
from edge.formats.wire import Window, onnx_fields_problem
from edge.records.model import Format

_TFLITE_IDENTIFIER = b"TFL3"
# Fits the processor's cache, which makes hashing a third faster than with a megabyte.
_CHUNK_BYTES = 1 << 18
_READABLE = "edgekit reads ONNX and TFLite files"
# First bytes of what people give us by mistake, at their offset, and what to do about it.
_LOOKALIKES = (
    (0, b"\x89PNG", "a PNG picture", _READABLE),
    (0, b"\xff\xd8\xff", "a JPEG picture", _READABLE),
    (0, b"GIF8", "a GIF picture", _READABLE),
    (8, b"WEBP", "a WebP picture", _READABLE),
    (0, b"PK\x03\x04", "a zip archive", "a PyTorch or Keras file? export it to ONNX first"),
    (0, b"\x80\x02", "a Python pickle", "a PyTorch file? export it to ONNX first"),
    (0, b"\x80\x04", "a Python pickle", "a scikit-learn model? convert it with skl2onnx"),
    (0, b"\x89HDF", "an HDF5 file", "a Keras model? convert it to ONNX or TFLite first"),
    (0, b"GGUF", "a GGUF file", "a language model for llama.cpp; " + _READABLE),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (0, b"%PDF", "a PDF document", _READABLE),
    (0, b"\x7fELF", "a program or library", _READABLE),
    (
        0,
        b"ORTM",
        "an ORT-format model",
        "give the ONNX file that it was made from",
    ),
    (4, b"ORTM", "an ORT-format model", "give the ONNX file that it was made from"),
    (0, b"version https://git-lfs", "a Git LFS pointer", "run git lfs pull to get the real file"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """An open model file; `folder` is where its external data lie."""

    path: Path
    descriptor: int
    size_bytes: int

    @property
    def folder(self) -> Path:
        """The folder that it lies in."""
        return self.path.parent

    def sha256(self) -> str:
        """Return the digest of the whole file, reading it in pieces."""
        return digest(self.descriptor)


@contextmanager
def open_model(path: Path) -> Iterator[ModelFile]:
    """Open a model file for the block.

    Raises:
        ModelError: there is no such file, it is empty, or it is no regular file.
    """
    descriptor = open_regular(path)
    try:
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes == 0:
            raise ModelError("the file is empty", where=path, hint="was it copied completely?")
        yield ModelFile(path=path, descriptor=descriptor, size_bytes=size_bytes)
    finally:
        os.close(descriptor)


def open_regular(path: Path) -> int:
    """Open a regular file for reading and return its descriptor.

    Raises:
        ModelError: there is no such file, it is a link or no regular file, or it is not readable.
    """
    try:
        _refuse_irregular(os.lstat(path).st_mode, path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ModelError((error.strerror or str(error)).lower(), where=path) from error
    except ValueError as error:
        raise ModelError("not a file name", where=path) from error
    # Whoever swapped the file in between is refused as well.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ModelError("not a regular file", where=path)
    return descriptor


def _refuse_irregular(mode: int, path: Path) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISLNK(mode):
        hint = f"name the file that it points to: {os.path.realpath(path)}"
        raise ModelError("a symbolic link, which edgekit does not follow", where=path, hint=hint)
    if stat.S_ISDIR(mode):
        hint = "name a model file in it; a TensorFlow SavedModel has to be converted first"
        raise ModelError("a folder, not a model file", where=path, hint=hint)
    raise ModelError("not a regular file", where=path)


def digest(descriptor: int) -> str:
    """Return the SHA-256 of an open file, reading it in pieces."""
    result = hashlib.sha256()
    piece = memoryview(bytearray(_CHUNK_BYTES))
    position = 0
    while count := os.preadv(descriptor, [piece], position):
        result.update(piece[:count])
        position += count
    return result.hexdigest()


def format_of(model: ModelFile) -> Format:
    """Return the format by content: TFLite's identifier, else the outermost fields of ONNX.

    Raises:
        ModelError: it is neither, or it is an ONNX file that was cut off.
    """
    head = os.pread(model.descriptor, 64, 0)
    if head[4:8] == _TFLITE_IDENTIFIER:
        return "tflite"
    for offset, magic, what, hint in _LOOKALIKES:
        if head[offset : offset + len(magic)] == magic:
            raise ModelError(f"{what}, not a model that edgekit reads", where=model.path, hint=hint)
    problem = onnx_fields_problem(Window(model.descriptor, model.size_bytes))
    if problem is not None:
        hint = f"{_READABLE}; was it copied completely?"
        raise ModelError(problem, where=model.path, hint=hint)
    return "onnx"
