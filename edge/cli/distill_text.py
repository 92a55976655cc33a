"""How `edgekit distill` shows what it made."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from edge.errors import printable
from edge.records.distillation import Distillation, DistilledModel, Evaluation
from edge.records.optimization import Accuracy, Agreement
from edge.units import format_bytes, format_count, three_digits

_STOPPED = {
    "epochs": "all were run",
    "no-better": "the held-out loss fell no more",
    "time": "the time was up",
}


def render(result: Distillation) -> Iterator[object]:
    """Return what to print: the two models, the training, the agreement, the accuracy."""
    yield Text(f"{printable(result.file)}: {result.architecture}", style="bold")
    yield _models(result)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(result):
        table.add_row(name, Text(value))
    yield table
    for remark in result.remarks:
        yield Text(f"· {remark}")


def _models(result: Distillation) -> Table:
    table = Table(box=None, pad_edge=False)
    heads = ("", "teacher", "student", "less")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    teacher, student = result.teacher, result.student
    rows = (
        ("parameters", teacher.parameters, student.parameters, format_count),
        ("MACs", teacher.macs, student.macs, format_count),
        ("on disk", _bytes(teacher), _bytes(student), format_bytes),
    )
    for name, before, after, told in rows:
        table.add_row(name, told(before), told(after), _times(before, after))
    judged = result.evaluation
    if judged is not None and judged.teacher is not None and judged.student is not None:
        shares = (100 * judged.teacher.value, 100 * judged.student.value)
        table.add_row("accuracy", *(f"{share:.1f} %" for share in shares), "")
    return table


def _bytes(model: DistilledModel) -> int:
    return model.model.file_bytes


def _times(before: int | None, after: int | None) -> str:
    return f"{three_digits(before / after)} times" if before and after else ""


def _rows(result: Distillation) -> Iterator[tuple[str, str]]:
    samples = f"{result.trained_samples} trained on, {result.held_out_samples} held out"
    yield "data", printable(f"{result.data.what}; {samples}", 300)
    if result.words is not None:
        yield "words", f"{result.words} seen at least twice; all others count as one unseen word"
    for output in result.outputs:
        yield "learnt", f"{printable(output.name)} as {output.form}: {output.reason}"
    best = result.epochs[result.best_epoch]
    loss = f"held-out loss {best.held_out:.4g}, trained {best.trained:.4g}"
    run = f"{len(result.epochs)} epochs, the best was {result.best_epoch + 1}: {loss}"
    yield "training", f"{run}; {_STOPPED[result.stopped]}"
    yield "export", f"{result.exporter}; largest difference {result.export_difference:.2g}"
    yield "held out", _agreement(result.agreement)
    if result.evaluation is not None:
        yield from _evaluation(result.evaluation)


def _agreement(agreement: Agreement) -> str:
    told = f"cosine {agreement.mean_cosine:.4f}, at the lowest {agreement.cosine:.4f}"
    told += f"; largest error {agreement.largest_error:.3g} of {agreement.largest_output:.3g}"
    if agreement.top1 is not None:
        told = f"{100 * agreement.top1:.1f} % the same class; {told}"
    return f"{told} ({agreement.samples} samples)"


def _evaluation(judged: Evaluation) -> Iterator[tuple[str, str]]:
    yield "evaluated", printable(judged.data.what, 300)
    yield "", _agreement(judged.agreement)
    for name, accuracy in (("teacher", judged.teacher), ("student", judged.student)):
        if accuracy is not None:
            yield name, _accuracy(accuracy)
    if judged.lost is not None:
        value, low, high = (
            100 * part for part in (judged.lost.value, judged.lost.low, judged.lost.high)
        )
        yield "lost", f"{value:.2f} points of accuracy (95 %: {low:.2f} to {high:.2f})"


def _accuracy(accuracy: Accuracy) -> str:
    low, high = 100 * accuracy.low, 100 * accuracy.high
    right = f"{accuracy.right} of {accuracy.samples} right, {100 * accuracy.value:.2f} %"
    return f"{right} (95 %: {low:.2f} to {high:.2f})"
