"""What a gate says of one measurement: each limit passed, missed or not shown."""

import math
from dataclasses import dataclass, fields
from typing import ClassVar, Literal

Outcome = Literal["passed", "missed", "not-shown"]
Unit = Literal["ns", "bytes", "per_s", "share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckLimits:
    """Limits that a measurement is held to; None is no limit.

    `max_dropped_share` is of the frames that a source offered, from 0 to 1.
    """

    max_p50_ns: float | None = None
    max_p90_ns: float | None = None
    max_p99_ns: float | None = None
    max_load_ns: float | None = None
    max_first_ns: float | None = None
    max_memory_bytes: float | None = None
    min_per_s: float | None = None
    max_dropped_share: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that nothing can be held to."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{field.name} must be 0 or more, and finite")
        if (self.max_dropped_share or 0) > 1:
            raise ValueError("max_dropped_share lies between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitResult:
    """One limit: what it allows, what was measured (None: unknown), and what follows.

    `note` says that a limit which is passed or missed is close to being the other.
    """

    name: str
    unit: Unit
    limit: float
    measured: float | None
    outcome: Outcome
    reason: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A measurement held to its limits; with `flaws` none of the results counts."""

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    model: str
    model_sha256: str
    target: str | None
    runtime: str
    threads: int
    scenario: str
    host: str
    queries: int
    started_unix_ns: int
    edgekit_version: str
    results: tuple[LimitResult, ...]
    flaws: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """Whether the results count."""
        return not self.flaws
