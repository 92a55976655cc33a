"""The rows that a student learns from: on disk, some of them held out. PyTorch is imported here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows on disk, which of them are trained on, and which are held out."""

    inputs: tuple[Array, ...]
    answers: tuple[Array, ...]
    trained: Array
    held_out: Array

    def batches(self, rows: Array, size: int) -> "Iterator[tuple[list[Any], list[Any]]]":
        """Give the batches of some rows in order, as tensors; one of a single row is left out."""
        import torch

        for start in range(0, len(rows), size):
            picked = rows[start : start + size]
            if start and len(picked) < 2:
                return
            inputs = [torch.from_numpy(np.asarray(a[picked])) for a in self.inputs]
            answers = [torch.from_numpy(np.asarray(a[picked], np.float32)) for a in self.answers]
            yield inputs, answers
