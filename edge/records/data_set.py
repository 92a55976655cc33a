"""Data that a user gave to calibrate a model with or to evaluate it on, as the model takes it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Samples in one or more .npz files, in order, none larger than memory cares about.

    Each file holds `input.NAME` for every input, its first axis the sample. `labels` are class
    numbers, one a sample, None where the data has none. `what` says in words what it is ("20
    pictures of images/, resized by crop to 224x224").
    """

    what: str
    files: tuple[Path, ...]
    samples: int
    labels: tuple[int, ...] | None

    def __post_init__(self) -> None:
        """Refuse nothing, and labels that do not go with the samples."""
        if self.samples < 1 or not self.files:
            raise ValueError("a data set has a sample")
        if self.labels is not None and len(self.labels) != self.samples:
            raise ValueError("there is one label a sample")
