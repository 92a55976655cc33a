"""What several runs in a row found out: the batch curve, the highest load. Slice: Python 3.8."""

from dataclasses import dataclass
from typing import ClassVar, Final, Optional, Tuple

# A load keeps its limit as MLPerf's early stopping asks for, clearly does not, or neither was
# shown; or the runtime failed under it.
MET: Final = "met"
NOT_MET: Final = "not-met"
UNDECIDED: Final = "undecided"
FAILED: Final = "failed"


@dataclass(frozen=True)
class Throughput:
    """How much was done a second, with a 95 % interval where the queries suffice for one."""

    per_s: float
    low_per_s: Optional[float]
    high_per_s: Optional[float]


@dataclass(frozen=True)
class BatchPoint:
    """One batch that was measured: samples a second, the median time and memory of a batch.

    `failure` is what became of a batch that could not be measured; then the rest is None.
    """

    samples: int
    throughput: Optional[Throughput]
    batch_ns: Optional[int]
    peak_memory_bytes: Optional[int]
    flaws: Tuple[str, ...] = ()
    failure: Optional[str] = None


@dataclass(frozen=True)
class BatchCurve:
    """Throughput over the batch; `ended` says why it was not followed further.

    `chosen` is the smallest batch within 3 % of the best, None if none could be measured;
    `batchable` is False where the model's batch is fixed.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    points: Tuple[BatchPoint, ...]
    chosen: Optional[int]
    batchable: bool
    ended: str


@dataclass(frozen=True)
class LoadRun:
    """One server run: how many of its queries were over the limit, and the percentile by rank."""

    target_qps: float
    seed: int
    count: int
    over: int
    percentile_ns: Optional[int]
    reached_per_s: Optional[float] = None
    flaws: Tuple[str, ...] = ()
    failure: Optional[str] = None

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        if not 0 <= self.over <= self.count or not self.target_qps > 0:
            raise ValueError("needs a load above 0, and no more queries over than there are")


@dataclass(frozen=True)
class LoadSearch:
    """The highest Poisson load at which the percentile was shown to keep the limit.

    `lowest_not_met_qps` is the lowest load above it that was not shown to. `unlike` are results
    that contradict each other, in words; `ended` says why the search was over.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    limit_ns: int
    percentile: float
    expected_qps: Optional[float]
    highest_met_qps: Optional[float]
    lowest_not_met_qps: Optional[float]
    runs: Tuple[LoadRun, ...]
    unlike: Tuple[str, ...]
    flaws: Tuple[str, ...]
    ended: str
