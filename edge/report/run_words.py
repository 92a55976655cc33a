"""A measurement's scenario, throughput, energy, frames and processes, in words."""

from collections.abc import Sequence

from edge.reasoning.stats import (
    claimed_latency,
    quantile,
    queries_for,
    refutes_limit,
    supports_limit,
    throughput_per_s,
)
from edge.records.host import Energy, Telemetry
from edge.records.measurement import Measurement
from edge.records.scenario import MULTI_STREAM, OFFLINE, SERVER
from edge.report.text import number_text, percentile_name, plural
from edge.units import format_ns, three_digits


def scenario_sentence(measurement: Measurement) -> str:
    """Say how the inferences were asked for, and what a latency is of."""
    scenario = measurement.scenario
    samples = plural(scenario.samples_per_query, "sample")
    together = "in one batch" if scenario.batched else "one after the other"
    many = f"{samples} {together}" if scenario.samples_per_query > 1 else samples
    if scenario.kind == OFFLINE:
        return f"Offline: all samples are there from the start; a latency is that of {many}."
    if scenario.kind == MULTI_STREAM:
        return f"Multi-stream: one query after the other, each of {many}."
    if scenario.kind == SERVER and scenario.target_qps is not None:
        load = number_text(scenario.target_qps)
        return (
            f"Server: {load} queries a second at random (Poisson); a latency begins at the "
            "scheduled arrival, so it holds the wait."
        )
    return "Single-stream: one query after the other, each of one sample."


def claims_sentence(measurement: Measurement, percentiles: Sequence[float]) -> str | None:
    """Say what MLPerf's early stopping lets one claim; None offline, where a batch is no query."""
    if measurement.scenario.kind == OFFLINE:
        return None
    claims = [
        f"{percentile_name(percentile)} {format_ns(latency)}"
        for percentile in percentiles
        if (latency := claimed_latency(measurement.latencies_ns, percentile)) is not None
    ]
    if not claims:
        return None
    return f"By MLPerf's early stopping one may claim, 99 % sure: {', '.join(claims)}."


def limit_sentence(measurement: Measurement) -> str | None:
    """Say whether a server run shows that the limit is kept; None without a limit."""
    scenario, percentile = measurement.scenario, measurement.scenario.quoted_percentile
    if scenario.limit_ns is None or percentile is None or scenario.target_qps is None:
        return None
    limit, count = scenario.limit_ns, len(measurement.latencies_ns)
    over = sum(latency > limit for latency in measurement.latencies_ns)
    what = (
        f"{percentile_name(percentile)} within {format_ns(limit)} at "
        f"{number_text(scenario.target_qps)} queries/s"
    )
    late = f"{over:,} of {plural(count, 'query', 'queries')} were over"
    if supports_limit(count, over, percentile):
        return f"{what}: shown at 99 % confidence; {late}."
    if refutes_limit(count, over, percentile):
        return f"{what}: missed; {late}."
    more = plural(queries_for(over, percentile) - count, "query", "queries")
    return f"{what}: not shown; {late}. It needs {more} more within the limit."


def throughput_text(measurement: Measurement) -> tuple[str, str] | None:
    """Say the throughput and its 95 % interval; None where the scenario has none."""
    found = throughput_per_s(measurement)
    if found is None:
        return None
    unit = "samples/s" if measurement.scenario.kind == OFFLINE else "queries/s"
    if found.low_per_s is None or found.high_per_s is None:
        return f"{number_text(found.per_s)} {unit}", "too few batches for an interval"
    low, high = number_text(found.low_per_s), number_text(found.high_per_s)
    span = low if low == high else f"{low}–{high}"
    return f"{number_text(found.per_s)} {unit}", f"{span}, 95 % sure"


def energy_text(energy: Energy) -> tuple[str, str]:
    """Say the energy of an inference, and where the figure comes from."""
    told = [f"{plural(energy.inferences, 'inference')} at {three_digits(energy.watts)} W"]
    if energy.above_idle_joules is not None:
        told.append(f"{joules_text(energy.above_idle_joules)} above idle")
    return joules_text(energy.joules_per_inference), "; ".join([*told, energy.source])


def joules_text(joules: float) -> str:
    """Say an energy: `12.3 mJ`."""
    for step, unit in ((1.0, "J"), (1e-3, "mJ")):
        if abs(joules) >= step:
            return f"{three_digits(joules / step)} {unit}"
    return f"{three_digits(joules * 1e6)} µJ"


def frames_text(measurement: Measurement) -> tuple[str, str] | None:
    """Say how many frames were dropped, and of which source."""
    frames = measurement.frames
    if frames is None:
        return None
    rate = number_text(frames.per_s)
    return f"{frames.dropped:,} of {frames.offered:,}", f"{frames.source} at {rate} frames/s"


def rounds_text(measurement: Measurement) -> tuple[str, str] | None:
    """Say how many processes were put together, and the median of each."""
    if not measurement.rounds:
        return None
    medians, first = [], 0
    for count in measurement.rounds:
        if count:
            medians.append(quantile(measurement.latencies_ns[first : first + count], 50))
        first += count
    told = ", ".join(format_ns(median) for median in medians[:12])
    more = " …" if len(medians) > 12 else ""
    return plural(len(measurement.rounds), "process", "processes"), f"p50 {told}{more}"


def telemetry_text(telemetry: Telemetry) -> str:
    """Say how often the machine was read meanwhile, and what that cost."""
    core = (
        "no core could be spared for it" if telemetry.core is None else f"on core {telemetry.core}"
    )
    every = format_ns(telemetry.interval_ns)
    readings = plural(len(telemetry.readings), "reading")
    return f"{readings}, one every {every}; one costs {format_ns(telemetry.cost_ns)}, {core}."
