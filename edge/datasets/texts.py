"""Texts of a CSV, JSON Lines or plain file as token numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edge.datasets.classes import class_numbers, label_text
from edge.datasets.gathered import Gathered, Sample, spread
from edge.datasets.rows import csv_table, json_rows, place, read_lines
from edge.datasets.tokenisers import open_tokeniser
from edge.device.feeds import concrete_inputs
from edge.device.tokens import TokenForm
from edge.errors import UsageError, printable
from edge.records.data_recipe import DataRecipe
from edge.records.tensor import TensorSpec

TEXTS: Final = ("text", "sentence", "question", "review", "content")
LABELS: Final = ("label", "class", "target", "y")
# Each text with the line where it stands, and its label, "" where it has none.
_Texts = list[tuple[int, str, str]]


def gather_texts(
    path: Path, specs: Sequence[TensorSpec], recipe: DataRecipe, request: Mapping[str, Any]
) -> Gathered:
    """Read the texts and their labels; they become tokens one by one.

    Raises:
        UsageError: there is none, the model takes none, or a label is wrong.
        HostError: the tokeniser needs the library `tokenizers`.
    """
    concrete = _concrete(specs, recipe, request)
    tokens = open_tokeniser(Path(request["tokenizer"]))
    form = TokenForm(concrete, tokens, recipe.max_tokens)
    found, empty = _read(path, recipe)
    if not found:
        raise UsageError("there is no text in it", where=path)
    chosen = spread(len(found), request["most"])
    labels, words = None, "without labels"
    if any(label for _, _, label in found):
        labels, words = class_numbers(
            [label for _, _, label in found],
            lambda n: place(path, found[n][0]),
            classes=recipe.classes,
            sorts=True,
            outputs=request["classes"],
        )

    def make(number: int) -> Sample:
        return form.tokenise(found[chosen[number]][1])

    length = f"{form.length} tokens each"
    if recipe.max_tokens is not None and recipe.max_tokens < form.length:
        length += f", cut at {recipe.max_tokens}"
    left_out = () if not empty else (f"{empty} without text left out",)
    return Gathered(
        noun="text" if len(found) == 1 else "texts",
        name=path.absolute().name,
        total=len(found),
        count=len(chosen),
        make=make,
        labels=None if labels is None else tuple(labels[n] for n in chosen),
        notes=(*left_out, length, words),
    )


def _concrete(
    specs: Sequence[TensorSpec], recipe: DataRecipe, request: Mapping[str, Any]
) -> tuple[TensorSpec, ...]:
    """Return the inputs with a length: of --shape, the model, the recipe, or the card."""
    shapes: Mapping[str, Sequence[int]] = request["shapes"]
    told: dict[str, Sequence[int]] = {**request["example"], **shapes}
    if recipe.max_tokens is None:
        return concrete_inputs(specs, told)
    sized = []
    for spec in specs:
        free = (
            spec.shape is not None and len(spec.shape) == 2 and not isinstance(spec.shape[1], int)
        )
        if free and not shapes:
            told[spec.name] = (1, recipe.max_tokens)
        sized.append(spec if spec.shape is not None else replace(spec, shape=("batch", None)))
    return concrete_inputs(sized, told)


def _read(path: Path, recipe: DataRecipe) -> tuple[_Texts, int]:
    """Return the texts of a file, and how many rows of it have none."""
    suffix = path.suffix.lower()
    if suffix == ".txt":
        lines = [(line, text.strip(), "") for line, text in read_lines(path)]
        return [entry for entry in lines if entry[1]], 0
    rows = _of_csv(path, recipe) if suffix in (".csv", ".tsv") else _of_json(path, recipe)
    found = [entry for entry in rows if entry[1]]
    return found, len(rows) - len(found)


def _of_csv(path: Path, recipe: DataRecipe) -> _Texts:
    names, rows = csv_table(path)
    text, label = _columns(names, recipe, place(path, 1))
    at, label_at = names.index(text), None if label is None else names.index(label)
    return [(line, row[at], "" if label_at is None else row[label_at]) for line, row in rows]


def _of_json(path: Path, recipe: DataRecipe) -> _Texts:
    found: _Texts = []
    columns: tuple[str, str | None] | None = None
    for line, row in json_rows(path):
        if columns is None:
            columns = _columns(list(row), recipe, place(path, line))
        text, label = columns
        value = row.get(text)
        if not isinstance(value, str):
            what = f"{printable(text, 60)!r} is no text"
            raise UsageError(what, where=place(path, line))
        told = None if label is None else row.get(label)
        if isinstance(told, (list, dict)):
            what = f"the label is a {'list' if isinstance(told, list) else 'table'}"
            raise UsageError(what, where=place(path, line), hint="a name or a whole number")
        found.append((line, value.strip(), label_text(told)))
    return found


def _columns(names: Sequence[str], recipe: DataRecipe, where: str) -> tuple[str, str | None]:
    """Return which column has the texts and which the labels.

    Raises:
        UsageError: there is none of that name.
    """
    hint = f"its columns: {printable(', '.join(names))}"
    for wanted in (recipe.text, recipe.label):
        if wanted is not None and wanted not in names:
            raise UsageError(f"there is no column {wanted!r}", where=where, hint=hint)
    label = None
    if recipe.labels != "none":
        label = recipe.label or next((name for name in LABELS if name in names), None)
    others = [name for name in names if name != label]
    text = recipe.text or next((name for name in TEXTS if name in others), None)
    if text is None and len(others) == 1:
        text = others[0]
    if text is None:
        what = "nothing says which column has the texts"
        raise UsageError(what, where=where, hint=f'{hint}; say text = "column" in a recipe')
    return text, label
