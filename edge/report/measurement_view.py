"""What the page shows of one measurement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edge.reasoning.stats import percentile_interval, quantile, queries_needed
from edge.records.measurement import Measurement
from edge.records.verdict import Verdict
from edge.report.distribution import distribution_plot
from edge.report.drift import drift_strip
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
    limit_ns = None if limit_ms is None else limit_ms * 1e6

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
    )


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
