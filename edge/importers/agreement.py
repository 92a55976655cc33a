"""How often the ONNX file says what the estimator says, in a limited child."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from edge.backends import backend_for_format
from edge.backends.protocol import Array
from edge.device.child import tell_progress
from edge.device.feeds import read_arrays
from edge.errors import ModelError, UsageError
from edge.importers.convert import load_again
from edge.importers.samples import made_samples
from edge.records.measurement import SessionConfig

_MADE_UP: Final = 1000
_SEED: Final = 0
# Values that differ by less are the same: float32 has seven digits, and sums of trees lose some.
_SAME: Final = 1e-3
# A probability that is further off than this is told, even where the label is the same.
_NOTABLE: Final = 0.01
# So many samples are run at once, which bounds the memory that outputs take.
_BATCH: Final = 4096


def compare(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the estimator and the ONNX file on the same samples.

    `request`: as of edge.importers.convert.convert, kind, features, label (the label's output, or
    None), classes, data (the .npz files with `input.NAME`; empty: samples are made up). The
    estimator gets the samples as they are, the file gets them in float32, as on a device. The
    answer: samples, same, largest_difference, largest_value, apart (samples with another label, or
    values that are notably off), flipped (those of them that are not once the estimator gets
    float32, too), known (features whose range is known).

    Raises:
        UsageError: the data do not fit the estimator.
        ModelError: the estimator fails on them.
    """
    estimator = load_again(request)
    features = int(request["features"])
    known = features
    if request["data"]:
        pieces = [_read(path, str(request["input"]), features) for path in request["data"]]
        samples = np.concatenate(pieces)
    else:
        samples, known = made_samples(estimator, features, _MADE_UP, _SEED)
    tell_progress(0.3)
    backend = backend_for_format("onnx")
    session = backend.open(request["out"], SessionConfig(backend=backend.name, threads=1))
    tally = _Tally()
    for start in range(0, len(samples), _BATCH):
        part = samples[start : start + _BATCH]
        outputs = session.run({request["input"]: part.astype(np.float32)})
        wanted = _answers(estimator, part, request)
        apart = tally.add(wanted, _shaped(outputs, wanted))
        if apart.any():
            # Trees may take another branch where float32 rounds a feature.
            again = _answers(estimator, part.astype(np.float32), request)
            tally.flipped += int((apart & ~_apart(again, _shaped(outputs, again))).sum())
        tell_progress(0.3 + 0.7 * (start + len(part)) / len(samples))
    return {**tally.answer(), "known": known}


class _Answers:
    """Labels, or values, or both, one row a sample."""

    def __init__(self, labels: Array | None, values: Array | None) -> None:
        self.labels = labels
        self.values = values


class _Tally:
    """What is counted over all samples."""

    def __init__(self) -> None:
        self.samples = self.same = self.apart = self.flipped = 0
        self.difference: float | None = None
        self.value: float | None = None

    def add(self, wanted: _Answers, got: _Answers) -> Array:
        """Count some samples and return which of them are notably apart."""
        same = _same(wanted, got)
        self.samples += len(same)
        self.same += int(same.sum())
        if wanted.values is not None and got.values is not None:
            difference = np.abs(wanted.values - got.values)
            self.difference = _larger(self.difference, difference)
            self.value = _larger(self.value, np.abs(wanted.values))
        apart = _apart(wanted, got)
        self.apart += int(apart.sum())
        return apart

    def answer(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "samples": self.samples,
            "same": self.same,
            "apart": self.apart,
            "flipped": self.flipped,
            "largest_difference": self.difference,
            "largest_value": self.value,
        }


def _larger(known: float | None, values: Array) -> float:
    largest = float(np.max(values, initial=0.0))
    # What is no number is as far off as can be.
    largest = float(np.finfo(np.float64).max) if not np.isfinite(largest) else largest
    return largest if known is None else max(known, largest)


def _same(wanted: _Answers, got: _Answers) -> Array:
    if wanted.labels is not None and got.labels is not None:
        return np.asarray(wanted.labels == got.labels)
    if wanted.values is None or got.values is None:
        raise ModelError("the converted file gives nothing that the estimator gives")
    allowed = _SAME * np.maximum(np.abs(wanted.values), np.std(wanted.values))
    return np.asarray((np.abs(wanted.values - got.values) <= allowed).all(axis=1))


def _apart(wanted: _Answers, got: _Answers) -> Array:
    """Return which samples have another label, or values that are notably off."""
    apart = ~_same(wanted, got)
    if wanted.labels is not None and wanted.values is not None and got.values is not None:
        apart |= (np.abs(wanted.values - got.values) > _NOTABLE).any(axis=1)
    return apart


def _answers(estimator: Any, samples: Array, request: Mapping[str, Any]) -> _Answers:
    """Ask the estimator."""
    import warnings

    with warnings.catch_warnings():
        # It was trained with names of columns, and is given none.
        warnings.simplefilter("ignore")
        try:
            if request["kind"] == "transformer":
                return _Answers(None, _rows(estimator.transform(samples), len(samples)))
            if request["kind"] == "regressor":
                return _Answers(None, _rows(estimator.predict(samples), len(samples)))
            labels = _numbers(np.asarray(estimator.predict(samples)), estimator, request)
            values = None
            if hasattr(estimator, "predict_proba"):
                values = _rows(estimator.predict_proba(samples), len(samples))
        except (ValueError, TypeError, RuntimeError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"the estimator itself fails on the data: {first}") from error
    return _Answers(labels, values)


def _numbers(labels: Array, estimator: Any, request: Mapping[str, Any]) -> Array:
    """Return labels as the file numbers them."""
    if request["label"] is None or labels.dtype.kind in "iufb":
        return labels.astype(np.int64).ravel()
    places = {name: index for index, name in enumerate(np.asarray(estimator.classes_))}
    return np.array([places[name] for name in labels.ravel()], np.int64)


def _shaped(outputs: list[Array], wanted: _Answers) -> _Answers:
    """Return the file's outputs as the estimator's answers are shaped."""
    if wanted.labels is None:
        if wanted.values is None or outputs[0].size != wanted.values.size:
            return _Answers(None, None)
        return _Answers(None, outputs[0].reshape(wanted.values.shape).astype(np.float64))
    values = None
    if wanted.values is not None and len(outputs) > 1 and outputs[1].size == wanted.values.size:
        values = outputs[1].reshape(wanted.values.shape).astype(np.float64)
    return _Answers(outputs[0].ravel().astype(np.int64), values)


def _rows(values: Any, count: int) -> Array:
    """Return values as one row a sample; a transformer may give a sparse matrix."""
    dense = values.toarray() if hasattr(values, "toarray") else values
    return np.asarray(dense, np.float64).reshape(count, -1)


def _read(path: str, name: str, features: int) -> Array:
    """Return the samples of a file of the data set, one a row."""
    arrays = read_arrays(path)
    given = arrays.get(f"input.{name}", arrays.get(name))
    if given is None:
        tables = [a for a in arrays.values() if a.ndim == 2 and a.shape[-1] == features]
        given = tables[0] if len(tables) == 1 else None
    if given is None or given.dtype.kind not in "iufb" or given.size % features or not given.size:
        raise UsageError(
            f"no samples of {features} numbers", where=path, hint=f"an array {name} in the .npz"
        )
    return np.asarray(given, np.float64).reshape(-1, features)
