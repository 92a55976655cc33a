"""The result of an optimisation as text: a table of all variants, and what to make of it."""

from typing import TYPE_CHECKING

from edge.reasoning.variant_choice import in_name_only
from edge.units import UNKNOWN, format_bytes, format_count, format_ns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from edge.records.optimization import Accuracy, Optimization, OptimizedVariant

_STYLES = {"chosen": "green", "good": "", "original": "bold"}


def optimization_text(found: "Optimization") -> "Iterator[RenderableType]":
    """Return rich renderables."""
    from rich.markup import escape

    runtime = f"{found.runtime} {found.runtime_version}"
    threads = f"{found.threads} thread{'' if found.threads == 1 else 's'}"
    yield escape(f"{found.model.name} for {found.target}: {runtime}, {threads}")
    yield _table(found)
    for variant in found.variants:
        if variant.verdict in ("failed", "wrong", "worse", "slower"):
            yield escape(f"{variant.name}: {variant.verdict}: {variant.reason}")
        for told in variant.notes:
            yield escape(f"{variant.name}: {told}")
    for out in found.left_out:
        yield escape(f"not made: {out.what}: {out.reason}")
    for remark in found.remarks:
        yield escape(f"note: {remark}")
    chosen = found.variants[found.chosen]
    yield escape(f"chosen: {chosen.name}: {chosen.reason}")


def _table(found: "Optimization") -> "RenderableType":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("variant")
    counted = found.basis == "emulated"
    labelled = found.evaluation.labelled > 0
    heads = ["size", "load", "p50", "times as fast", "memory", "integer"]
    heads += ["lowest cosine", "largest error", "top-1"]
    heads += ["accuracy"] if labelled else []
    heads += ["instructions"] if counted else []
    for head in heads:
        table.add_column(head, justify="right")
    table.add_column("")
    for variant in found.variants:
        cells = [*_time_cells(variant), *_output_cells(variant)]
        cells += [_accuracy(variant.accuracy)] if labelled else []
        cells += [_instructions(variant)] if counted else []
        style = _STYLES.get(variant.verdict, "dim")
        verdict = variant.verdict
        table.add_row(escape(variant.name), *cells, verdict, style=style)
    return table


def _time_cells(variant: "OptimizedVariant") -> list[str]:
    from edge.reasoning.stats import quantile

    measured, speedup = variant.measurement, variant.speedup
    size = UNKNOWN if variant.model is None else format_bytes(variant.model.file_bytes)
    share = UNKNOWN if variant.arithmetic is None else f"{variant.arithmetic.integer:.0%}"
    if in_name_only(variant):
        share += " (!)"
    if measured is None:
        return [size, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, share]
    times = "1"
    if speedup is not None:
        times = f"{speedup.value:.2f} ({speedup.low:.2f} to {speedup.high:.2f})"
    return [
        size,
        format_ns(measured.load_ns),
        format_ns(quantile(measured.latencies_ns, 50.0)),
        times,
        format_bytes(measured.peak_memory_bytes),
        share,
    ]


def _output_cells(variant: "OptimizedVariant") -> list[str]:
    agreed = variant.agreement
    if variant.verdict == "original":
        return ["1", "0", "100%"]
    if agreed is None:
        return [UNKNOWN] * 3
    top1 = UNKNOWN if agreed.top1 is None else f"{agreed.top1:.0%}"
    return [f"{agreed.cosine:.4f}", f"{agreed.largest_error:.2g}", top1]


def _accuracy(told: "Accuracy | None") -> str:
    if told is None:
        return UNKNOWN
    return f"{told.right} of {told.samples} ({told.low:.0%} to {told.high:.0%})"


def _instructions(variant: "OptimizedVariant") -> str:
    counts = variant.instructions
    return UNKNOWN if counts is None else format_count(counts.steady)
