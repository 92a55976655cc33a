"""A measurement on the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from edge.cli.output import print_rich
from edge.errors import printable
from edge.reasoning.stats import percentile_interval, quantile, queries_needed
from edge.records.host import HostFacts, HostState, Telemetry
from edge.records.measurement import Measurement
from edge.records.scenario import ONE_BY_ONE, SERVER
from edge.report.run_words import (
    energy_text,
    frames_text,
    limit_sentence,
    rounds_text,
    scenario_sentence,
    throughput_text,
)
from edge.units import UNKNOWN, format_bytes, format_ns

if TYPE_CHECKING:
    from rich.table import Table

_PERCENTILES = (50.0, 90.0, 99.0)


@contextmanager
def told_percent(what: str) -> Iterator[Callable[[float], None]]:
    """Tell on stderr, if it is a terminal, what is going on and how far it is.

    It writes when the child tells it and never else: a bar that redraws itself would take its part
    of the processor that is being measured.
    """
    if not sys.stderr.isatty():
        yield lambda _fraction: None
        return
    click.echo(what, err=True, nl=False)
    try:
        yield lambda fraction: click.echo(f"\r{what} {fraction:4.0%}", err=True, nl=False)
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)


def print_measurement(measurement: Measurement) -> None:
    """Print percentiles with their bounds, start-up, memory, machine, and what speaks against it."""
    from rich.text import Text

    runtime = measurement.runtime
    title = (
        f"{printable(measurement.model.name)} on {runtime.distribution} {runtime.version}"
        f" ({', '.join(runtime.providers)}), threads: {runtime.threads}"
    )
    parts: list[object] = [Text(title), _latency_table(measurement)]
    if measurement.stages:
        parts.append(_stage_table(measurement))
    print_rich(*parts, _facts_table(measurement))


def _latency_table(measurement: Measurement) -> "Table":
    from rich.table import Table

    table = Table()
    table.add_column("latency")
    table.add_column("measured", justify="right")
    table.add_column("95 % interval", justify="right")
    for percentile in _PERCENTILES:
        table.add_row(f"p{percentile:g}", *_percentile_cells(measurement.latencies_ns, percentile))
    return table


def _stage_table(measurement: Measurement) -> "Table":
    from rich.table import Table

    table = Table()
    table.add_column("stage")
    for percentile in _PERCENTILES:
        table.add_column(f"p{percentile:g}", justify="right")
    for stage in measurement.stages:
        cells = (_percentile_cells(stage.latencies_ns, p)[0] for p in _PERCENTILES)
        table.add_row(stage.name, *cells)
    return table


def _percentile_cells(latencies: tuple[int, ...], percentile: float) -> tuple[str, str]:
    missing = queries_needed(percentile) - len(latencies)
    if missing > 0:
        return f"needs {missing} more queries", ""
    bounds = percentile_interval(latencies, percentile)
    interval = UNKNOWN if bounds is None else " to ".join(format_ns(bound) for bound in bounds)
    return format_ns(quantile(latencies, percentile)), interval


def _facts_table(measurement: Measurement) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    count, total_ns = len(measurement.latencies_ns), sum(measurement.latencies_ns)
    if measurement.scenario.kind == SERVER and measurement.duration_ns is not None:
        # There a latency holds the wait, of several queries at once.
        total_ns = measurement.duration_ns
    scenario = measurement.scenario
    if scenario != ONE_BY_ONE:
        table.add_row("scenario", scenario_sentence(measurement))
    kept = limit_sentence(measurement)
    if kept is not None:
        table.add_row("limit", kept)
    table.add_row("queries", f"{count} in {format_ns(total_ns)}, warm-ups apart")
    for name, pair in (
        ("throughput", throughput_text(measurement)),
        ("frames", frames_text(measurement)),
        ("processes", rounds_text(measurement)),
        ("energy", None if measurement.energy is None else energy_text(measurement.energy)),
    ):
        if pair is not None:
            table.add_row(name, ", ".join(part for part in pair if part))
    if measurement.energy_missing is not None:
        table.add_row("energy", Text(f"{UNKNOWN}: {printable(measurement.energy_missing, 300)}"))
    if measurement.loop_overhead_ns is not None:
        table.add_row("timing loop", f"{format_ns(measurement.loop_overhead_ns)} a query")
    if measurement.telemetry is not None:
        table.add_row("readings", _telemetry_line(measurement.telemetry))
    table.add_row("first inference", format_ns(measurement.first_inference_ns))
    load, imported = format_ns(measurement.load_ns), format_ns(measurement.import_ns)
    table.add_row("load", f"{load}, after importing the runtime: {imported}")
    before = format_bytes(measurement.memory_before_load_bytes)
    peak = format_bytes(measurement.peak_memory_bytes)
    table.add_row("peak memory", f"{peak}, of which before loading the model: {before}")
    table.add_row("host", Text(_host_line(measurement.host)))
    table.add_row("state", Text(_state_line(measurement.before, measurement.after)))
    if measurement.target is not None:
        table.add_row("target", Text(measurement.target))
    for flaw in measurement.flaws:
        table.add_row(Text("flaw", style="bold yellow"), Text(printable(flaw)))
    return table


def _host_line(host: HostFacts) -> str:
    cores = f"{host.cores_allowed} of {host.cores_online} cores"
    if host.cpu_quota is not None:
        cores += f", CPU quota {host.cpu_quota:g}"
    memory = format_bytes(host.memory_limit_bytes or host.memory_bytes)
    parts = (host.board, host.cpu_model, host.machine, cores, memory, host.system)
    return printable(", ".join(part for part in parts if part is not None), 300)


def _state_line(before: HostState, after: HostState) -> str:
    pairs = (
        ("clock", _each(before.clock_hz, after.clock_hz, 1e-9, "GHz")),
        ("governor", after.governor or UNKNOWN),
        ("temperature", _each(before.temperature_celsius, after.temperature_celsius, 1, "°C")),
        ("load", _each(before.load_1min, after.load_1min, 1, "")),
    )
    return printable(", ".join(f"{name} {value}" for name, value in pairs), 300)


def _telemetry_line(telemetry: Telemetry) -> str:
    where = "on a core of their own" if telemetry.core is not None else "on the same cores"
    cost = format_ns(telemetry.cost_ns)
    return f"{len(telemetry.readings)} of the machine meanwhile, {cost} each, {where}"


def _each(before: float | None, after: float | None, scale: float, unit: str) -> str:
    if before is None or after is None:
        return UNKNOWN
    return f"{before * scale:.3g} to {after * scale:.3g} {unit}".rstrip()
