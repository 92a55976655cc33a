"""What a comparison of measurements says: is B slower than A, and may one believe it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

Answer = Literal["faster", "slower", "same", "undecided"]
Test = Literal["signed-rank of rounds", "rank-sum of rounds", "rank-sum of blocks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """Something in which A and B are not alike; if it `decides`, no gate may pass on them."""

    what: str
    a: str
    b: str
    decides: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One measurement against another, at one percentile of the latency.

    `a_ns`, `b_ns` are the medians of the samples that the test compares: percentiles of rounds or
    of blocks; None where the queries are too few for one. `shift_ns` estimates B minus A
    (Hodges-Lehmann) with the interval from `low_ns` to `high_ns`. A change counts beyond
    `threshold_ns`, the larger of `floor_ns` and the allowed share of A. `more` of `more_of` in each
    would decide what is undecided.
    """

    name: str
    target: str | None
    runtime: str
    threads: int
    scenario: str
    host: str
    test: Test
    samples_a: int
    samples_b: int
    a_ns: float | None
    b_ns: float | None
    shift_ns: float | None
    low_ns: float | None
    high_ns: float | None
    p_value: float | None
    threshold_ns: float | None
    floor_ns: float
    answer: Answer
    reason: str
    more: int | None
    more_of: Literal["rounds", "queries"]
    unlike: tuple[Unlike, ...]
    flaws_a: tuple[str, ...]
    flaws_b: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """Whether a gate may go by it: no flaws, and nothing unlike that decides."""
        return not (self.flaws_a or self.flaws_b or any(u.decides for u in self.unlike))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """Measurements of A against those of B; what stands in one of them alone is named."""

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    a: str
    b: str
    percentile: float
    max_increase: float
    confidence: float
    edgekit_version: str
    pairs: tuple[Comparison, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse figures that mean nothing."""
        if not 0 < self.percentile < 100:
            raise ValueError("a percentile lies between 0 and 100")
        if not 0 < self.confidence < 1:
            raise ValueError("a confidence lies between 0 and 1")
        if self.max_increase < 0:
            raise ValueError("max_increase cannot be negative")
