"""The gate: hold a measurement to limits."""

from edge.errors import UsageError
from edge.reasoning.stats import percentile_interval, quantile, queries_needed
from edge.reasoning.unlike import scenario_name
from edge.records.check import Check, CheckLimits, LimitResult, Unit
from edge.records.measurement import Measurement
from edge.records.scenario import SERVER
from edge.units import UNKNOWN, format_bytes, format_ns, three_digits


def limits_from(
    *,
    max_p50_ms: float | None = None,
    max_p90_ms: float | None = None,
    max_p99_ms: float | None = None,
    max_load_ms: float | None = None,
    max_first_ms: float | None = None,
    max_memory_mib: float | None = None,
    min_per_s: float | None = None,
    max_dropped: float | None = None,
) -> CheckLimits:
    """Take the limits as the options give them; `max_dropped` is a share from 0 to 1.

    Raises:
        UsageError: a limit is negative or not finite, or a share above 1.
    """
    times = (max_p50_ms, max_p90_ms, max_p99_ms, max_load_ms, max_first_ms)
    p50, p90, p99, load, first = (None if ms is None else ms * 1e6 for ms in times)
    try:
        return CheckLimits(
            max_p50_ns=p50,
            max_p90_ns=p90,
            max_p99_ns=p99,
            max_load_ns=load,
            max_first_ns=first,
            max_memory_bytes=None if max_memory_mib is None else max_memory_mib * 2**20,
            min_per_s=min_per_s,
            max_dropped_share=max_dropped,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def check_measurement(measurement: Measurement, limits: CheckLimits) -> Check:
    """Hold a measurement to limits: each is passed, missed or not shown.

    A percentile passes if it may be quoted (MLPerf's early-stopping rule) and is within the limit;
    an interval that reaches over the limit is told in a note. With too few queries it is not
    shown, or missed where even the lower bound is above. What is unknown is not shown.
    """
    emulated = () if measurement.provenance == "measured" else ("emulated time is no time",)
    runtime = measurement.runtime
    return Check(
        model=measurement.model.name,
        model_sha256=measurement.model.sha256,
        target=measurement.target,
        runtime=f"{runtime.distribution} {runtime.version}",
        threads=runtime.threads,
        scenario=scenario_name(measurement.scenario),
        host=measurement.host.board or measurement.host.cpu_model or UNKNOWN,
        queries=len(measurement.latencies_ns),
        started_unix_ns=measurement.started_unix_ns,
        edgekit_version=measurement.edgekit_version,
        results=tuple(_results(measurement, limits)),
        flaws=(*emulated, *measurement.flaws),
    )


def exit_code(check: Check) -> int:
    """Return the status of the gate: 7, 13, 12 or 0, the first that holds.

    7: flawed, so that nothing counts: measure again; 13: a limit is missed; 12: one is not shown.
    """
    if not check.trusted:
        return 7
    outcomes = {result.outcome for result in check.results}
    if "missed" in outcomes:
        return 13
    return 12 if "not-shown" in outcomes else 0


def told(value: float | None, unit: Unit) -> str:
    """Say a figure of a limit: `50 ms`, `80 MiB`, `20 a second`, `1 %`."""
    if value is None:
        return UNKNOWN
    if unit == "ns":
        return format_ns(value)
    if unit == "bytes":
        return format_bytes(value)
    return f"{three_digits(value)} a second" if unit == "per_s" else f"{100 * value:.3g} %"


def _results(m: Measurement, limits: CheckLimits) -> list[LimitResult]:
    found = []
    percentiles = ((50.0, limits.max_p50_ns), (90.0, limits.max_p90_ns), (99.0, limits.max_p99_ns))
    for percentile, limit in percentiles:
        if limit is not None:
            found.append(_percentile(m, percentile, limit))
    most: tuple[tuple[str, Unit, float | None, float | None, str], ...] = (
        ("load", "ns", limits.max_load_ns, m.load_ns, ""),
        ("first inference", "ns", limits.max_first_ns, m.first_inference_ns, ""),
        (
            "peak memory",
            "bytes",
            limits.max_memory_bytes,
            m.peak_memory_bytes,
            "this machine does not tell it",
        ),
        (
            "dropped frames",
            "share",
            limits.max_dropped_share,
            _dropped(m),
            "no source of frames was measured",
        ),
    )
    for name, unit, limit, measured, unknown in most:
        if limit is not None:
            found.append(_figure(name, unit, limit, measured, unknown))
    if limits.min_per_s is not None:
        unknown = "how long it took in all is not recorded"
        found.append(
            _figure("throughput", "per_s", limits.min_per_s, _per_s(m), unknown, most=False)
        )
    return found


def _dropped(m: Measurement) -> float | None:
    frames = m.frames
    return None if frames is None or frames.offered == 0 else frames.dropped / frames.offered


def _per_s(m: Measurement) -> float | None:
    # One after the other the latencies are the duration; arrivals at random leave gaps.
    duration = m.duration_ns
    if duration is None and m.scenario.kind != SERVER:
        duration = sum(m.latencies_ns)
    if not duration:
        return None
    return len(m.latencies_ns) * m.scenario.samples_per_query * 1e9 / duration


def _figure(
    name: str, unit: Unit, limit: float, measured: float | None, unknown: str, *, most: bool = True
) -> LimitResult:
    if measured is None:
        return LimitResult(
            name=name, unit=unit, limit=limit, measured=None, outcome="not-shown", reason=unknown
        )
    kept = measured <= limit if most else measured >= limit
    sign = {(True, True): "within", (False, True): "above", (True, False): "at least"}
    where = sign.get((kept, most), "below")
    return LimitResult(
        name=name,
        unit=unit,
        limit=limit,
        measured=measured,
        outcome="passed" if kept else "missed",
        reason=f"{told(measured, unit)} is {where} {told(limit, unit)}",
    )


def _percentile(m: Measurement, percentile: float, limit: float) -> LimitResult:
    name, latencies = f"p{percentile:g} latency", m.latencies_ns
    missing = queries_needed(percentile) - len(latencies)
    bounds = percentile_interval(latencies, percentile)
    if missing > 0 and bounds is not None and bounds[0] > limit:
        lower = f"even its lower bound, {format_ns(bounds[0])}, is above {format_ns(limit)}"
        return LimitResult(
            name=name, unit="ns", limit=limit, measured=None, outcome="missed", reason=lower
        )
    if missing > 0:
        needs = f"needs {missing} more queries"
        return LimitResult(
            name=name, unit="ns", limit=limit, measured=None, outcome="not-shown", reason=needs
        )
    result = _figure(name, "ns", limit, float(quantile(latencies, percentile)), "")
    if bounds is None or not bounds[0] <= limit < bounds[1]:
        return result
    low, high = (format_ns(bound) for bound in bounds)
    note = f"close: the 95 % interval, {low} to {high}, reaches over the limit"
    return LimitResult(
        name=name,
        unit="ns",
        limit=limit,
        measured=result.measured,
        outcome=result.outcome,
        reason=result.reason,
        note=note,
    )
