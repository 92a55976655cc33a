"""What is asked of a model: a TOML file, or the flags of `edgekit advise`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

TrainingMethod = Literal["gradient", "classical"]
# Above this many boards one runs a machine room, whose cost is not in a board's price (assumed).
MOST_BOARDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The demand. Loads are queries a second while the service is on (`hours_per_day`).

    `latency_limit_ms` holds at `percentile` of the response time, waiting included. Money is in
    `currency`; any other than USD needs `exchange_rate`, its units for one US dollar.
    An edge workload has at most `max_boards` boards: more of them are a machine room.
    For training: `training_samples` x `training_epochs` have to be done in `time_budget_s`,
    `training_runs_per_month` times a month.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    name: str = "workload"
    task: Literal["inference", "training"] = "inference"
    latency_limit_ms: float | None = None
    percentile: float = 90.0
    load_per_s: float | None = None
    peak_load_per_s: float | None = None
    hours_per_day: float = 24.0
    budget_per_month: float | None = None
    memory_limit_mib: float | None = None
    power_limit_w: float | None = None
    max_boards: int = MOST_BOARDS
    currency: str = "USD"
    exchange_rate: float | None = None
    training_samples: int | None = None
    training_epochs: float | None = None
    training_method: TrainingMethod = "gradient"
    time_budget_s: float | None = None
    training_runs_per_month: float = 1.0

    def __post_init__(self) -> None:
        """Reject demands that mean nothing."""
        positive = {
            "latency_limit_ms": self.latency_limit_ms,
            "load_per_s": self.load_per_s,
            "peak_load_per_s": self.peak_load_per_s,
            "budget_per_month": self.budget_per_month,
            "memory_limit_mib": self.memory_limit_mib,
            "power_limit_w": self.power_limit_w,
            "exchange_rate": self.exchange_rate,
            "training_samples": self.training_samples,
            "training_epochs": self.training_epochs,
            "time_budget_s": self.time_budget_s,
            "max_boards": self.max_boards,
            "training_runs_per_month": self.training_runs_per_month,
        }
        for key, value in positive.items():
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{key} must be a positive number, got {value}")
        if not 0 < self.percentile < 100:
            raise ValueError(f"percentile must lie between 0 and 100, got {self.percentile}")
        if not 0 < self.hours_per_day <= 24:
            raise ValueError(f"hours_per_day must be above 0, at most 24, got {self.hours_per_day}")
        if self.currency != "USD" and self.exchange_rate is None:
            raise ValueError(f"exchange_rate is needed: {self.currency} for one USD")
        if self.load_per_s and self.peak_load_per_s and self.peak_load_per_s < self.load_per_s:
            raise ValueError("peak_load_per_s is below load_per_s")
