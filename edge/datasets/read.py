"""The task for the limited child: a user's data becomes .npz files of a model's inputs."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from edge.backends.protocol import Array
from edge.datasets.arrays import gather_arrays
from edge.datasets.gathered import Gathered
from edge.datasets.pictures import gather_pictures
from edge.datasets.tables import gather_table
from edge.datasets.texts import gather_texts
from edge.device.child import tell_progress
from edge.device.feeds import write_arrays
from edge.errors import UsageError
from edge.records.codec import from_dict
from edge.records.data_recipe import DataRecipe
from edge.records.tensor import TensorSpec

CHUNK_BYTES: Final = 64 << 20
MOST_BYTES: Final = 16 << 30


def read_data(request: Mapping[str, Any]) -> dict[str, Any]:
    """Read the data `path` of the kind `kind` and write its samples into `folder`.

    `request`: path, kind (pictures, arrays, texts, table), inputs (specs), shapes (--shape),
    example (the card's), recipe, card {scale, offset}, tokenizer, labels (a file), most, folder,
    classes (how many the model tells apart), each None where there is none. The answer: files
    (names in the folder), samples, labels, what.
    """
    path, kind = Path(request["path"]), request["kind"]
    specs = [from_dict(TensorSpec, spec) for spec in request["inputs"]]
    recipe = from_dict(DataRecipe, request["recipe"])
    with ExitStack() as open_files:
        if kind == "pictures":
            gathered = gather_pictures(path, specs, recipe, request)
        elif kind == "arrays":
            gathered = gather_arrays(path, specs, recipe, request, open_files)
        elif kind == "texts":
            gathered = gather_texts(path, specs, recipe, request)
        else:
            gathered = gather_table(path, specs, recipe, request)
        return _write(gathered, path, Path(request["folder"]))


def _write(gathered: Gathered, path: Path, folder: Path) -> dict[str, Any]:
    """Write the samples one by one, in files of about CHUNK_BYTES."""
    chunks = _Chunks(folder)
    kept: list[int] = []
    for number in range(gathered.count):
        sample = gathered.make(number)
        if sample is not None:
            size = sum(array.nbytes for array in sample.values())
            if not kept and size * gathered.count > MOST_BYTES:
                most = MOST_BYTES // max(1, size)
                what = f"{gathered.count} samples of {size} bytes are more than {MOST_BYTES} bytes"
                raise UsageError(what, where=path, hint=f"give at most {most} samples")
            kept.append(number)
            chunks.add(sample, size)
        tell_progress((number + 1) / gathered.count)
    chunks.close()
    if not kept:
        what = f"none of the {gathered.count} {gathered.noun} can be read"
        raise UsageError(what, where=path, hint="OpenCV reads them; are they pictures?")
    labels = gathered.labels
    return {
        "files": chunks.names,
        "samples": len(kept),
        "labels": None if labels is None else [labels[number] for number in kept],
        "what": gathered.told(len(kept)),
    }


class _Chunks:
    """Files of samples, each whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.names: list[str] = []
        self._folder = folder
        self._waiting: list[Mapping[str, Array]] = []
        self._bytes = 0

    def add(self, sample: Mapping[str, Array], size: int) -> None:
        """Keep a sample; what is full is written."""
        if self._waiting and self._bytes + size > CHUNK_BYTES:
            self.close()
        self._waiting.append(sample)
        self._bytes += size

    def close(self) -> None:
        """Write what is left."""
        import numpy as np

        if not self._waiting:
            return
        name = f"samples-{len(self.names):05d}.npz"
        inputs = self._waiting[0]
        arrays = {f"input.{key}": np.stack([each[key] for each in self._waiting]) for key in inputs}
        staged = self._folder / f".{name}.part"
        write_arrays(str(staged), arrays)
        staged.replace(self._folder / name)
        self.names.append(name)
        self._waiting, self._bytes = [], 0
