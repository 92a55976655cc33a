"""Arrays on disk, row by row, so that the data may be larger than memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from edge.errors import HostError, RuntimeFailure


class RowWriter:
    """Writes the rows of one array; all have the shape and the type of the first."""

    def __init__(self, path: Path) -> None:
        """Begin the file."""
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._dtype = ""
        self._shape: tuple[int, ...] | None = None
        self._rows = 0

    def write(self, row: "np.ndarray[Any, Any]", name: str) -> None:
        """Add a row.

        Raises:
            RuntimeFailure: its shape is another than that of the rows before.
            HostError: the disk is full.
        """
        if self._shape is None:
            self._shape, self._dtype = row.shape, row.dtype.name
        if row.shape != self._shape:
            sizes = f"{self._shape} and {row.shape}"
            raise RuntimeFailure(
                f"{name} changes its shape from sample to sample: {sizes}",
                hint="a student's output has one shape",
            )
        with self._told():
            self._file.write(np.ascontiguousarray(row).tobytes())
        self._rows += 1

    def close(self) -> dict[str, Any]:
        """End the file and return what `read_rows` needs to know of it.

        Raises:
            HostError: the disk is full.
        """
        with self._told():
            self._file.close()
        shape = [self._rows, *(self._shape or ())]
        return {"file": str(self._path), "dtype": self._dtype, "shape": shape}

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError):
                self._file.close()
            what = (error.strerror or "cannot write").lower()
            raise HostError(what, where=self._path, hint="free some disk space") from error


def read_rows(told: Mapping[str, Any]) -> "np.ndarray[Any, Any]":
    """Map the rows of a file that RowWriter wrote, for reading only."""
    shape = tuple(int(size) for size in told["shape"])
    return np.memmap(told["file"], dtype=told["dtype"], mode="r", shape=shape)
