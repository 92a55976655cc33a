"""What sweeps and searches print: one line a combination, batch or load. Device slice: Python 3.8."""

from typing import List, Optional, Sequence

from edge.errors import printable
from edge.reasoning.stats import quantile, queries_needed
from edge.records.search import BatchCurve, LoadSearch, Throughput
from edge.records.sweep import SweepResult, SweepRow
from edge.units import UNKNOWN, format_bytes, format_ns

_PERCENTILES = (50.0, 90.0)


def sweep_lines(result: SweepResult) -> List[str]:
    """Return the combinations with their latencies, the Pareto set marked, and the best."""
    rows: List[Sequence[str]] = [
        ("", "combination", "p50", "p90", "queries", "memory", "load"),
    ]
    rows += [_sweep_row(row, is_best=i == result.best) for i, row in enumerate(result.rows)]
    lines = _table(rows)
    lines.append("* no other is as good in everything and better in something; > is the best")
    for row in result.rows:
        if row.measurement is not None:
            lines += ["flaw: {}: {}".format(row.name, flaw) for flaw in row.measurement.flaws]
    lines += ["left out: {}: {}".format(out.what, out.reason) for out in result.left_out]
    lines += ["measured again: {}".format(reason) for reason in result.not_resumed]
    if not result.is_whole:
        lines.append("interrupted: go on with --resume")
    return [printable(line, 300) for line in lines]


def _sweep_row(row: SweepRow, *, is_best: bool) -> Sequence[str]:
    mark = (">" if is_best else " ") + ("*" if row.is_pareto else " ")
    found = row.measurement
    if found is None:
        return (mark, row.name, row.error or "not measured", "", "", "", "")
    cells = []
    for percentile in _PERCENTILES:
        missing = queries_needed(percentile) - len(found.latencies_ns)
        short = "needs {} more".format(missing)
        cells.append(short if missing > 0 else format_ns(quantile(found.latencies_ns, percentile)))
    memory, load = format_bytes(found.peak_memory_bytes), format_ns(found.load_ns)
    return (mark, row.name, *cells, str(len(found.latencies_ns)), memory, load)


def curve_lines(curve: BatchCurve) -> List[str]:
    """Return the throughput of each batch, and the one to take."""
    rows = [("", "batch", "samples a second", "95 % interval", "a batch", "memory")]
    for point in curve.points:
        mark = ">" if point.samples == curve.chosen else " "
        if point.failure is not None:
            rows.append((mark, str(point.samples), point.failure, "", "", ""))
            continue
        per_s, interval = _throughput(point.throughput)
        took = UNKNOWN if point.batch_ns is None else format_ns(point.batch_ns)
        memory = format_bytes(point.peak_memory_bytes)
        rows.append((mark, str(point.samples), per_s, interval, took, memory))
    lines = [*_table(rows), "it ended: " + curve.ended]
    for point in curve.points:
        lines += ["flaw: batch {}: {}".format(point.samples, flaw) for flaw in point.flaws]
    return [printable(line, 300) for line in lines]


def load_lines(found: LoadSearch) -> List[str]:
    """Return every load that was tried, and the highest that keeps the limit."""
    name = "p{:g}".format(found.percentile)
    rows = [("", "queries a second", name, "over the limit", "queries")]
    for run in found.runs:
        mark = ">" if run.target_qps == found.highest_met_qps else " "
        took = run.failure or (
            UNKNOWN if run.percentile_ns is None else format_ns(run.percentile_ns)
        )
        rows.append((mark, _qps(run.target_qps), took, str(run.over), str(run.count)))
    limit = "{} within {}".format(name, format_ns(found.limit_ns))
    if found.highest_met_qps is None:
        verdict = "no load was shown to keep {}".format(limit)
    else:
        verdict = "{} queries a second keep {}".format(_qps(found.highest_met_qps), limit)
    if found.lowest_not_met_qps is not None:
        verdict += ", {} were not shown to".format(_qps(found.lowest_not_met_qps))
    lines = [*_table(rows), verdict, "it ended: " + found.ended]
    lines += ["contradiction: " + text for text in found.unlike]
    lines += ["flaw: " + flaw for flaw in found.flaws]
    return [printable(line, 300) for line in lines]


def _qps(value: float) -> str:
    return "{:,.0f}".format(value) if value >= 1000 else "{:.4g}".format(value)


def _throughput(found: Optional[Throughput]) -> Sequence[str]:
    if found is None:
        return (UNKNOWN, "")
    if found.low_per_s is None or found.high_per_s is None:
        return (_qps(found.per_s), "")
    interval = "{} to {}".format(_qps(found.low_per_s), _qps(found.high_per_s))
    return (_qps(found.per_s), interval)


def _table(rows: Sequence[Sequence[str]]) -> List[str]:
    """Return the rows as lines with aligned columns; the first two columns are words."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
