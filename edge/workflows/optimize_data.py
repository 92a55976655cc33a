"""The data of an optimisation: what calibrates, what evaluates, and what is done without any."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge.device.feeds import read_arrays, write_arrays
from edge.device.parent import Limits, memory_limit, run_child
from edge.records.data_set import DataSet
from edge.records.optimization import DataUse
from edge.workflows.data_set import data_set, overlap
from edge.workflows.optimize_case import OptimizeCase

Progress = Callable[[float], None]
Sizes = Mapping[str, tuple[int, ...]]

# More samples hardly move a range; a set for evaluation is used whole.
_MOST_CALIBRATION: Final = 128
_LARGEST_CALIBRATION_BYTES: Final = 60_000_000
_RANDOM_SAMPLES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPaths:
    """What the user gave: data, and how it is read (docs/reference/data.md)."""

    calibration: Path | None = None
    evaluation: Path | None = None
    recipe: Path | None = None
    tokenizer: Path | None = None
    labels: Path | None = None


@dataclass(slots=True, kw_only=True)
class OptimizeData:
    """Reads the user's data for a model, and again for another size of its inputs."""

    given: DataPaths
    case: OptimizeCase
    folder: Path
    _read: dict[tuple[str, Any], DataSet | None] = field(default_factory=dict)

    def calibration(self, sizes: Sizes | None = None) -> DataSet | None:
        """Return what calibrates at these input sizes; None: there is nothing.

        Raises:
            EdgekitError: the data cannot be read, or does not fit.
        """
        return self._once("calibration", sizes or {}, self._calibration)

    def evaluation(self, sizes: Sizes | None = None) -> DataSet:
        """Return what outputs are compared on: the data for it, else other samples, else random.

        Raises:
            EdgekitError: the data cannot be read, or does not fit.
        """
        found = self._once("evaluation", sizes or {}, self._evaluation)
        if found is None:
            raise AssertionError("there is always something to compare on")
        return found

    def sample(self, sizes: Sizes | None = None) -> Path:
        """Return an .npz with the first sample alone: to time a model nothing more is read."""
        data = self.evaluation(sizes)
        place = data.files[0].with_name("first.npz")
        if not place.exists():
            arrays = read_arrays(str(data.files[0]))
            first = {name: a[:1] for name, a in arrays.items() if name.startswith("input.")}
            write_arrays(str(place), first)
        return place

    def remarks(self) -> tuple[str, ...]:
        """Say what the data cannot show."""
        told = []
        calibration, evaluation = self.calibration(), self.evaluation()
        if self.given.evaluation is None:
            told.append(
                "without --evaluate it is not known how accurate any variant is; only the outputs "
                f"were compared, on {evaluation.what}"
            )
        elif evaluation.labels is None:
            told.append("the data has no labels: only the outputs were compared")
        if self.given.calibration is None:
            told.append("without --calibration no ranges of activations were measured")
        elif calibration is not None and self.given.evaluation is not None:
            same = overlap(calibration, evaluation)
            if same:
                told.append(
                    f"{same} of the {evaluation.samples} samples that evaluate calibrated, too: "
                    "accuracy on new data may be lower"
                )
        return tuple(told)

    def _once(
        self, kind: str, sizes: Sizes, read: Callable[[Sizes, Path], DataSet | None]
    ) -> DataSet | None:
        key = (kind, tuple(sorted(sizes.items())))
        if key not in self._read:
            folder = self.folder / f"{kind}-{len(self._read)}"
            folder.mkdir(parents=True)
            self._read[key] = read(sizes, folder)
        return self._read[key]

    def _calibration(self, sizes: Sizes, folder: Path) -> DataSet | None:
        if self.given.calibration is None:
            return None
        sample_bytes = sum(
            _bytes_of(spec, {**self.case.shapes, **sizes}) for spec in self.case.info.inputs
        )
        fitting = max(1, _LARGEST_CALIBRATION_BYTES // max(1, sample_bytes))
        return self._data(self.given.calibration, sizes, folder, min(_MOST_CALIBRATION, fitting))

    def _evaluation(self, sizes: Sizes, folder: Path) -> DataSet | None:
        if self.given.evaluation is not None:
            return self._data(self.given.evaluation, sizes, folder, None)
        if self.given.calibration is not None:
            return self.calibration(sizes)
        if self.case.choice.samples is not None and not sizes:
            return self._data(self.case.choice.samples, sizes, folder, None)
        return self._random(sizes, folder)

    def _data(self, path: Path, sizes: Sizes, folder: Path, most: int | None) -> DataSet:
        return data_set(
            path,
            self.case.choice,
            self.case.info,
            shapes={**self.case.shapes, **sizes},
            folder=folder,
            recipe=self.given.recipe,
            tokenizer=self.given.tokenizer,
            labels=self.given.labels,
            most=most,
        )

    def _random(self, sizes: Sizes, folder: Path) -> DataSet:
        """Make inputs from a seed: all that is left where there is no data at all."""
        out = folder / "random.npz"
        shapes = {**self.case.shapes, **sizes}
        answer = run_child(
            "edge.device.worker:make_samples",
            {
                "model": str(self.case.choice.path.absolute()),
                "config": {"backend": self.case.site.backend, "threads": 1},
                "shapes": {name: list(shape) for name, shape in shapes.items()},
                "count": _RANDOM_SAMPLES,
                "seed": 0,
                "inputs": None,
                "out": str(out),
            },
            limits=Limits(
                memory_bytes=memory_limit(self.case.info.file_bytes)
                + 4 * (self.case.info.peak_activation_bytes or 0)
            ),
            what=str(self.case.choice.path),
            paths=self.case.site.paths,
        )
        count = int(answer["count"])
        return DataSet(what=f"{count} random inputs", files=(out,), samples=count, labels=None)


def use_of(data: DataSet) -> DataUse:
    """Return what is told of a data set."""
    labelled = 0 if data.labels is None else len(data.labels)
    return DataUse(what=data.what, samples=data.samples, labelled=labelled)


def _bytes_of(spec: Any, shapes: Sizes) -> int:
    size = 8 if spec.dtype in ("int64", "float64") else 4
    for length in shapes.get(spec.name, spec.shape or ()):
        size *= length if isinstance(length, int) else 1
    return size
