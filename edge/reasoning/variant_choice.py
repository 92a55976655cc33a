"""Which variant to take: right enough first, then the fastest; never one that is slower."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from edge.records.optimization import OptimizedVariant, Speedup, VariantVerdict
from edge.units import format_count

# Two variants this near to each other in speed are as fast: the better outputs decide.
_AS_FAST: Final = 0.02
# A variant that is as fast as the original is worth it if it is ready in so much less time.
_LOADS_FASTER: Final = 0.8
# Less than this part of the work in 8-bit integers is a file that is int8 in name only.
_LEAST_INTEGER: Final = 0.05
# Rounding alone: a variant on another runtime version agrees with the original as well as here.
_ROUNDING: Final = 0.01

Basis = Literal["measured", "emulated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """What a variant must keep: accuracy where there are labels, else the lowest cosine.

    `most_accuracy_drop` is in parts (0.01 is one of a hundred); `least_cosine` None: 0.95 where
    nothing is labelled, and nothing else.
    """

    most_accuracy_drop: float
    least_cosine: float | None


DEFAULT_COSINE: Final = 0.95


def choose(
    variants: Sequence[OptimizedVariant], floors: Floors, basis: Basis
) -> tuple[tuple[OptimizedVariant, ...], int]:
    """Return the variants with verdict and reason, and the position of the chosen one.

    The first is the original; it is chosen where nothing is better.
    """
    original = variants[0]
    judged = [_judged(original, variant, floors, basis) for variant in variants]
    good = [i for i, variant in enumerate(judged) if variant.verdict == "good"]
    chosen = _best([(i, judged[i]) for i in good], original, basis) if good else 0
    reason = "nothing that is right enough is faster" if chosen == 0 else judged[chosen].reason
    judged[chosen] = replace(judged[chosen], verdict="chosen", reason=reason)
    return tuple(judged), chosen


def _judged(
    original: OptimizedVariant, variant: OptimizedVariant, floors: Floors, basis: Basis
) -> OptimizedVariant:
    if variant is original:
        return replace(variant, verdict="original", reason="what the others are compared with")
    if variant.verdict == "failed":
        return variant
    for verdict, reason in (
        ("wrong", _wrong(variant, floors)),
        ("worse", _worse(original, variant, floors)),
    ):
        if reason is not None:
            kind: VariantVerdict = "wrong" if verdict == "wrong" else "worse"
            return replace(variant, verdict=kind, reason=reason)
    is_faster, reason = _speed(original, variant, basis)
    if in_name_only(variant):
        reason += "; int8 in name only: the runtime computes it in float"
    return replace(variant, verdict="good" if is_faster else "slower", reason=reason)


def in_name_only(variant: OptimizedVariant) -> bool:
    """Tell whether a variant calls itself int8 and is computed in float."""
    said = "int8" in variant.name and "weights" not in variant.name
    return said and variant.arithmetic is not None and variant.arithmetic.integer < _LEAST_INTEGER


def _wrong(variant: OptimizedVariant, floors: Floors) -> str | None:
    """Return which runtime version computes it wrongly where the first one does not."""
    if variant.agreement is None:
        return None
    # What is right enough here has to be so there: measured by labels here, it may lie lower.
    floor = min(_cosine_floor(floors), variant.agreement.cosine - _ROUNDING)
    for check in variant.checks:
        if check.error is not None:
            return f"it does not run on {check.version}: {check.error}"
        if check.agreement is not None and check.agreement.cosine < floor:
            told = f"{check.agreement.cosine:.3f}, here {variant.agreement.cosine:.3f}"
            return f"{check.version} computes it wrongly: lowest cosine {told}"
    return None


def _cosine_floor(floors: Floors) -> float:
    return DEFAULT_COSINE if floors.least_cosine is None else floors.least_cosine


def _worse(original: OptimizedVariant, variant: OptimizedVariant, floors: Floors) -> str | None:
    before, after = original.accuracy, variant.accuracy
    if before is not None and after is not None:
        lost = before.value - after.value
        if lost > floors.most_accuracy_drop + 1e-9:
            right = f"{after.right} of {after.samples} right, the original {before.right}"
            allowed = f"{100 * floors.most_accuracy_drop:g} allowed"
            return f"{right}: {100 * lost:.1f} points lost, {allowed}"
        if floors.least_cosine is None:
            return None
    if variant.agreement is None:
        return "it could not be compared with the original"
    floor = _cosine_floor(floors)
    if variant.agreement.cosine < floor:
        return f"lowest cosine {variant.agreement.cosine:.3f}, at least {floor:g} is asked for"
    return None


def _speed(original: OptimizedVariant, variant: OptimizedVariant, basis: Basis) -> tuple[bool, str]:
    """Tell whether it is worth taking for its speed, and why."""
    if basis == "emulated":
        return _fewer(original, variant)
    speedup = variant.speedup
    if speedup is None:
        return False, "it was not measured"
    told = f"{speedup.value:.2f} times as fast ({speedup.low:.2f} to {speedup.high:.2f})"
    if speedup.low > 1.0:
        return True, told
    if _is_ready_sooner(original, variant, speedup):
        return True, f"{told}, and loads in {_load_part(original, variant):.0%} of the time"
    return False, f"not faster: {told}"


def _is_ready_sooner(
    original: OptimizedVariant, variant: OptimizedVariant, speedup: Speedup
) -> bool:
    part = _load_part(original, variant)
    return speedup.value >= 1.0 and part is not None and part <= _LOADS_FASTER


def _load_part(original: OptimizedVariant, variant: OptimizedVariant) -> float | None:
    before, after = original.measurement, variant.measurement
    if before is None or after is None or before.load_ns == 0:
        return None
    return after.load_ns / before.load_ns


def _fewer(original: OptimizedVariant, variant: OptimizedVariant) -> tuple[bool, str]:
    before, after = original.instructions, variant.instructions
    if before is None or after is None:
        return False, "its instructions were not counted"
    part = after.steady / max(before.steady, 1)
    told = f"{format_count(after.steady)} instructions, {part:.2f} of the original's"
    return part <= 1 - _AS_FAST, told if part <= 1 - _AS_FAST else f"not fewer: {told}"


def _best(
    good: Sequence[tuple[int, OptimizedVariant]], original: OptimizedVariant, basis: Basis
) -> int:
    """Return the fastest; of those as fast the one with the better outputs, then the smaller."""

    def speed(variant: OptimizedVariant) -> float:
        if basis == "measured":
            return 0.0 if variant.speedup is None else variant.speedup.value
        before, after = original.instructions, variant.instructions
        return 0.0 if before is None or after is None else before.steady / max(after.steady, 1)

    most = max(speed(variant) for _, variant in good)
    near = [(i, v) for i, v in good if speed(v) >= most * (1 - _AS_FAST)]

    def worth(entry: tuple[int, OptimizedVariant]) -> tuple[float, float, float]:
        variant = entry[1]
        right = 0.0 if variant.accuracy is None else variant.accuracy.value
        cosine = -1.0 if variant.agreement is None else round(variant.agreement.cosine, 3)
        size = 0 if variant.model is None else variant.model.file_bytes
        return (right, cosine, -float(size))

    return max(near, key=worth)[0]
