"""What a probe measured, raw latencies and all. Part of the device slice: Python 3.8."""

from dataclasses import dataclass
from typing import ClassVar, Final, Optional, Tuple

from edge.records.host import Energy, HostFacts, HostState, Telemetry
from edge.records.scenario import ONE_BY_ONE, Scenario

# From the fewest to the most that a runtime does to a graph before it runs it.
GRAPH_LEVELS: Final = ("disabled", "basic", "extended", "all")


@dataclass(frozen=True)
class SessionConfig:
    """How the runtime is set up: our backend's name, threads inside one inference.

    `prepared`: the model file is the form that the runtime itself saved once it had optimised the
    model for the machine, and is not to be optimised again. `graph_level` is how far the runtime
    optimises the graph, `provider` the execution provider (or delegate) that is asked for; None is
    what the backend takes by itself: all of it, on the CPU.
    """

    backend: str
    threads: int
    prepared: bool = False
    graph_level: Optional[str] = None
    provider: Optional[str] = None

    def __post_init__(self) -> None:
        """Refuse no threads, and levels that there are not."""
        if self.threads < 1:
            raise ValueError("threads must be at least 1, got {}".format(self.threads))
        if self.graph_level not in (None, *GRAPH_LEVELS):
            raise ValueError("graph_level must be one of " + ", ".join(GRAPH_LEVELS))


@dataclass(frozen=True)
class ModelRef:
    """Which model was measured."""

    name: str
    format: str
    sha256: str
    file_bytes: int


@dataclass(frozen=True)
class RuntimeRef:
    """Which runtime ran it, and on what: execution providers or delegates really in use."""

    distribution: str
    version: str
    providers: Tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class Stage:
    """One part of what a program does for a query, such as decode, resize or inference."""

    name: str
    latencies_ns: Tuple[int, ...]


@dataclass(frozen=True)
class Frames:
    """What became of a source's frames: those that came while one was in work were dropped."""

    source: str
    per_s: float
    offered: int
    dropped: int


@dataclass(frozen=True)
class Measurement:
    """One measurement of one model under one configuration in one child process.

    Times are integer nanoseconds of a monotonic clock. `load_ns` is from the file to a session,
    `first_inference_ns` the first run; warm-ups are kept apart from `latencies_ns`, of which there
    is one a query. In the scenario server a latency begins at the scheduled arrival, otherwise
    with the query. `duration_ns` is from the first query to the end of the last.
    `loop_overhead_ns` is what the timing loop reports of a query that does nothing (the median).
    `stages` are of a pass of its own, with real input; `energy_missing` says why there is no
    `energy`. `rounds` are the queries of each process, in order, where several were put together.
    `flaws` are the reasons why it must not support a verdict; empty when there are none.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.1"

    provenance: str
    started_unix_ns: int
    edgekit_version: str
    target: Optional[str]
    model: ModelRef
    config: SessionConfig
    runtime: RuntimeRef
    host: HostFacts
    before: HostState
    after: HostState
    import_ns: int
    load_ns: int
    first_inference_ns: int
    warmup_ns: Tuple[int, ...]
    latencies_ns: Tuple[int, ...]
    peak_memory_bytes: Optional[int]
    memory_before_load_bytes: Optional[int]
    flaws: Tuple[str, ...]
    scenario: Scenario = ONE_BY_ONE
    duration_ns: Optional[int] = None
    loop_overhead_ns: Optional[int] = None
    telemetry: Optional[Telemetry] = None
    stages: Tuple[Stage, ...] = ()
    frames: Optional[Frames] = None
    energy: Optional[Energy] = None
    energy_missing: Optional[str] = None
    rounds: Tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Reject what no clock gives."""
        if self.provenance not in ("measured", "emulated"):
            raise ValueError("provenance must be measured or emulated")
        if not self.latencies_ns:
            raise ValueError("a measurement needs at least one latency")
        if min(self.latencies_ns) < 0:
            raise ValueError("a latency cannot be negative")
        if self.rounds and sum(self.rounds) != len(self.latencies_ns):
            raise ValueError("the rounds must add up to the queries")
