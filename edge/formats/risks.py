"""What may go wrong with a model elsewhere, in words for the engineer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge.errors import printable
from edge.records.model import OperatorCost, Precision
from edge.records.tensor import TensorSpec
from edge.units import format_bytes, format_count

_LARGE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFacts:
    """What the risks follow from; `weight_types` are the weights' bytes by element type."""

    inputs: tuple[TensorSpec, ...]
    operators: tuple[OperatorCost, ...]
    custom_operators: tuple[str, ...]
    external_files: tuple[str, ...]
    unhashed: bool
    precision: Precision
    weight_types: Mapping[str, int]
    weights_bytes: int
    parameters: int
    made_at_load: int
    refused: tuple[str, ...] = ()


def risks_of(facts: RiskFacts) -> tuple[str, ...]:
    """Return the risks, the gravest kinds first."""
    return tuple(_risks(facts))


def _risks(facts: RiskFacts) -> Iterator[str]:
    if facts.custom_operators:
        names = ", ".join(facts.custom_operators[:5])
        yield f"custom operators, which not every runtime has: {names}"
    if facts.refused:
        names = ", ".join(printable(name, 60) for name in facts.refused[:3])
        yield f"operators that cannot take the shapes which reach them: {names}"
    free = [spec for spec in facts.inputs if not spec.is_static]
    if free:
        shapes = " ".join(f"--shape {_example(spec)}" for spec in free[:3])
        yield f"input sizes are open, so costs and memory are not known: give {shapes}"
    active = [op for op in facts.operators if op.calls != 0]
    if any(op.calls is None for op in active):
        yield "a loop runs as often as its data say: the cost of an inference is not known"
    elif not free and any(op.macs is None for op in active):
        names = ", ".join(sorted({op.op_type for op in active if op.macs is None})[:5])
        yield f"the cost of some operators is not known: {names}"
    yield from _of_weights(facts)
    if any(op.op_type in ("If", "IF") for op in active):
        yield "branches: the costlier one is counted, an inference may cost less"


def _of_weights(facts: RiskFacts) -> Iterator[str]:
    types = facts.weight_types
    total = sum(types.values()) or 1
    half = sum(types.get(name, 0) for name in ("float16", "bfloat16"))
    eighth = sum(types.get(name, 0) for name in ("int8", "uint8", "int4", "uint4"))
    if facts.precision == "fp16":
        yield "float16 arithmetic: CPUs without it (all before ARMv8.2) convert, or refuse"
    elif half * 2 > total:
        yield "weights are stored as float16 and widened at load: they take twice their file size"
    if eighth * 2 > total and facts.precision in ("fp32", "fp16"):
        yield "weights are stored in 8 bits or less, but the arithmetic is floating point"
    if facts.precision == "mixed" and eighth:
        yield "only a part is integer arithmetic: int8 speed cannot be expected throughout"
    if types.get("float64", 0) * 2 > total:
        yield "float64 weights: twice the memory and half the speed of float32"
    if facts.external_files:
        names = ", ".join(facts.external_files[:3])
        yield f"weights lie in other files, which have to go along: {names}"
        if facts.unhashed:
            yield "the files of weights are too large to hash: they are known by size only"
    if facts.made_at_load * 2 > facts.parameters:
        made = format_count(facts.made_at_load)
        yield f"{made} parameters are made at load: the file's size says nothing of its cost"
    if facts.weights_bytes > _LARGE_BYTES:
        size = format_bytes(facts.weights_bytes)
        yield f"weights take {size}: more than 32-bit systems and small boards can hold"


def _example(spec: TensorSpec) -> str:
    sizes = ",".join(str(d) if isinstance(d, int) else "?" for d in spec.shape or ("?",))
    return f"{printable(spec.name, 60)}={sizes}"
