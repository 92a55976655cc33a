"""An .npz as samples: an array for each input, and labels."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

from edge.backends.protocol import Array
from edge.datasets.archive import ArchiveOfRows
from edge.datasets.classes import class_numbers
from edge.datasets.gathered import Gathered, Sample, spread
from edge.device.feeds import fit_samples, read_samples
from edge.errors import UsageError, printable
from edge.records.data_recipe import DataRecipe
from edge.records.tensor import TensorSpec

_LABELS: Final = ("labels", "label", "y")
_SEEDED: Final = "seeded."
_MOST_LABELS: Final = 10_000_000


def gather_arrays(
    path: Path,
    specs: Sequence[TensorSpec],
    recipe: DataRecipe,
    request: Mapping[str, Any],
    open_files: ExitStack,
) -> Gathered:
    """Find the arrays of the inputs and the labels; the samples are read one by one.

    Raises:
        UsageError: the file or an array does not fit, or a label is wrong.
    """
    archive = open_files.enter_context(closing(ArchiveOfRows(path)))
    if any(name.startswith(_SEEDED) for name in archive.arrays):
        return _seeded(path, specs, request)
    stands = {name: rows.stand_in() for name, rows in archive.arrays.items()}
    key = _labels_key(stands, specs, recipe)
    inputs = {name: array for name, array in stands.items() if name != key}
    fitted = fit_samples(inputs, specs, request["shapes"], str(path))
    count = len(next(iter(fitted.values())))
    # A shape's numbers take no memory, so which of them was taken is told by where they lie.
    taken = {spec: _taken(inputs, fitted[spec.name]) for spec in specs}
    chosen = spread(count, request["most"])

    def make(number: int) -> Sample:
        row = chosen[number]
        return {
            spec.name: archive.row(name, row, count).reshape(fitted[spec.name].shape[1:])
            for spec, name in taken.items()
        }

    labels, words = None, "without labels"
    if key is not None:
        labels, words = _labels(archive, key, count, recipe, request)
    return Gathered(
        noun="samples",
        name=path.absolute().name,
        total=count,
        count=len(chosen),
        make=make,
        labels=None if labels is None else tuple(labels[n] for n in chosen),
        notes=(words,),
    )


def _taken(arrays: Mapping[str, Array], fitted: Array) -> str:
    import numpy as np

    return next(name for name, array in arrays.items() if np.may_share_memory(array, fitted))


def _labels_key(
    arrays: Mapping[str, Array], specs: Sequence[TensorSpec], recipe: DataRecipe
) -> str | None:
    """Return which array is the labels; one that has the name of an input is that input's."""
    if recipe.labels == "none":
        return None
    inputs = {spec.name for spec in specs}
    free = [n for n in arrays if n not in inputs and not n.startswith(("input.", "output."))]
    if recipe.label is not None:
        if recipe.label not in free:
            what = f"there is no array {printable(recipe.label, 60)!r}"
            raise UsageError(what, hint=f"its arrays: {printable(', '.join(arrays))}")
        return recipe.label
    return next((name for name in _LABELS if name in free), None)


def _labels(
    archive: ArchiveOfRows, key: str, count: int, recipe: DataRecipe, request: Mapping[str, Any]
) -> tuple[tuple[int, ...], str]:
    path, rows = request["path"], archive.arrays[key]
    sizes = "x".join(map(str, rows.shape)) or "scalar"
    if rows.dtype.kind not in "iub" or rows.shape not in ((count,), (count, 1)):
        what = f"the array {key} is {printable(rows.dtype.name)} {sizes}"
        raise UsageError(what, where=path, hint=f"labels are {count} whole numbers, one a sample")
    if count > _MOST_LABELS:
        raise UsageError(f"more than {_MOST_LABELS} samples", where=path, hint="give a part of it")
    texts = [str(int(label)) for label in archive.whole(key).ravel()]
    return class_numbers(
        texts,
        lambda n: f"{path}, {key}[{n}]",
        classes=recipe.classes,
        sorts=False,
        outputs=request["classes"],
    )


def _seeded(path: Path, specs: Sequence[TensorSpec], request: Mapping[str, Any]) -> Gathered:
    """Make again the samples that a seed stands for."""
    samples = read_samples(str(path), specs, request["shapes"])
    count = len(next(iter(samples.values())))
    chosen = spread(count, request["most"])
    return Gathered(
        noun="samples",
        name=path.absolute().name,
        total=count,
        count=len(chosen),
        make=lambda number: {name: a[chosen[number]] for name, a in samples.items()},
        labels=None,
        notes=("made from a seed", "without labels"),
    )
