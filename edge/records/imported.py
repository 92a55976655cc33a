"""What `import` made of an estimator, and how far the file agrees with it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from edge.records.measurement import ModelRef
from edge.records.model import RuntimeSupport
from edge.records.optimization import Accuracy

EstimatorKind = Literal["classifier", "regressor", "clusterer", "outlier detector", "transformer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library that the estimator is made of; `wrote` is the version that it was saved with."""

    name: str
    version: str
    wrote: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedEstimator:
    """An estimator as its file has it.

    `type` is its class, `steps` those of a pipeline. `features` are the numbers that one sample
    has, `feature_names` their names where it was trained with some. `classes` are in the order of
    the columns of probabilities. `trees` and `tree_nodes` are 0 where it has none.
    """

    file: ModelRef
    type: str
    kind: EstimatorKind
    steps: tuple[str, ...]
    libraries: tuple[Library, ...]
    features: int
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    trees: int
    tree_nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCheck:
    """How far the ONNX file agrees with the estimator on `what`.

    `made_up` is True for random samples, which say nothing of real ones. `same` counts the samples
    with the same label or, where there are no labels, with the same values to one part in a
    thousand. `largest_difference` is that of any probability or value, `largest_value` the largest
    magnitude of the estimator's; None where it gives labels alone.
    """

    what: str
    made_up: bool
    same: Accuracy
    largest_difference: float | None
    largest_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An ONNX file that was made of an estimator; `notes` say what its user must know."""

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    model: ModelRef
    estimator: ImportedEstimator
    edgekit_version: str
    converter: str
    opset: int
    ml_opset: int
    label_output: str | None
    check: ImportCheck
    support: tuple[RuntimeSupport, ...]
    notes: tuple[str, ...]
