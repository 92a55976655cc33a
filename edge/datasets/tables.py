"""Rows of numbers of a CSV file as samples of a model that takes them."""

import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from edge.datasets.classes import class_numbers, is_whole
from edge.datasets.gathered import Gathered, Sample, spread
from edge.datasets.rows import Row, csv_rows, place
from edge.datasets.texts import LABELS
from edge.errors import UsageError, printable
from edge.records.data_recipe import DataRecipe
from edge.records.tensor import TensorSpec

_HINT: Final = "columns of numbers in the order of the model's features, the label last or by name"


def takes_rows(specs: Sequence[TensorSpec]) -> bool:
    """Tell whether the model takes rows of numbers: one input, samples by features."""
    shape = specs[0].shape if len(specs) == 1 else None
    if shape is None or len(shape) != 2 or (isinstance(shape[0], int) and shape[0] != 1):
        return False
    return specs[0].dtype.startswith(("float", "int", "uint"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The columns: where the features are, and the label (None: nowhere)."""

    features: tuple[int, ...]
    label: int | None
    width: int


def gather_table(
    path: Path, specs: Sequence[TensorSpec], recipe: DataRecipe, request: Mapping[str, Any]
) -> Gathered:
    """Read rows of numbers and their labels.

    Raises:
        UsageError: a row does not fit the model, or a label is wrong.
    """
    import numpy as np

    spec = specs[0]
    sizes = request["shapes"].get(spec.name) or spec.shape or ()
    size = sizes[1] if len(sizes) == 2 else None
    rows = csv_rows(path)
    first = next(rows, None)
    if first is None:
        raise UsageError("there is nothing in it", where=path)
    headed = _is_header(first[1], recipe)
    table = _table(first, size if isinstance(size, int) else None, recipe, path, headed=headed)
    values, texts, lines = _read(rows if headed else chain((first,), rows), table, path)
    if not lines:
        raise UsageError("there is no row of numbers in it", where=path, hint=_HINT)
    grid = np.frombuffer(values, np.float64).reshape(len(lines), -1)
    _require_values(grid, spec, lines, path)
    chosen = spread(len(lines), request["most"])
    labels, words = None, "without labels"
    if table.label is not None:
        _require_classes(texts, lines, path)
        labels, words = class_numbers(
            texts,
            lambda n: place(path, lines[n]),
            classes=recipe.classes,
            sorts=True,
            outputs=request["classes"],
        )
    empty = int(np.isnan(grid).sum())
    missing = (f"{empty} empty cells (NaN)",) if empty else ()
    return Gathered(
        noun="row" if len(lines) == 1 else "rows",
        name=path.absolute().name,
        total=len(lines),
        count=len(chosen),
        make=lambda n: _sample(spec, grid[chosen[n]]),
        labels=None if labels is None else tuple(labels[n] for n in chosen),
        notes=(f"{grid.shape[1]} numbers each", *missing, words),
    )


def _sample(spec: TensorSpec, row: Any) -> Sample:
    return {spec.name: row[None].astype(spec.dtype)}


def _is_header(row: Sequence[str], recipe: DataRecipe) -> bool:
    """Tell whether the first row has names: none is a number, or one is that of a label."""
    if recipe.header is not None:
        return recipe.header
    known = (*LABELS, recipe.label)
    return not any(_number(cell) is not None for cell in row) or any(c in known for c in row)


def _table(first: Row, size: int | None, recipe: DataRecipe, path: Path, *, headed: bool) -> _Table:
    line, names = first
    width, where = len(names), place(path, line)
    label = None
    if headed:
        if recipe.label is not None and recipe.label not in names:
            hint = f"its columns: {printable(', '.join(names))}"
            raise UsageError(f"there is no column {recipe.label!r}", where=where, hint=hint)
        known = LABELS if recipe.label is None else (recipe.label,)
        label = next((names.index(name) for name in known if name in names), None)
    elif recipe.label is not None:
        what = f"there is no row of names to find {recipe.label!r} in"
        raise UsageError(what, where=where, hint="header = true in the recipe, if there is one")
    if label is None and width - 1 == (size or -1):
        label = width - 1
    features = tuple(column for column in range(width) if column != label)
    if size is not None and len(features) != size:
        told = "" if label is None else " besides the label"
        what = f"{len(features)} columns{told}, and the model takes {size} numbers"
        raise UsageError(what, where=where, hint=_HINT)
    return _Table(features=features, label=None if recipe.labels == "none" else label, width=width)


def _read(
    rows: Iterator[Row], table: _Table, path: Path
) -> tuple["array.array[float]", list[str], list[int]]:
    values, texts, lines = array.array("d"), [], []
    for line, row in rows:
        if len(row) != table.width:
            what = f"the row has {len(row)} cells, and the first has {table.width}"
            raise UsageError(what, where=place(path, line))
        for column in table.features:
            value = _number(row[column]) if row[column] else float("nan")
            if value is None:
                what = f"column {column + 1}: {printable(row[column], 60)!r} is no number"
                raise UsageError(what, where=place(path, line), hint=_HINT)
            values.append(value)
        if table.label is not None:
            texts.append(row[table.label])
        lines.append(line)
    return values, texts, lines


def _number(cell: str) -> float | None:
    """Return the number of a cell; Python's 1_000 and infinity are none."""
    if "_" in cell or len(cell) > 400:
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) != float("inf") else None


def _require_classes(texts: Sequence[str], lines: Sequence[int], path: Path) -> None:
    """Refuse labels that are numbers and no classes.

    Raises:
        UsageError: one is.
    """
    for text, line in zip(texts, lines, strict=True):
        if _number(text) is not None and not is_whole(text):
            hint = 'for a model that predicts numbers say labels = "none" in a recipe'
            raise UsageError(f"the label {text} is no class", where=place(path, line), hint=hint)


def _require_values(grid: Any, spec: TensorSpec, lines: Sequence[int], path: Path) -> None:
    """Refuse numbers that the input's type cannot hold.

    Raises:
        UsageError: a row has one.
    """
    import numpy as np

    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            fits = np.isnan(grid) | np.isfinite(grid.astype(dtype))
    else:
        limits = np.iinfo(dtype)
        fits = (grid >= float(limits.min)) & (grid <= float(limits.max)) & (grid == np.floor(grid))
    if not fits.all():
        row, column = (int(place_of[0]) for place_of in np.nonzero(~fits))
        what = f"{grid[row, column]:g} does not fit the input's type {spec.dtype}"
        raise UsageError(what, where=place(path, lines[row]))
