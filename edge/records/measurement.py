"""What a probe measured, raw latencies and all. Part of the device slice: Python 3.8."""

from dataclasses import dataclass
from typing import ClassVar, Optional, Tuple


@dataclass(frozen=True)
class SessionConfig:
    """How the runtime is set up: our backend's name, threads inside one inference.

    `prepared`: the model file is the form that the runtime itself saved once it had optimised the
    model for the machine, and is not to be optimised again.
    """

    backend: str
    threads: int
    prepared: bool = False

    def __post_init__(self) -> None:
        """Refuse no threads."""
        if self.threads < 1:
            raise ValueError("threads must be at least 1, got {}".format(self.threads))


@dataclass(frozen=True)
class HostFacts:
    """The machine; what cannot be read there is None."""

    machine: str
    system: str
    libc: Optional[str]
    python: str
    cpu_model: Optional[str]
    cpu_features: Tuple[str, ...]
    cores_online: int
    cores_allowed: int
    cpu_quota: Optional[float]
    memory_bytes: Optional[int]
    memory_available_bytes: Optional[int]
    memory_limit_bytes: Optional[int]
    board: Optional[str]


@dataclass(frozen=True)
class HostState:
    """What changes while one measures; read before and after."""

    clock_hz: Optional[int]
    governor: Optional[str]
    temperature_celsius: Optional[float]
    load_1min: Optional[float]
    memory_available_bytes: Optional[int]


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
class Measurement:
    """One measurement of one model under one configuration in one child process.

    Times are integer nanoseconds of a monotonic clock. `load_ns` is from the file to a session,
    `first_inference_ns` the first run; warm-ups are kept apart from `latencies_ns`.
    `flaws` are the reasons why it must not support a verdict; empty when there are none.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

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

    def __post_init__(self) -> None:
        """Reject what no clock gives."""
        if self.provenance not in ("measured", "emulated"):
            raise ValueError("provenance must be measured or emulated")
        if not self.latencies_ns:
            raise ValueError("a measurement needs at least one latency")
        if min(self.latencies_ns) < 0:
            raise ValueError("a latency cannot be negative")
