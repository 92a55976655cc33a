"""What a model file is, as `inspect` reads it: no weights, only structure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from edge.records.tensor import TensorSpec

Format = Literal["onnx", "tflite"]
Precision = Literal["fp32", "fp16", "int8", "mixed"]
OperatorKind = Literal[
    "dense", "depthwise", "matmul", "recurrent", "elementwise", "layout", "control"
]


def total(parts: Iterable[int | None]) -> int | None:
    """Add up; what has an unknown part is unknown."""
    known = 0
    for part in parts:
        if part is None:
            return None
        known += part
    return known


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCost:
    """One operator of the graph (or of a subgraph) and what one inference costs there.

    `macs` are multiply-accumulates: 0 for an operator that has none, None where a shape is not
    known. `calls` is how often one inference runs it: 0 for the cheaper branch of an If and for
    what is computed once at load, None for a loop's body where the trip count is unknown.
    `kind` "dense" is a convolution, "matmul" every matrix product, attention included.
    Bytes are moved once: every input, weight and output counted one time.
    """

    name: str
    op_type: str
    domain: str
    subgraph: str
    kind: OperatorKind
    calls: int | None
    macs: int | None
    input_bytes: int | None
    weight_bytes: int | None
    output_bytes: int | None

    @property
    def moved_bytes(self) -> int | None:
        """Bytes read and written by one call."""
        return total((self.input_bytes, self.weight_bytes, self.output_bytes))

    @property
    def least_calls(self) -> int:
        """How often one inference runs it at the least: once where that is not known."""
        return 1 if self.calls is None else self.calls

    @property
    def macs_per_inference(self) -> int | None:
        """Multiply-accumulates of all its calls; what is never called has none."""
        return self._per_inference(self.macs)

    @property
    def moved_bytes_per_inference(self) -> int | None:
        """Bytes read and written by all its calls; what is never called moves none."""
        return self._per_inference(self.moved_bytes)

    def _per_inference(self, cost: int | None) -> int | None:
        if self.calls == 0:
            return 0
        return None if cost is None or self.calls is None else cost * self.calls


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsetVersion:
    """An operator set that the model imports; the domain of ONNX itself is ""."""

    domain: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSupport:
    """Whether one runtime of one target can run the model's operators."""

    target: str
    runtime: str
    runtime_version: str
    supported: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """All that can be said of a model without running it.

    `sha256` is of the model file itself, as sha256sum prints it; `external_sha256` are those of
    `external_files`, in their order (None: too large to hash).
    `weights_bytes` is what the weights take in memory once loaded, `stored_weights_bytes` what
    they take on disk (nothing, where the model makes them at load), `file_bytes` what the model
    and its external data take on disk. `peak_activation_bytes` is the highest sum of live
    tensors in the file's operator order. `operator_versions` are TFLite's, by operator.
    `precision` is that of the arithmetic, not of the storage.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    name: str
    format: Format
    sha256: str
    file_bytes: int
    external_files: tuple[str, ...]
    external_sha256: tuple[str | None, ...] = ()
    producer: str
    ir_version: int
    opsets: tuple[OpsetVersion, ...]
    operator_versions: tuple[tuple[str, int], ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int
    weights_bytes: int
    stored_weights_bytes: int | None = None
    peak_activation_bytes: int | None
    precision: Precision
    looks_like: str
    custom_operators: tuple[str, ...]
    operators: tuple[OperatorCost, ...]
    risks: tuple[str, ...]

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of one inference, or None if those of an operator are unknown."""
        return total(operator.macs_per_inference for operator in self.operators)

    @property
    def moved_bytes(self) -> int | None:
        """Bytes moved by one inference, or None if those of an operator are unknown."""
        return total(operator.moved_bytes_per_inference for operator in self.operators)

    @property
    def operator_count(self) -> int:
        """Number of operators, in all graphs, that an inference runs."""
        return sum(operator.calls != 0 for operator in self.operators)
