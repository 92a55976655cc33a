"""What kind of file an estimator lies in: told by its first bytes, without reading it."""

import bz2
import gzip
import importlib
import importlib.util
import lzma
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Literal

from edge.errors import HostError, ModelError
from edge.formats.source import open_model

FileKind = Literal["pickle", "skops", "xgboost", "lightgbm"]

_KINDS: Final = (
    "edgekit imports pickles (joblib's too), skops files, XGBoost's .json and .ubj, and"
    " LightGBM's text files"
)
_PICKLE_NAMES: Final = (".joblib", ".pkl", ".pickle")
# What joblib compresses with, by the first bytes (joblib.numpy_pickle_utils has the same).
_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip",
    b"BZ": "bz2",
    b"\xfd7zXZ": "xz",
    b"\x5d\x00": "lzma",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x78": "zlib",
}
_CHUNK_BYTES: Final = 1 << 20


def kind_of_file(path: Path) -> FileKind:
    """Tell what an estimator's file is, by its first bytes.

    Raises:
        ModelError: there is no such file, or it is none of these.
    """
    with open_model(path):
        pass
    with path.open("rb") as file:
        head = file.read(1024)
    if head[:1] == b"\x80" or _compression(head) is not None:
        return "pickle"
    if head[:4] == b"PK\x03\x04":
        return "skops"
    if head[:4] == b"tree" and head[4:5] in b"\r\n":
        return "lightgbm"
    # XGBoost's JSON and its binary form, UBJSON, begin with an object that has a length or a key.
    if head[:1] == b"{" and (head[1:2] in (b"L", b"l", b"i", b"U") or b'"' in head):
        return "xgboost"
    if path.suffix.lower() in _PICKLE_NAMES and head[:1] in (b"c", b"(", b"]", b"}"):
        return "pickle"  # Protocols 0 and 1 have no mark of their own.
    if b"onnx" in head[:64].lower() or path.suffix.lower() == ".onnx":
        raise ModelError(
            "no estimator but an ONNX file", where=path, hint="edgekit takes it as it is"
        )
    raise ModelError("not a file that an estimator is saved in", where=path, hint=_KINDS)


def plain_pickle(path: Path, folder: Path) -> Path:
    """Return the file itself, or an uncompressed copy in `folder`; nothing in it is run.

    Raises:
        ModelError: the compressed data are damaged or too large.
        HostError: it is compressed with lz4, which is not installed.
    """
    with path.open("rb") as file:
        compression = _compression(file.read(16))
    if compression is None:
        return path
    plain = folder / "plain.pickle"
    try:
        with _opened(path, compression) as packed, plain.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, _CHUNK_BYTES)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, RuntimeError) as error:
        raise ModelError(f"damaged {compression} data: {error}", where=path) from error
    return plain


def _compression(head: bytes) -> str | None:
    for magic, name in _COMPRESSED.items():
        # zlib's second byte makes a multiple of 31 of both (RFC 1950, FCHECK).
        if head.startswith(magic) and (
            name != "zlib" or (len(head) > 1 and int.from_bytes(head[:2], "big") % 31 == 0)
        ):
            return name
    return None


@contextmanager
def _opened(path: Path, compression: str) -> Iterator["IO[bytes] | _Zlib"]:
    if compression == "zlib":
        with path.open("rb") as file:
            yield _Zlib(file)
        return
    if compression == "lz4":
        if importlib.util.find_spec("lz4") is None:
            raise HostError(
                "it is compressed with lz4, which is not installed",
                where=path,
                hint="pip install lz4",
            )
        opened = importlib.import_module("lz4.frame").open(path)
    else:
        opened = {"gzip": gzip, "bz2": bz2, "xz": lzma, "lzma": lzma}[compression].open(path)
    with opened as file:
        yield file


class _Zlib:
    """What zlib packed, which has no file of its own in the standard library."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._packed = zlib.decompressobj()

    def read(self, count: int = _CHUNK_BYTES, /) -> bytes:
        """Return up to `count` bytes; none at the end."""
        while not self._packed.eof:
            packed = self._packed.unconsumed_tail or self._file.read(_CHUNK_BYTES)
            if not packed:
                raise EOFError("it is cut short")
            plain = self._packed.decompress(packed, count)
            if plain:
                return plain
        return b""
