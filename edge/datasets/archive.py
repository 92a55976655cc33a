"""The arrays of an .npz, row by row: what it holds may be larger than memory."""

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

from edge.backends.protocol import Array
from edge.errors import UsageError


class RowsOfArray:
    """One array of an .npz: its shape and type at once, its rows in order as they are asked for."""

    def __init__(self, archive: zipfile.ZipFile, member: str) -> None:
        """Read the header; nothing is unpickled.

        Raises:
            ValueError: it is no plain array.
        """
        from numpy.lib import format as npy

        self._file: IO[bytes] = archive.open(member)
        # Half of the module has no types.
        reads: Any = npy
        version = reads.read_magic(self._file)
        headers = {(1, 0): reads.read_array_header_1_0, (2, 0): reads.read_array_header_2_0}
        if version not in headers:
            raise ValueError("a header of another version")
        self.shape, self._fortran, self.dtype = headers[version](self._file)
        if self.dtype.hasobject or any(size < 0 for size in self.shape):
            raise ValueError("objects")
        self._next = 0
        self._whole: Array | None = None

    def stand_in(self) -> Array:
        """Return an array of this shape and type that takes no memory."""
        import numpy as np

        return np.broadcast_to(np.zeros((), self.dtype), self.shape)

    def rows(self, number: int, count: int) -> Array:
        """Return row `number` of the `count` that the whole array is taken for.

        Raises:
            UsageError: an earlier one was asked for before.
            ValueError: the file ends before it.
        """
        import numpy as np

        if self._fortran and self._whole is None:
            size = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
            flat = np.frombuffer(self._exactly(size), self.dtype)
            straight = np.ascontiguousarray(flat.reshape(self.shape, order="F"))
            self._whole = straight.reshape(count, -1)
        if self._whole is not None:
            row: Array = self._whole[number]
            return row
        size = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize // count
        assert number >= self._next, "rows come in order"
        while self._next < number:
            self._exactly(size)
            self._next += 1
        self._next += 1
        return np.frombuffer(self._exactly(size), self.dtype)

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise ValueError("the file ends early")
        return data


class ArchiveOfRows:
    """An .npz that stays open while its rows are read."""

    def __init__(self, path: Path) -> None:
        """Open it and read the headers of its arrays.

        Raises:
            UsageError: it is none of plain arrays.
        """
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise UsageError((error.strerror or "unreadable").lower(), where=path) from error
        try:
            self._archive = zipfile.ZipFile(self._file)
            names = [name for name in self._archive.namelist() if name.endswith(".npy")]
            self.arrays = {
                name.removesuffix(".npy"): RowsOfArray(self._archive, name) for name in names
            }
        except _DAMAGE as error:
            self._file.close()
            raise self._damaged() from error

    def row(self, name: str, number: int, count: int) -> Array:
        """Return row `number` of the array `name`, which is taken for `count` rows.

        Raises:
            UsageError: the file is damaged.
        """
        try:
            return self.arrays[name].rows(number, count)
        except _DAMAGE as error:
            raise self._damaged() from error

    def whole(self, name: str) -> Array:
        """Return a small array as it is.

        Raises:
            UsageError: the file is damaged.
        """
        rows = self.arrays[name]
        return self.row(name, 0, 1).reshape(rows.shape)

    def _damaged(self) -> UsageError:
        return UsageError("not an .npz file of plain arrays", where=self._path)

    def close(self) -> None:
        """Close the file; no row can be read any more."""
        self._archive.close()
        self._file.close()


_DAMAGE: tuple[type[Exception], ...] = (
    # A damaged directory leads to places that there are not.
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    zlib.error,
)
