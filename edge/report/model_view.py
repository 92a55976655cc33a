"""What the page shows of one model: its facts, and its operators by type."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.records.model import ModelInfo, OperatorCost, total


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRow:
    """All operators of one type; sums are None where any of them is not known."""

    name: str
    count: int
    macs: int | None
    share: float | None
    weight_bytes: int | None
    moved_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A model with its operators by type; `ident` begins its ids on the page."""

    ident: str
    record: ModelInfo
    operators: tuple[OperatorRow, ...]


def model_view(info: ModelInfo, ident: str) -> ModelView:
    """Prepare a model for the page."""
    return ModelView(ident=ident, record=info, operators=operators_by_type(info))


def operators_by_type(info: ModelInfo) -> tuple[OperatorRow, ...]:
    """Sum the operators of each type that an inference runs, those with the most MACs first."""
    groups: dict[str, list[OperatorCost]] = {}
    for operator in info.operators:
        if operator.calls == 0:
            continue
        custom = operator.domain not in ("", "ai.onnx", "tflite")
        name = f"{operator.domain}.{operator.op_type}" if custom else operator.op_type
        groups.setdefault(name, []).append(operator)
    rows = [_row(name, group, info.macs) for name, group in groups.items()]
    return tuple(sorted(rows, key=lambda r: (-(r.macs or 0), -r.count, r.name)))


def _row(name: str, group: Sequence[OperatorCost], all_macs: int | None) -> OperatorRow:
    macs = total(o.macs_per_inference for o in group)
    return OperatorRow(
        name=name,
        count=len(group),
        macs=macs,
        share=macs / all_macs if macs is not None and all_macs else None,
        weight_bytes=total(o.weight_bytes for o in group),
        moved_bytes=total(o.moved_bytes_per_inference for o in group),
    )
