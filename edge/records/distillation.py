"""What `distill` made: a student, how it was trained, and what was lost."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from edge.records.measurement import ModelRef
from edge.records.optimization import Accuracy, Agreement, DataUse


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilledModel:
    """A teacher or a student; `macs` are multiply-accumulates of one inference on the data."""

    model: ModelRef
    parameters: int
    macs: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntOutput:
    """How one output was learnt; `form` is what the teacher's answers hold, `reason` why."""

    name: str
    form: Literal["probabilities", "log-probabilities", "scores", "embedding", "values"]
    loss: Literal["classes", "embedding", "values"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """The mean loss of one epoch, on what is trained on and on what is held out."""

    trained: float
    held_out: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAccuracy:
    """The teacher's accuracy less the student's on the same samples, with the 95 % interval.

    It is a part of 1: 0.01 is one point.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Teacher and student on data of its own; the accuracies need labels."""

    data: DataUse
    agreement: Agreement
    teacher: Accuracy | None = None
    student: Accuracy | None = None
    lost: LostAccuracy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """A student of a teacher, from the user's unlabelled data.

    `agreement` is the exported student's with the teacher on the held-out samples.
    `export_difference` is the largest absolute difference between the file's answers and those of
    the network that it was exported from. `hurried`: the clock shortened the training, so another
    run may give another student. `words` are those that a student for texts knows.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    teacher: DistilledModel
    student: DistilledModel
    architecture: str
    file: str
    outputs: tuple[LearntOutput, ...]
    outputs_left_out: tuple[str, ...]
    data: DataUse
    trained_samples: int
    held_out_samples: int
    epochs: tuple[Epoch, ...]
    best_epoch: int
    stopped: Literal["epochs", "no-better", "time"]
    hurried: bool
    temperature: float
    learning_rate: float
    batch_size: int
    seed: int
    threads: int
    exporter: str
    edgekit_version: str
    export_difference: float
    agreement: Agreement
    evaluation: Evaluation | None
    words: int | None
    remarks: tuple[str, ...]

    def __post_init__(self) -> None:
        """Require a best epoch that was run."""
        if self.best_epoch not in range(len(self.epochs)):
            raise ValueError("best_epoch is no epoch")
