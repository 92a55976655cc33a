"""What a model card says of the optimisation that made its model."""

from collections.abc import Iterator

from edge.reasoning.stats import quantile
from edge.records.optimization import Accuracy, Optimization, OptimizedVariant
from edge.units import format_bytes, format_count, format_ns


def variant_rows(found: Optimization) -> Iterator[tuple[str, str]]:
    """Return rows of the chosen variant's evidence, against the original's."""
    original, chosen = found.variants[0], found.variants[found.chosen]
    yield "variant", chosen.name
    yield "made of", f"{found.model.name}, SHA-256 {found.model.sha256}"
    for number, taken in enumerate(chosen.passes, 1):
        options = ", ".join(f"{key} {value}" for key, value in taken.options)
        yield f"pass {number}", f"{taken.name}: {options}" if options else taken.name
    if found.calibration is not None and chosen.passes:
        yield "calibrated on", found.calibration.what
    if original.model is not None and chosen.model is not None:
        before, after = original.model.file_bytes, chosen.model.file_bytes
        yield "size", f"{format_bytes(after)}, the original {format_bytes(before)}"
    yield from _compared(found, chosen)
    yield from _accuracies(original, chosen)
    yield from _times(found, chosen)
    yield "others", "; ".join(f"{v.name}: {v.verdict}" for v in found.variants if v is not chosen)
    yield "optimised by", f"edgekit {found.edgekit_version}"


def _compared(found: Optimization, chosen: OptimizedVariant) -> Iterator[tuple[str, str]]:
    if chosen.arithmetic is not None:
        part = f"{chosen.arithmetic.integer:.0%} of the multiply-accumulates"
        yield "8-bit integer arithmetic", f"{part}, in the runtime's own graph"
    if chosen.agreement is None:
        return
    agreed = chosen.agreement
    told = f"lowest cosine {agreed.cosine:.4f}, mean {agreed.mean_cosine:.4f}"
    yield "outputs against the original's", f"{told}, on {found.evaluation.what}"
    error = f"{agreed.largest_error:.3g} where the largest output is {agreed.largest_output:.3g}"
    yield "largest error", error
    if agreed.top1 is not None:
        yield "same largest entry", f"{agreed.top1:.1%} of the rows"


def _accuracies(original: OptimizedVariant, chosen: OptimizedVariant) -> Iterator[tuple[str, str]]:
    for name, variant in (("accuracy", chosen), ("accuracy of the original", original)):
        if variant.accuracy is not None:
            yield name, accuracy_text(variant.accuracy)


def accuracy_text(told: Accuracy) -> str:
    """Return an accuracy in words, with its interval."""
    interval = f"95 % interval {told.low:.1%} to {told.high:.1%}"
    return f"{told.right} of {told.samples} right ({told.value:.1%}; {interval})"


def _times(found: Optimization, chosen: OptimizedVariant) -> Iterator[tuple[str, str]]:
    measured, speedup = chosen.measurement, chosen.speedup
    if measured is not None:
        cpu = measured.host.cpu_model or "unknown processor"
        p50 = format_ns(quantile(measured.latencies_ns, 50.0))
        threads = f"{found.threads} thread{'' if found.threads == 1 else 's'}"
        yield "median latency where it was made", f"{p50} on {cpu}, {threads}"
    if speedup is not None:
        told = f"{speedup.value:.2f} times ({speedup.low:.2f} to {speedup.high:.2f})"
        yield "as fast as the original there", f"{told}, {speedup.rounds} rounds in turns"
    before, after = found.variants[0].instructions, chosen.instructions
    if before is not None and after is not None:
        told = f"{format_count(after.steady)}, the original {format_count(before.steady)}"
        yield "instructions under emulation", f"{told}; a count is no time"
