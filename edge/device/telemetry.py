"""Reads the machine while it measures, from a thread that keeps off the measured cores.

Part of the device slice: Python 3.8. The thread starts when the child has been started, so that
nothing is forked beside it, and is joined whatever happens. A reading is one pread(2) for each of
the files, which stay open. /proc/cpuinfo is not among them: it is long, and on older x86 kernels
its clocks are asked of every core by an interrupt.
"""

import os
import re
import threading
import time
from dataclasses import replace
from typing import Any, Callable, Generic, List, Optional, Set, Tuple, TypeVar

from edge.device.boards import Throttling
from edge.device.facts import temperature_file
from edge.device.meters import Rapl, meter_of
from edge.device.tree import KeptOpen, number_of, text_of
from edge.records.host import HostFacts, Reading, Telemetry

INTERVAL_S = 0.25
_MOST_READINGS = 600
_NS = 1_000_000_000
_CPU = "sys/devices/system/cpu/"

Value = TypeVar("Value")


class Sampler(Generic[Value]):
    """Calls `read` every `interval_s` from `start` on until the block is left.

    With `core`, the readings are pinned to it, and so is this thread meanwhile; the started child
    gets the other cores. Beyond 600 readings every second one is dropped, and the interval doubled.
    """

    def __init__(
        self,
        read: Callable[[], Value],
        *,
        interval_s: float = INTERVAL_S,
        core: Optional[int] = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """Prepare; nothing runs yet. `clock` gives the nanoseconds of a reading."""
        self._read, self._clock = read, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._allowed: Optional[Set[int]] = None
        self.interval_s, self.core = interval_s, core
        self.started_ns = 0
        self.readings: List[Tuple[int, Value]] = []
        self.costs_ns: List[int] = []

    def __enter__(self) -> "Sampler[Value]":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, join the thread, and give this thread its cores back."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._allowed is not None:
            os.sched_setaffinity(0, self._allowed)
            self._allowed = None

    def start(self, pid: int) -> None:
        """Start, with the process `pid` on the cores that are left to it."""
        if self.core is not None:
            self._part(pid, self.core)
        self.started_ns = self._clock()
        self._thread.start()

    def _part(self, pid: int, core: int) -> None:
        allowed = os.sched_getaffinity(0)
        try:
            # A fork may have threads; what it starts from now on inherits the cores.
            for task in os.listdir("/proc/{}/task".format(pid)):
                try:
                    os.sched_setaffinity(int(task), allowed - {core})
                except ProcessLookupError:
                    continue  # One of its threads has just ended; the others count.
            os.sched_setaffinity(0, {core})
        except OSError:
            # It has ended already, or some sandbox forbids it.
            self.core = None
            return
        self._allowed = allowed

    def _run(self) -> None:
        while True:
            begin = time.thread_time_ns()
            at_ns = self._clock()
            value = self._read()
            self.costs_ns.append(time.thread_time_ns() - begin)
            self.readings.append((at_ns, value))
            if len(self.readings) > _MOST_READINGS:
                del self.readings[1::2]
                self.interval_s *= 2
            if self._stop.wait(self.interval_s):
                return


class Machine:
    """What is read of a machine while it measures; close it in the end."""

    def __init__(self, root: str = "/") -> None:
        """Open what there is under the root."""
        self._clock = KeptOpen(root, _CPU + "cpu0/cpufreq/scaling_cur_freq")
        self._temperature = KeptOpen(root, temperature_file(root) or "")
        self._memory = KeptOpen(root, "proc/meminfo")
        self._throttling = Throttling(root)
        self._meter = meter_of(root)[0]
        self._last: Optional[Tuple[int, float]] = None

    def read(self) -> Reading:
        """Return how the machine is doing; its time is left to the caller."""
        khz, heat = self._clock.number(), self._temperature.number()
        # "MemAvailable:" stands in the third line.
        free = re.search(r"MemAvailable:\s+(\d+) kB", self._memory.text() or "")
        return Reading(
            at_ns=0,
            clock_hz=None if khz is None else int(khz * 1000),
            temperature_celsius=None if heat is None else heat / 1000,
            throttled=self._throttling.read().now,
            memory_available_bytes=int(free.group(1)) << 10 if free else None,
            power_watts=self._watts(),
        )

    def close(self) -> None:
        """Close the files."""
        files: List[Any] = [self._clock, self._temperature, self._memory, self._throttling]
        for file in [*files, self._meter]:
            if file is not None:
                file.close()

    def _watts(self) -> Optional[float]:
        if not isinstance(self._meter, Rapl):
            return None if self._meter is None else self._meter.watts()
        joules, now = self._meter.joules(), time.perf_counter_ns()
        if joules is None:
            return None
        last, self._last = self._last, (now, joules)
        return None if last is None else (joules - last[1]) * _NS / (now - last[0])


def telemetry_of(sampler: Sampler[Reading]) -> Optional[Telemetry]:
    """Return what a sampler has read, None where it was never started."""
    if not sampler.readings:
        return None
    costs = sorted(sampler.costs_ns)
    return Telemetry(
        interval_ns=int(sampler.interval_s * _NS),
        cost_ns=costs[len(costs) // 2],
        total_cost_ns=sum(costs),
        core=sampler.core,
        readings=tuple(
            replace(reading, at_ns=max(0, at_ns - sampler.started_ns))
            for at_ns, reading in sampler.readings
        ),
    )


def spare_core(host: HostFacts, threads: int, root: str = "/") -> Optional[int]:
    """Return the core to leave to the readings: the last one of the slowest that we may use.

    None where the threads need all of them, or the quota. How fast a core is says cpu_capacity
    (Documentation/ABI/testing/sysfs-devices-system-cpu), on Arm's mixed clusters.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if threads >= min(len(allowed), host.cores_allowed):
        return None
    if host.cpu_quota is not None and host.cpu_quota <= threads:
        return None

    def rank(core: int) -> Tuple[float, int]:
        capacity = number_of(text_of(root, "{}cpu{}/cpu_capacity".format(_CPU, core)))
        return capacity or 0.0, -core

    return min(allowed, key=rank)
