"""Figures in words: intervals, loads, money, limits; the report's own rounding is none.

Everything comes out of `edge.units`, so that the page and the terminal say the same.
"""

from datetime import datetime, timedelta, timezone

from edge.records.target import TargetKind
from edge.records.workload import Workload
from edge.units import UNKNOWN, format_duration_s, format_ns, three_digits

KIND_NAMES: dict[TargetKind, str] = {
    "edge": "edge device",
    "cloud-cpu": "cloud CPU",
    "cloud-gpu": "cloud GPU",
}


def duration_text(duration_ns: float | None) -> str:
    """Say a duration: `12.3 ms`; a long one, of a training run, in minutes, hours or days."""
    if duration_ns is not None and duration_ns >= 120e9:
        return format_duration_s(duration_ns / 1e9)
    return format_ns(duration_ns)


def interval_text(low_ns: int | None, high_ns: int | None) -> str:
    """Say an interval of durations: `41–62 ms`, `at least 41 ms`, `unknown`."""
    if low_ns is None and high_ns is None:
        return UNKNOWN
    if high_ns is None:
        return f"at least {duration_text(low_ns)}"
    if low_ns is None:
        return f"at most {duration_text(high_ns)}"
    low, high = duration_text(low_ns), duration_text(high_ns)
    if low == high:
        return low
    low_figure, _, low_unit = low.partition(" ")
    return f"{low_figure}–{high}" if high.endswith(f" {low_unit}") else f"{low}–{high}"


def number_text(value: float) -> str:
    """Say a number with three digits, thousands apart: `1,230`, `0.05`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else three_digits(value)


def load_text(load_per_s: float | None) -> str:
    """Say a load: `10 queries/s`."""
    return UNKNOWN if load_per_s is None else f"{number_text(load_per_s)} queries/s"


def percent_text(fraction: float | None) -> str:
    """Say a fraction in percent: `37 %`."""
    if fraction is None:
        return UNKNOWN
    if 0 < fraction < 0.01:
        return "under 1 %"
    return f"{fraction * 100:.0f} %"


def percentile_name(percentile: float) -> str:
    """Return `p99` or `p99.9`."""
    return f"p{percentile:g}"


def limit_ns(workload: Workload) -> float | None:
    """Return the limit on the response time, or on a training run; None if there is none."""
    if workload.task == "training":
        return None if workload.time_budget_s is None else workload.time_budget_s * 1e9
    return None if workload.latency_limit_ms is None else workload.latency_limit_ms * 1e6


def limit_text(workload: Workload) -> str:
    """Say the limit: `p90 within 100 ms`, or `a run within 2 h`."""
    if workload.task == "training":
        if workload.time_budget_s is None:
            return "no time budget"
        return f"a run within {format_duration_s(workload.time_budget_s)}"
    if workload.latency_limit_ms is None:
        return "no latency limit"
    limit = format_ns(workload.latency_limit_ms * 1e6)
    return f"{percentile_name(workload.percentile)} within {limit}"


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Count things: `1 board`, `3 boards`, `2 queries`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def utc_text(unix_ns: int) -> str:
    """Say a moment in UTC to the second; a moment that no calendar has is unknown."""
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    try:
        return f"{epoch + timedelta(seconds=unix_ns // 10**9):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError):
        return UNKNOWN
