"""What a user brings to calibrate or to evaluate a model with becomes a data set of its inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edge.adapters.files import host_error, read_toml
from edge.datasets.tables import takes_rows
from edge.device.parent import Limits, Progress, run_child
from edge.device.sources import PICTURES
from edge.errors import ConfigError, UsageError, printable
from edge.records.codec import from_dict, to_dict
from edge.records.data_recipe import DataRecipe
from edge.records.data_set import DataSet
from edge.records.model import ModelInfo
from edge.workflows.inputs import tokenizer_of
from edge.workflows.models import ModelChoice

_LIMITS: Final = Limits(wall_s=3600.0, cpu_s=7200, memory_bytes=3 << 30)
_TEXTS: Final = (".txt", ".jsonl", ".ndjson", ".json")
_TABLES: Final = (".csv", ".tsv")
_ONE_OR_THREE: Final = ("scale", "offset", "mean", "std")


_CLASSIFIERS: Final = ("image-classification", "classical", "bytes")


def _quiet(_fraction: float) -> None:
    """Show no progress."""


def load_data_recipe(path: Path) -> DataRecipe:
    """Read a recipe file, as docs/reference/data.md describes it.

    Raises:
        ConfigError: there is no such file, or something in it is wrong; names file and key.
    """
    document = read_toml(path)
    for key in _ONE_OR_THREE:
        value = document.get(key)
        if type(value) in (int, float):
            document[key] = [value]
        elif key in document and not isinstance(value, list):
            what = f"{key}: expected a number or a list of 3, got {printable(repr(value), 60)}"
            raise ConfigError(what, where=path)
    return from_dict(DataRecipe, document, path)


def data_set(
    path: Path,
    choice: ModelChoice,
    info: ModelInfo,
    *,
    shapes: Mapping[str, tuple[int, ...]],
    folder: Path,
    recipe: Path | None = None,
    tokenizer: Path | None = None,
    labels: Path | None = None,
    most: int | None = None,
    progress: Progress = _quiet,
) -> DataSet:
    """Prepare the data `path` as samples of the model, in .npz files in `folder`.

    A folder of pictures or one, an .npz, a CSV file or texts. `most` takes so many, evenly spread.
    `shapes` are what was asked for; where they leave an input free, the card's do.

    Raises:
        UsageError: it cannot be read, or the model takes no such thing.
        ConfigError: the recipe is wrong.
        HostError: the folder cannot be written, or an extra is missing.
        RuntimeFailure: OpenCV is missing, or the child failed.
    """
    if most is not None and most < 1:
        raise UsageError(f"at least 1 sample is needed, got {most}", where=path)
    for given in (path, tokenizer, labels):
        if given is not None and not given.exists():
            raise UsageError("no such file", where=given)
    told = DataRecipe() if recipe is None else load_data_recipe(recipe)
    vocabulary = str(tokenizer) if tokenizer is not None else tokenizer_of(choice)
    kind = _kind(path, info, vocabulary)
    if labels is not None and kind != "pictures":
        what = "a file of labels is for pictures; the labels of other data stand in it"
        raise UsageError(what, where=labels)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise host_error(error, folder) from error
    card = None if choice.card is None else choice.card.preprocessing
    example = {name: list(shape) for name, shape in choice.shapes.items()}
    given_shapes = {name: list(shape) for name, shape in shapes.items()}
    request = {
        "path": str(path),
        "kind": kind,
        "inputs": [to_dict(spec) for spec in info.inputs],
        "shapes": {**example, **given_shapes} if kind == "pictures" else given_shapes,
        "example": example,
        "recipe": to_dict(told),
        "card": {} if card is None else {"scale": card.scale, "offset": card.offset},
        "tokenizer": vocabulary,
        "labels": None if labels is None else str(labels),
        "most": most,
        "folder": str(folder),
        "classes": classes_of(choice, info),
    }
    answer = run_child(
        "edge.datasets.read:read_data",
        request,
        limits=_LIMITS,
        what=str(path),
        progress=progress,
    )
    return _data_set(answer, folder)


def _data_set(answer: Mapping[str, Any], folder: Path) -> DataSet:
    told = answer["labels"]
    return DataSet(
        what=str(answer["what"]),
        files=tuple(folder / name for name in answer["files"]),
        samples=int(answer["samples"]),
        labels=None if told is None else tuple(int(label) for label in told),
    )


def overlap(first: DataSet, second: DataSet) -> int:
    """Return how many samples of `first` are also in `second`, byte for byte.

    Raises:
        RuntimeFailure: the child failed.
    """
    request = {
        "first": [str(file) for file in first.files],
        "second": [str(file) for file in second.files],
    }
    task = "edge.datasets.digests:count_identical"
    return int(run_child(task, request, limits=_LIMITS, what=first.what))


def classes_of(choice: ModelChoice, info: ModelInfo) -> int | None:
    """Return how many classes the outputs tell apart, or None where they do not say.

    It is the last dimension of an output of scores, samples by classes; a single score is no row
    of classes, and neither is the output of a model whose card says that it tells none apart.
    """
    if choice.card is not None and choice.card.kind not in _CLASSIFIERS:
        return None
    rows = [
        spec.shape for spec in info.outputs if spec.dtype != "str" and len(spec.shape or ()) == 2
    ]
    sizes = [shape[1] for shape in rows if shape is not None]
    whole = [size for size in sizes if isinstance(size, int) and size > 1]
    return max(whole) if whole and len(whole) == len(sizes) else None


def _kind(path: Path, info: ModelInfo, vocabulary: str | None) -> str:
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in PICTURES:
        return "pictures"
    if suffix == ".npz":
        return "arrays"
    if suffix not in (*_TEXTS, *_TABLES):
        hint = "a folder of pictures, " + " ".join((*PICTURES, ".npz", *_TABLES, *_TEXTS))
        raise UsageError("its kind is not known", where=path, hint=hint)
    if vocabulary is not None:
        return "texts"
    if suffix in _TABLES and takes_rows(info.inputs):
        return "table"
    what = "nothing says how the model's texts become tokens"
    raise UsageError(what, where=path, hint="put tokenizer.json beside the model, or name one")
