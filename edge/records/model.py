"""What a model file is, as `inspect` reads it: no weights, only structure."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from edge.records.tensor import TensorSpec

Format = Literal["onnx", "tflite"]
Precision = Literal["fp32", "fp16", "int8", "mixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCost:
    """One operator of the graph (or of a subgraph) and what one inference costs there.

    `macs` are multiply-accumulates: 0 for an operator that has none, None where a shape is not
    known. `calls` is how often one inference runs it (a Loop's body: None where unknown).
    Bytes are moved once: every input, weight and output counted one time.
    """

    name: str
    op_type: str
    domain: str
    subgraph: str
    kind: Literal["dense", "depthwise", "matmul", "recurrent", "elementwise", "layout", "control"]
    calls: int | None
    macs: int | None
    input_bytes: int | None
    weight_bytes: int | None
    output_bytes: int | None

    @property
    def moved_bytes(self) -> int | None:
        """Bytes read and written by one call."""
        parts = (self.input_bytes, self.weight_bytes, self.output_bytes)
        known = [p for p in parts if p is not None]
        return sum(known) if len(known) == len(parts) else None


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

    `weights_bytes` is what the weights take in memory once loaded, `file_bytes` what the model
    and its external data take on disk. `peak_activation_bytes` is the highest sum of live
    tensors in the file's operator order.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    name: str
    format: Format
    sha256: str
    file_bytes: int
    external_files: tuple[str, ...]
    producer: str
    ir_version: int
    opsets: tuple[OpsetVersion, ...]
    operator_versions: tuple[tuple[str, int], ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int
    weights_bytes: int
    peak_activation_bytes: int | None
    precision: Precision
    looks_like: str
    custom_operators: tuple[str, ...]
    operators: tuple[OperatorCost, ...]
    risks: tuple[str, ...]

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of one inference, or None if any operator's are unknown."""
        total = 0
        for operator in self.operators:
            if operator.macs is None or operator.calls is None:
                return None
            total += operator.macs * operator.calls
        return total

    @property
    def moved_bytes(self) -> int | None:
        """Bytes moved by one inference, or None if any operator's are unknown."""
        total = 0
        for operator in self.operators:
            moved = operator.moved_bytes
            if moved is None or operator.calls is None:
                return None
            total += moved * operator.calls
        return total

    @property
    def operator_count(self) -> int:
        """Number of operators in all graphs."""
        return len(self.operators)
