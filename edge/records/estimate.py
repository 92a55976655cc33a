"""What a prediction says, always with its interval."""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Predicted service time of one inference on one target: 90 % of truths lie in the interval.

    `calibrated` is False for a plain roofline: then `low_ns` is a floor that may refuse and
    `high_ns` is None, so that it can never approve. Memory is weights, activations and the
    runtime's own: at least `memory_low_bytes`, at most about `memory_bytes`. `bound` is what
    limits it.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    target: str
    model: str
    runtime: str
    precision: str
    threads: int
    low_ns: int
    typical_ns: int | None
    high_ns: int | None
    calibrated: bool
    memory_bytes: int | None
    bound: Literal["compute", "memory", "overhead"]
    basis: str
    memory_low_bytes: int | None = None
    provenance: Literal["predicted"] = "predicted"

    def __post_init__(self) -> None:
        """Require an ordered interval, and no upper end without a calibration."""
        if self.calibrated != (self.high_ns is not None):
            raise ValueError("only a calibrated estimate has an upper end")
        if self.typical_ns is not None and self.typical_ns < self.low_ns:
            raise ValueError("typical_ns is below low_ns")
        if self.high_ns is not None and self.high_ns < (self.typical_ns or self.low_ns):
            raise ValueError("high_ns is below typical_ns")
