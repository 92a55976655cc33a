"""Joules per inference, in a pass of its own. Device slice: Python 3.8.

A pass of its own, so that the latencies need not wait for a meter that is read often. The energy
is what the meter says between the first query's start and the end of the last one; between two readings of a
meter its power is taken to change evenly.
"""

import os
import time
from bisect import bisect_right
from typing import Any, Callable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from edge.device.meter_file import Point, read_meter_file
from edge.device.meters import Meter, Rapl, meter_of
from edge.device.telemetry import Sampler
from edge.errors import EdgekitError
from edge.records.host import Energy

# A Jetson's rails are new every 50 to 100 ms, RAPL every millisecond, a plug's meter every second.
PASS_S = 3.0
FILE_PASS_S = 10.0
_INTERVAL_S = 0.1
_IDLE_S = 2.0
_LEAST_UPDATES = 3
# How long to wait for a meter's file to reach the end of the pass.
_LATE_S, _LOOK_S = 10.0, 0.25
_NS = 1_000_000_000

# Runs the child, calls what it is given with the process number, and returns the answer.
Pass = Callable[[Optional[Callable[[int], None]]], Mapping[str, Any]]


class Window(NamedTuple):
    """A part of the time, in ns since 1970."""

    start_ns: int
    end_ns: int


class _Missing(Exception):
    """There is no energy, for this reason."""


def measure_energy(
    run: Pass, *, samples_per_query: int = 1, meter: Optional[str] = None, root: str = "/"
) -> Tuple[Optional[Energy], Optional[str]]:
    """Return the energy of one pass of `run`, or None and the reason why it is not known.

    `meter` is an external meter's file; without it the machine's own meter is read under `root`.
    A sample is an inference: a query of eight counts eight.
    """
    try:
        return _measured(run, samples_per_query, meter, root), None
    except _Missing as reason:
        return None, str(reason)
    except EdgekitError as error:
        # What was measured before is worth keeping.
        return None, "the energy pass failed: {}".format(error)


def joules_between(curve: Sequence[Point], window: Window) -> Optional[float]:
    """Return the energy within a window of a curve of cumulated joules; None: it is not covered."""
    start, end = (_joules_at(curve, at_ns) for at_ns in window)
    return None if start is None or end is None else end - start


def cumulated(watts: Sequence[Point]) -> List[Point]:
    """Return the curve of joules that readings of power make, by trapezes."""
    curve: List[Point] = []
    joules = 0.0
    for place, (at_ns, value) in enumerate(watts):
        if place:
            before_ns, before = watts[place - 1]
            joules += (before + value) / 2 * (at_ns - before_ns) / _NS
        curve.append((at_ns, joules))
    return curve


def window_of(answer: Mapping[str, Any]) -> Window:
    """Return when a child ran its queries, from its answer.

    Where it does not tell when the first one began, that is what went before it, added up.
    """
    begun = answer.get("timed_unix_ns")
    if begun is None:
        parts = ("started_unix_ns", "import_ns", "load_ns", "first_inference_ns")
        begun = sum(answer[part] for part in parts) + sum(answer["warmup_ns"])
    length = answer.get("duration_ns") or sum(answer["latencies_ns"])
    return Window(begun, begun + length)


def _measured(run: Pass, samples: int, meter: Optional[str], root: str) -> Energy:
    if meter is not None:
        source = "meter file " + os.path.basename(meter)
        start_ns = time.time_ns()
        time.sleep(_IDLE_S)
        resting = Window(start_ns, time.time_ns())
        answer = run(None)
        busy = window_of(answer)
        watts = _arrived(meter, busy)
        idle, curve = cumulated(watts), cumulated(watts)
    else:
        own, reason = meter_of(root)
        if own is None:
            raise _Missing(reason)
        source = own.source or ""
        try:
            idle = _curve(own, _rested(own))
            resting = Window(idle[0][0], idle[-1][0])
            answer, curve = _sampled(own, run)
        finally:
            own.close()
        busy = window_of(answer)
    joules = joules_between(curve, busy)
    updates = sum(busy.start_ns <= at_ns <= busy.end_ns for at_ns, _ in curve)
    if joules is None or updates < _LEAST_UPDATES:
        text = "{}: {} readings within the pass of {:.1f} s, and not from its start to its end"
        if joules is not None:
            text = "{}: {} readings within the pass of {:.1f} s, and 3 are needed"
        raise _Missing(text.format(source, updates, (busy.end_ns - busy.start_ns) / _NS))
    if joules <= 0:
        raise _Missing("{} stood still during the pass".format(source))
    return _energy(
        source, len(answer["latencies_ns"]) * samples, busy, joules, _mean(idle, resting)
    )


def _energy(
    source: str, inferences: int, busy: Window, joules: float, idle_watts: Optional[float]
) -> Energy:
    duration_ns = busy.end_ns - busy.start_ns
    above = None
    if idle_watts is not None:
        above = (joules - idle_watts * duration_ns / _NS) / inferences
    return Energy(
        source=source,
        inferences=inferences,
        duration_ns=duration_ns,
        watts=joules * _NS / duration_ns,
        joules_per_inference=joules / inferences,
        idle_watts=idle_watts,
        above_idle_joules=above,
    )


def _mean(curve: Sequence[Point], window: Window) -> Optional[float]:
    """Return the mean power of a window, None where the meter did not cover it."""
    joules = joules_between(curve, window)
    length_ns = window.end_ns - window.start_ns
    return None if joules is None or length_ns <= 0 else joules * _NS / length_ns


def _rested(meter: Meter) -> List[Tuple[int, Optional[float]]]:
    """Read the meter of the resting machine."""
    read = _reader(meter)
    readings = [(time.time_ns(), read())]
    until = time.monotonic() + _IDLE_S
    while time.monotonic() < until:
        time.sleep(_INTERVAL_S)
        readings.append((time.time_ns(), read()))
    return readings


def _sampled(meter: Meter, run: Pass) -> Tuple[Mapping[str, Any], List[Point]]:
    read = _reader(meter)
    with Sampler(read, interval_s=_INTERVAL_S, clock=time.time_ns) as sampler:
        answer = run(sampler.start)
    # The last one may have come before the end of the last query.
    return answer, _curve(meter, [*sampler.readings, (time.time_ns(), read())])


def _reader(meter: Meter) -> Callable[[], Optional[float]]:
    return meter.joules if isinstance(meter, Rapl) else meter.watts


def _curve(meter: Meter, readings: Sequence[Tuple[int, Optional[float]]]) -> List[Point]:
    known = [(at_ns, value) for at_ns, value in readings if value is not None]
    if not known:
        raise _Missing("{} could not be read any more".format(meter.source))
    return known if isinstance(meter, Rapl) else cumulated(known)


def _arrived(path: str, window: Window) -> List[Point]:
    """Read a meter's file once it has come to the end of the window, or has not for long."""
    until = time.monotonic() + _LATE_S
    while True:
        try:
            points = read_meter_file(path)
            if points and points[-1][0] >= window.end_ns:
                return points
        except EdgekitError as error:
            if time.monotonic() >= until:
                raise _Missing(str(error)) from error
        else:
            if time.monotonic() >= until:
                return points
        time.sleep(_LOOK_S)


def _joules_at(curve: Sequence[Point], at_ns: int) -> Optional[float]:
    if not curve or not curve[0][0] <= at_ns <= curve[-1][0]:
        return None
    place = bisect_right([when for when, _ in curve], at_ns)
    before_ns, before = curve[place - 1]
    if before_ns == at_ns:
        return before
    after_ns, after = curve[place]
    return before + (after - before) * (at_ns - before_ns) / (after_ns - before_ns)
