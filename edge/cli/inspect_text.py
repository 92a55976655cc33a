"""How `edgekit inspect` shows a model on the terminal."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from edge.errors import printable
from edge.records.model import ModelInfo, OperatorCost, RuntimeSupport, total
from edge.records.tensor import TensorSpec
from edge.units import UNKNOWN, format_bytes, format_count

if TYPE_CHECKING:
    from edge.workflows.inspect import Inspection

_MOST_TYPES = 15
_MOST_TENSORS = 8


def render(report: "Inspection", *, every_operator: bool) -> Iterator[object]:
    """Return what to print: facts, tensors, operators, risks, targets."""
    info = report.model
    yield Text(f"{printable(info.name)}: {info.looks_like}", style="bold")
    yield _facts(info)
    yield _by_type(info)
    if every_operator:
        yield _operators(info)
    if info.risks:
        yield Text("\nRisks", style="bold")
        yield _risks(info.risks)
    if report.support:
        yield _targets(report.support)


def _facts(info: ModelInfo) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(info):
        table.add_row(name, Text(value))
    return table


def _rows(info: ModelInfo) -> Iterator[tuple[str, str]]:
    yield "format", _format(info)
    yield "sha256", info.sha256
    yield from _tensors("input", info.inputs)
    yield from _tensors("output", info.outputs)
    yield "parameters", format_count(info.parameters)
    yield "MACs", f"{format_count(info.macs)} an inference"
    yield "moved", f"{format_bytes(info.moved_bytes)} an inference"
    weights, activations = info.weights_bytes, info.peak_activation_bytes
    peak = f"activations {format_bytes(activations)} at their peak"
    yield "memory", f"weights {format_bytes(weights)}, {peak}"
    yield "on disk", _disk(info)
    yield "precision", info.precision
    if info.custom_operators:
        yield "custom ops", ", ".join(info.custom_operators)


def _risks(risks: Sequence[str]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    for risk in risks:
        table.add_row("·", Text(risk))
    return table


def _format(info: ModelInfo) -> str:
    made_by = f", made by {info.producer}" if info.producer else ""
    if info.format == "tflite":
        return f"TFLite, schema version {info.ir_version}{made_by}"
    opsets = ", ".join(f"{o.domain or 'opset'} {o.version}" for o in info.opsets)
    return f"ONNX, {opsets}, IR version {info.ir_version}{made_by}"


def _tensors(kind: str, specs: Sequence[TensorSpec]) -> Iterator[tuple[str, str]]:
    for index, spec in enumerate(specs[:_MOST_TENSORS]):
        yield kind if index == 0 else "", printable(spec)
    if len(specs) > _MOST_TENSORS:
        yield "", f"and {len(specs) - _MOST_TENSORS} more"


def _disk(info: ModelInfo) -> str:
    text = f"{format_bytes(info.file_bytes)}, weights {format_bytes(info.stored_weights_bytes)}"
    if info.external_files:
        names = ", ".join(printable(name, 60) for name in info.external_files[:3])
        text += f", partly in {names}"
    return text


def _by_type(info: ModelInfo) -> Table:
    """Return one row an operator type, the costliest first; counts are of operators that run."""
    table = _table("operator", "count", "MACs", "share", "moved")
    groups: dict[str, list[OperatorCost]] = defaultdict(list)
    for operator in info.operators:
        if operator.calls != 0:
            groups[operator.op_type].append(operator)
    rows = [
        (
            name,
            len(group),
            total(o.macs_per_inference for o in group),
            total(o.moved_bytes_per_inference for o in group),
        )
        for name, group in groups.items()
    ]
    rows.sort(key=lambda row: (-(row[2] or 0), -(row[3] or 0), row[0]))
    for name, count, macs, moved in rows[:_MOST_TYPES]:
        share = f"{100 * macs / info.macs:.1f} %" if macs and info.macs else ""
        known = format_count(macs) if macs != 0 else ""
        table.add_row(printable(name, 40), str(count), known, share, format_bytes(moved))
    rest = rows[_MOST_TYPES:]
    if rest:
        names = f"{len(rest)} more types"
        table.add_row(names, str(sum(row[1] for row in rest)), "", "", "")
    all_moved = format_bytes(info.moved_bytes)
    table.add_section()
    table.add_row("total", str(info.operator_count), format_count(info.macs), "", all_moved)
    return table


def _operators(info: ModelInfo) -> Table:
    table = _table("operator", "calls", "MACs", "in", "weights", "out")
    table.add_column("name", overflow="fold")
    for operator in info.operators:
        table.add_row(
            operator.op_type,
            "?" if operator.calls is None else str(operator.calls),
            format_count(operator.macs) if operator.macs != 0 else "",
            format_bytes(operator.input_bytes),
            format_bytes(operator.weight_bytes),
            format_bytes(operator.output_bytes),
            Text(printable(f"{operator.subgraph}/{operator.name}".lstrip("/"), 100)),
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(f"\n{first}", no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True, vertical="bottom")
    return table


def _targets(support: Sequence[RuntimeSupport]) -> Table:
    """Return one row a target: the runtimes that can run the model, else why none can."""
    table = Table(box=None, pad_edge=False)
    table.add_column("\ntarget", no_wrap=True)
    table.add_column("\nruns it", no_wrap=True)
    table.add_column("\nwith, or why not", overflow="fold")
    by_target: dict[str, list[RuntimeSupport]] = defaultdict(list)
    for entry in support:
        by_target[entry.target].append(entry)
    for target, entries in by_target.items():
        able = [e for e in entries if e.supported]
        if able:
            names = ", ".join(f"{e.runtime} {e.runtime_version}" for e in able)
            table.add_row(target, "yes", names)
            continue
        reasons = [f"{e.runtime} {e.runtime_version}: {'; '.join(e.reasons)}" for e in entries]
        table.add_row(target, "no", Text(printable(". ".join(reasons) or UNKNOWN, 400)))
    return table
