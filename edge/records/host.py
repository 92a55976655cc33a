"""The machine that something was measured on. Part of the device slice: Python 3.8."""

from dataclasses import dataclass
from typing import Optional, Tuple


@dataclass(frozen=True)
class HostFacts:
    """The machine; what cannot be read there is None.

    `power_mode` is what a board calls it, such as a Jetson's MAXN or 5W. `boost`: whether the
    processor may go above its nominal clock.
    """

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
    swap_bytes: Optional[int] = None
    clock_most_hz: Optional[int] = None
    power_mode: Optional[str] = None
    boost: Optional[bool] = None


@dataclass(frozen=True)
class HostState:
    """What changes while one measures; read before and after.

    `clocks_hz` is of each core that is online, `clock_hz` of the first. `throttled` names what
    holds the processor back at this moment, `throttled_before` what did since the machine was
    started; both are empty where the machine says that nothing does, and None where it does not
    tell. `throttle_events` counts them where the kernel does.
    """

    clock_hz: Optional[int]
    governor: Optional[str]
    temperature_celsius: Optional[float]
    load_1min: Optional[float]
    memory_available_bytes: Optional[int]
    clocks_hz: Tuple[int, ...] = ()
    swap_used_bytes: Optional[int] = None
    throttled: Optional[Tuple[str, ...]] = None
    throttled_before: Optional[Tuple[str, ...]] = None
    throttle_events: Optional[int] = None


@dataclass(frozen=True)
class Reading:
    """The machine at one moment of a measurement, `at_ns` after its child was started."""

    at_ns: int
    clock_hz: Optional[int]
    temperature_celsius: Optional[float]
    throttled: Optional[Tuple[str, ...]]
    memory_available_bytes: Optional[int]
    power_watts: Optional[float] = None


@dataclass(frozen=True)
class Telemetry:
    """What was read during a measurement, and what the reading cost.

    `cost_ns` is the processor time of one reading (the median), `total_cost_ns` that of all.
    `core` is the one that the readings were pinned to, which the measured child left alone; None:
    there was none to spare.
    """

    interval_ns: int
    cost_ns: int
    total_cost_ns: int
    core: Optional[int]
    readings: Tuple[Reading, ...]


@dataclass(frozen=True)
class Energy:
    """Energy of inferences in a pass of its own, from the meter `source`.

    `watts` is the mean power during the pass, `idle_watts` that of the resting machine before it;
    `joules_per_inference` is all of the power, `above_idle_joules` what is left without the idle.
    """

    source: str
    inferences: int
    duration_ns: int
    watts: float
    joules_per_inference: float
    idle_watts: Optional[float] = None
    above_idle_joules: Optional[float] = None
