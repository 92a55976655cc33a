"""Why a measurement must not support a verdict: pure functions of what was read.

Part of the device slice: Python 3.8. A governor is no flaw: it stands in the record, and what it
does to the clock shows in the latencies.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

from edge.device.facts import CpuTime
from edge.reasoning.stats import drift, quantile, queries_needed
from edge.records.host import HostFacts, HostState, Telemetry
from edge.records.scenario import SERVER, Scenario

# More than this at the end than at the start, or less, and the machine was not steady.
_DRIFT = 0.10
# A Raspberry Pi lowers its clock from 80 degrees on (its documentation, "Frequency management").
_HOT_CELSIUS = 80.0
# Cores that others may have used up, on average, before it counts as a disturbance.
_OTHERS_CORES = 0.25
# Less than this may be what the kernel swapped for others.
_SWAPPED_BYTES = 1 << 20
# Windows for the question whether it became stable: so many, if they have the queries of a p50.
_WINDOWS, _STABLE_WINDOWS, _STABLE = 16, 3, 0.10
# What a processor does at first, until its heat or its power budget catches up with it.
_BURST_NS = 10_000_000_000
_SUSTAINED_NS = 60_000_000_000
# Above this part of the time at work too few queries of a server find nobody before them.
_BUSY = 0.8
_UNHINDERED_PERCENTILE = 10


class Seen(NamedTuple):
    """What was seen of one measurement; `own_s` is the processor time that we took ourselves."""

    latencies: Tuple[int, ...]
    scenario: Scenario
    threads: int
    host: HostFacts
    before: HostState
    after: HostState
    cpu_before: Optional[CpuTime]
    cpu_after: Optional[CpuTime]
    own_s: float
    telemetry: Optional[Telemetry]
    overloaded: bool = False


def flaws_of(seen: Seen) -> Tuple[str, ...]:
    """Return every reason why the measurement must not support a verdict."""
    return (
        *time_flaws(seen.latencies, seen.scenario, overloaded=seen.overloaded),
        *load_flaws(seen.cpu_before, seen.cpu_after, seen.own_s, seen.host, seen.threads),
        *heat_flaws(seen.before, seen.after, seen.telemetry),
        *throttle_flaws(seen.before, seen.after, seen.telemetry),
        *swap_flaws(seen.before, seen.after),
        *quota_flaws(seen.host, seen.threads),
    )


def time_flaws(
    latencies: Sequence[int], scenario: Scenario, *, overloaded: bool = False
) -> Tuple[str, ...]:
    """Tell what the latencies themselves say.

    In every scenario but the server a latency begins when its query does, so that it is the time
    of service. A server's holds the wait for those before it, which chance makes long or short:
    there only the fastest tenth of the queries, who found nobody before them, can be compared,
    and only while it is not too busy for there to be such.
    """
    if scenario.kind == SERVER:
        behind = "it fell behind: queries arrived faster than they were served"
        return (behind,) if overloaded else _server_drift_flaws(latencies, scenario)
    flaws = list(drift_flaws(latencies))
    if settled(latencies) is False:
        text = "it never became stable: no {} windows in a row had medians within {:.0%}"
        flaws.append(text.format(_STABLE_WINDOWS, _STABLE))
    return (*flaws, *_sustained_flaws(latencies))


def drift_flaws(latencies: Sequence[int]) -> Tuple[str, ...]:
    """Tell of a last quarter that is slower or faster than the first."""
    ratio = drift(latencies)
    return () if ratio is None else _drifted(ratio)


def settled(latencies: Sequence[int]) -> Optional[bool]:
    """Return whether three windows in a row had medians within 10 %.

    The windows are of equal time, at most 16, and each has the queries that a p50 needs. None: too
    few queries for three windows.
    """
    least_ns, enough = sum(latencies) / _WINDOWS, queries_needed(50)
    medians: List[int] = []
    begin = spent = 0
    for end, latency in enumerate(latencies, 1):
        spent += latency
        if spent >= least_ns and end - begin >= enough:
            medians.append(quantile(latencies[begin:end], 50))
            begin, spent = end, 0
    if len(medians) < _STABLE_WINDOWS:
        return None
    rows = zip(*(medians[start:] for start in range(_STABLE_WINDOWS)))
    return any(max(row) <= (1 + _STABLE) * min(row) for row in rows)


def load_flaws(
    before: Optional[CpuTime],
    after: Optional[CpuTime],
    own_s: float,
    host: HostFacts,
    threads: int,
) -> Tuple[str, ...]:
    """Tell what others took of the cores meanwhile, by the kernel's own account."""
    if before is None or after is None:
        return ()
    busy, idle = after.busy_s - before.busy_s, after.idle_s - before.idle_s
    stolen = after.stolen_s - before.stolen_s
    elapsed_s = (busy + idle + stolen) / host.cores_online
    if elapsed_s <= 0:
        return ()
    others = (busy - own_s) / elapsed_s
    flaws = []
    if others > max(0, host.cores_online - threads) + _OTHERS_CORES:
        text = "other programs kept {:.1f} of {} cores busy"
        flaws.append(text.format(others, host.cores_online))
    if stolen / elapsed_s > _OTHERS_CORES:
        text = "the hypervisor took {:.1f} of {} cores away"
        flaws.append(text.format(stolen / elapsed_s, host.cores_online))
    return tuple(flaws)


def heat_flaws(
    before: HostState, after: HostState, telemetry: Optional[Telemetry] = None
) -> Tuple[str, ...]:
    """Tell of a processor that was hot at any time."""
    told = [before.temperature_celsius, after.temperature_celsius]
    if telemetry is not None:
        told += [reading.temperature_celsius for reading in telemetry.readings]
    seen = [celsius for celsius in told if celsius is not None]
    if not seen or max(seen) < _HOT_CELSIUS:
        return ()
    return ("the processor was at {:.0f} °C: it may have lowered its clock".format(max(seen)),)


def throttle_flaws(
    before: HostState, after: HostState, telemetry: Optional[Telemetry] = None
) -> Tuple[str, ...]:
    """Tell what held the processor back, at a reading or between two of them."""
    held = [*(before.throttled or ()), *(after.throttled or ())]
    for reading in telemetry.readings if telemetry is not None else ():
        held += reading.throttled or ()
    if before.throttled_before is not None and after.throttled_before is not None:
        held += (name for name in after.throttled_before if name not in before.throttled_before)
    flaws = []
    if held:
        flaws.append("the processor was held back: " + ", ".join(dict.fromkeys(held)))
    if before.throttle_events is not None and after.throttle_events is not None:
        events = after.throttle_events - before.throttle_events
        if events > 0:
            flaws.append("the processor was throttled for heat: {} times".format(events))
    return tuple(flaws)


def swap_flaws(before: HostState, after: HostState) -> Tuple[str, ...]:
    """Tell of memory that went to the swap meanwhile."""
    if before.swap_used_bytes is None or after.swap_used_bytes is None:
        return ()
    more = after.swap_used_bytes - before.swap_used_bytes
    if more < _SWAPPED_BYTES:
        return ()
    return ("the memory was short: {} MiB went to the swap".format(more >> 20),)


def quota_flaws(host: HostFacts, threads: int) -> Tuple[str, ...]:
    """Tell of threads that had to share cores, or the time that a container may use."""
    flaws = []
    if threads > host.cores_allowed:
        flaws.append("{} threads shared {} cores".format(threads, host.cores_allowed))
    if host.cpu_quota is not None and host.cpu_quota < threads:
        text = "{} threads shared a CPU quota of {:g} cores: the container is stopped in between"
        flaws.append(text.format(threads, host.cpu_quota))
    return tuple(flaws)


def _drifted(ratio: float) -> Tuple[str, ...]:
    if abs(ratio - 1) <= _DRIFT:
        return ()
    way = "slower" if ratio > 1 else "faster"
    return ("it drifted: {:.0%} {} at the end than at the start".format(abs(ratio - 1), way),)


def _server_drift_flaws(latencies: Sequence[int], scenario: Scenario) -> Tuple[str, ...]:
    quarter = len(latencies) // 4
    # Arrivals at random see what the server does on average (PASTA), so that one minus its busy
    # part of the queries wait for nobody: more than the tenth that is looked at.
    if quarter * _UNHINDERED_PERCENTILE < 100 * queries_needed(50):
        return ()
    service_ns = quantile(latencies, _UNHINDERED_PERCENTILE)
    if service_ns * (scenario.target_qps or 0.0) > _BUSY * 1e9:
        return ()
    first = quantile(latencies[:quarter], _UNHINDERED_PERCENTILE)
    last = quantile(latencies[-quarter:], _UNHINDERED_PERCENTILE)
    return _drifted(last / max(first, 1))


def _sustained_flaws(latencies: Sequence[int]) -> Tuple[str, ...]:
    """Tell of a speed that lasts for seconds only: the first 10 s against the last half."""
    total = sum(latencies)
    if total < _SUSTAINED_NS:
        return ()
    spent = burst = half = 0
    for place, latency in enumerate(latencies, 1):
        spent += latency
        burst = place if spent <= _BURST_NS else burst
        half = place if spent <= total / 2 else half
    if min(burst, len(latencies) - half) < queries_needed(50):
        return ()
    ratio = quantile(latencies[half:], 50) / max(quantile(latencies[:burst], 50), 1)
    if ratio <= 1 + _DRIFT:
        return ()
    text = "its speed did not last: {:.0%} slower in the last half than in the first 10 s"
    return (text.format(ratio - 1),)
