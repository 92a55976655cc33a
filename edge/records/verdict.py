"""The answer: which kind of machine, why, at what cost, and where the answer flips."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from edge.records.target import TargetKind
from edge.records.workload import Workload

Fit = Literal["fits", "does-not-fit", "undecided"]
Provenance = Literal["measured", "predicted", "none"]
Answer = Literal["edge", "cloud-cpu", "cloud-gpu", "undecided", "nothing-fits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One target for the workload. Latencies are response times at the workload's percentile.

    The interval [low, high] holds the truth with 90 % confidence; `high_ns` None means no upper
    bound is known. `replicas` machines carry the peak load at `utilisation` each. `headroom` is
    limit over upper latency. `binding` names the limit that decided. Costs are in the workload's
    currency; `replicas` and what follows is None where they cannot be known.
    """

    target: str
    title: str
    kind: TargetKind
    fit: Fit
    binding: Literal[
        "none", "latency", "load", "memory", "operators", "power", "budget", "task", "measurement"
    ]
    reason: str
    provenance: Provenance
    basis: str
    service_low_ns: int | None
    service_typical_ns: int | None
    service_high_ns: int | None
    low_ns: int | None
    typical_ns: int | None
    high_ns: int | None
    replicas: int | None
    utilisation: float | None
    headroom: float | None
    capacity_per_s: float | None
    cost_per_month: float | None
    cost_per_million: float | None
    next_command: str | None

    @property
    def fits(self) -> bool:
        """Whether the evidence says that it fits."""
        return self.fit == "fits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """A load at which the cheapest feasible target changes."""

    load_per_s: float
    below: str
    above: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPoint:
    """Cost a month of every feasible target at one load, for the plot; None: not feasible."""

    load_per_s: float
    cost_per_month: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """A figure that entered the verdict, and where it comes from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to rent or buy for the workload; `chosen` is the cheapest target that fits."""

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    answer: Answer
    chosen: str | None
    reason: str
    model: str
    model_sha256: str
    workload: Workload
    candidates: tuple[Candidate, ...]
    crossovers: tuple[Crossover, ...]
    plotted_targets: tuple[str, ...]
    cost_points: tuple[CostPoint, ...]
    assumptions: tuple[Assumption, ...]
    next_command: str | None
    edgekit_version: str

    def __post_init__(self) -> None:
        """Require that the chosen target is one that fits."""
        fitting = {c.target for c in self.candidates if c.fits}
        if self.chosen is not None and self.chosen not in fitting:
            raise ValueError(f"chosen target {self.chosen} does not fit")
