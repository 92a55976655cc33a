"""What the page shows of one measurement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edge.reasoning.stats import (
    percentile_interval,
    quantile,
    queries_needed,
)
from edge.records.measurement import Measurement
from edge.records.scenario import OFFLINE, SERVER
from edge.records.verdict import Verdict
from edge.report.distribution import distribution_plot
from edge.report.drift import drift_strip
from edge.report.run_words import (
    claims_sentence,
    energy_text,
    frames_text,
    limit_sentence,
    rounds_text,
    scenario_sentence,
    telemetry_text,
    throughput_text,
)
from edge.report.stage_bar import StageRow, stage_bar, stage_rows
from edge.report.telemetry_plot import telemetry_plot
from edge.report.text import interval_text, limit_text, percentile_name, plural
from edge.units import format_ns

_PERCENTILES = (50.0, 90.0, 99.0)
_WIDE, _NARROW = 720.0, 328.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileView:
    """One percentile: its value and 95 % interval, or how many queries are missing for it."""

    name: str
    value: str | None
    interval: str | None
    missing: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementView:
    """A measurement with its percentiles and drawings; `ident` begins its ids on the page."""

    ident: str
    record: Measurement
    place: str
    percentiles: tuple[PercentileView, ...]
    limit: str | None
    distribution_wide: Markup
    distribution_narrow: Markup
    drift_wide: Markup
    drift_narrow: Markup
    scenario: str
    limit_kept: str | None
    claims: str | None
    latency_of: str
    facts: tuple[tuple[str, str, str], ...]
    stages: tuple[StageRow, ...]
    stages_wide: Markup | None
    stages_narrow: Markup | None
    telemetry: str | None
    telemetry_wide: Markup | None
    telemetry_narrow: Markup | None

    @property
    def trusted(self) -> bool:
        """Whether it may support a verdict."""
        return not self.record.flaws and self.record.provenance == "measured"


def measurement_view(
    measurement: Measurement, verdicts: Sequence[Verdict], ident: str
) -> MeasurementView:
    """Prepare a measurement for the page; the limit is that of a verdict on the same model."""
    verdict = next((v for v in verdicts if v.model_sha256 == measurement.model.sha256), None)
    workload = verdict.workload if verdict else None
    # Only inference is measured; a limit on a training run is none on these times.
    limit_ms = workload.latency_limit_ms if workload and workload.task == "inference" else None
    wanted = {*_PERCENTILES, *([workload.percentile] if workload and limit_ms else [])}
    latencies = measurement.latencies_ns
    supported = {
        p: quantile(latencies, p) for p in sorted(wanted) if len(latencies) >= queries_needed(p)
    }
    name = f"{measurement.model.name} on {place(measurement)}"
    limit_ns = measurement.scenario.limit_ns if limit_ms is None else limit_ms * 1e6
    if measurement.scenario.kind == OFFLINE:
        limit_ns = None  # A batch is no query.
    stages = stage_rows(measurement.stages)
    telemetry = measurement.telemetry

    def distribution(width: float, which: str) -> Markup:
        return distribution_plot(
            latencies,
            supported,
            limit_ns,
            width=width,
            ident=f"{ident}-distribution-{which}",
            name=name,
        )

    def drift(width: float, which: str) -> Markup:
        return drift_strip(latencies, width=width, ident=f"{ident}-drift-{which}", name=name)

    def bar(width: float, which: str) -> Markup | None:
        return stage_bar(stages, width=width, ident=f"{ident}-stages-{which}", name=name)

    def machine(width: float, which: str) -> Markup | None:
        own = f"{ident}-telemetry-{which}"
        return telemetry_plot(telemetry, width=width, ident=own, name=name)

    return MeasurementView(
        ident=ident,
        record=measurement,
        place=place(measurement),
        percentiles=tuple(_percentile(latencies, p, supported) for p in sorted(wanted)),
        limit=limit_text(workload) if workload and limit_ms else None,
        distribution_wide=distribution(_WIDE, "wide"),
        distribution_narrow=distribution(_NARROW, "narrow"),
        drift_wide=drift(_WIDE, "wide"),
        drift_narrow=drift(_NARROW, "narrow"),
        scenario=scenario_sentence(measurement),
        limit_kept=limit_sentence(measurement),
        claims=claims_sentence(measurement, sorted(supported)),
        latency_of="These are response times."
        if measurement.scenario.kind == SERVER
        else "These are service times.",
        facts=_facts(measurement),
        stages=stages,
        stages_wide=bar(_WIDE, "wide"),
        stages_narrow=bar(_NARROW, "narrow"),
        telemetry=None if telemetry is None else telemetry_text(telemetry),
        telemetry_wide=machine(_WIDE, "wide"),
        telemetry_narrow=machine(_NARROW, "narrow"),
    )


def _facts(measurement: Measurement) -> tuple[tuple[str, str, str], ...]:
    """Return what a run may have besides latencies: name, value, and more about it."""
    found = [("Throughput", throughput_text(measurement))]
    if measurement.loop_overhead_ns is not None:
        overhead = format_ns(measurement.loop_overhead_ns)
        found.append(("Timing loop", (overhead, "a query that does nothing")))
    if measurement.energy is not None:
        found.append(("Energy an inference", energy_text(measurement.energy)))
    elif measurement.energy_missing is not None:
        found.append(("Energy an inference", ("unknown", measurement.energy_missing)))
    found.append(("Frames dropped", frames_text(measurement)))
    found.append(("Put together from", rounds_text(measurement)))
    return tuple((name, *value) for name, value in found if value is not None)


def place(measurement: Measurement) -> str:
    """Name where it was measured: the target, else the board, else the processor."""
    host = measurement.host
    return measurement.target or host.board or host.cpu_model or host.machine


def _percentile(
    latencies_ns: Sequence[int], percentile: float, supported: Mapping[float, int]
) -> PercentileView:
    name = percentile_name(percentile)
    if percentile not in supported:
        short = plural(queries_needed(percentile) - len(latencies_ns), "query", "queries")
        return PercentileView(name=name, value=None, interval=None, missing=f"needs {short} more")
    bounds = percentile_interval(latencies_ns, percentile)
    return PercentileView(
        name=name,
        value=format_ns(supported[percentile]),
        interval=None if bounds is None else interval_text(*bounds),
        missing=None,
    )
