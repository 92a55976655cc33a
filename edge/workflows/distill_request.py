"""What `edgekit distill` was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillRequest:
    """A distillation by its options; None: it is decided by the data or the machine.

    `most` is how many samples to use, `max_s` how long to train.
    """

    teacher: str
    student: str
    data: Path
    output: Path
    shapes: Mapping[str, tuple[int, ...]]
    evaluate: Path | None = None
    trusted: bool = False
    recipe: Path | None = None
    tokenizer: Path | None = None
    labels: Path | None = None
    most: int | None = None
    epochs: int | None = None
    patience: int | None = None
    max_s: float | None = None
    temperature: float = 2.0
    loss: str | None = None
    batch_size: int = 64
    learning_rate: float | None = None
    seed: int = 0
    threads: int | None = None
