"""What goes into and comes out of a model. Part of the device slice: Python 3.8."""

from dataclasses import dataclass
from typing import Optional, Tuple, Union

from edge.units import format_shape

Dimension = Union[int, str, None]


@dataclass(frozen=True)
class TensorSpec:
    """One tensor: a dimension is a size, the name of a free dimension, or None (unknown).

    `dtype` is numpy's name ("float32", "int8", "int64", "str" for strings); `shape` is None
    where not even the rank is known.
    """

    name: str
    dtype: str
    shape: Optional[Tuple[Dimension, ...]]

    def __post_init__(self) -> None:
        """Reject sizes that no tensor has."""
        for size in self.shape or ():
            if isinstance(size, int) and size < 0:
                raise ValueError(f"negative dimension {size} in tensor {self.name!r}")

    @property
    def is_static(self) -> bool:
        """Whether every dimension is a number."""
        return self.shape is not None and all(isinstance(d, int) for d in self.shape)

    def __str__(self) -> str:
        """Return `name float32 1x3x224x224`."""
        shape = "unknown shape" if self.shape is None else format_shape(self.shape)
        return f"{self.name} {self.dtype} {shape}"
