"""Runs a bundle's samples and compares with the outputs they must give. Device slice: Python 3.8."""

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

from edge.errors import RuntimeFailure, printable
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import SessionConfig
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    from edge.backends.protocol import Array

# More than this many disagreements say no more than these do.
_MOST_TOLD = 5


def check_samples(request: Mapping[str, Any]) -> Dict[str, Any]:
    """Run every sample and compare; a task for the limited child.

    `request`: model, config, samples (an .npz of `input.NAME` and `output.NAME`), compare, atol,
    rtol. The answer: count, agreed, runtime, largest_difference (as of `distance`, over all
    outputs of the expected shape), and what disagrees: sample, output, what.
    """
    from edge.backends import load_backend

    config = from_dict(SessionConfig, request["config"])
    session = load_backend(config.backend).open(request["model"], config)
    samples = Samples(request["samples"])
    disagreements: List[Dict[str, Any]] = []
    disagreeing = set()
    largest = 0.0
    for index in range(samples.count):
        results = session.run(samples.inputs(index, session.inputs))
        expected = samples.expected(index, session.outputs)
        for spec, got, wanted in zip(session.outputs, results, expected):
            differs = difference(got, wanted, request)
            if got.shape == wanted.shape:
                largest = max(largest, distance(got, wanted))
            if differs is not None:
                disagreeing.add(index)
                told = {"sample": index, "output": spec.name, "what": differs}
                disagreements = [*disagreements, told][:_MOST_TOLD]
    return {
        "count": samples.count,
        "agreed": samples.count - len(disagreeing),
        "largest_difference": largest,
        "disagreements": disagreements,
        "runtime": to_dict(session.runtime()),
    }


class Samples:
    """A bundle's samples: the arrays of an .npz with `input.NAME` and `output.NAME`."""

    def __init__(self, path: str) -> None:
        """Read them all.

        Raises:
            UsageError: the file is no .npz of plain arrays.
            RuntimeFailure: it has no outputs.
        """
        from edge.device.feeds import read_arrays

        self._path, self._arrays = path, read_arrays(path)
        outputs = [a for name, a in self._arrays.items() if name.startswith("output.") and a.ndim]
        if not outputs:
            raise RuntimeFailure("the samples have no outputs", where=path)
        self.count = min(len(array) for array in outputs)

    def inputs(self, index: int, specs: Sequence[TensorSpec]) -> "Dict[str, Array]":
        """Return the inputs of one sample by their names."""
        return {spec.name: self._array("input." + spec.name)[index, ...] for spec in specs}

    def expected(self, index: int, specs: Sequence[TensorSpec]) -> "List[Array]":
        """Return the outputs that one sample must give."""
        return [self._array("output." + spec.name)[index, ...] for spec in specs]

    def _array(self, name: str) -> "Array":
        try:
            return self._arrays[name]
        except KeyError as error:
            what = "the samples have no {}".format(printable(error))
            raise RuntimeFailure(what, where=self._path) from error


def distance(got: Any, expected: Any) -> float:
    """Return how far an output is off at the most, in its own units; what is no number is not."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        off = np.abs(got.astype(np.float64) - expected.astype(np.float64))
    return float(np.max(np.nan_to_num(off), initial=0.0))


def difference(got: Any, expected: Any, rule: Mapping[str, Any]) -> Optional[str]:
    """Return in words how an output differs by more than `rule` allows, or None if it agrees."""
    import numpy as np

    if got.shape != expected.shape or got.dtype != expected.dtype:
        return "it is {} {}, expected {} {}".format(
            got.dtype, got.shape, expected.dtype, expected.shape
        )
    if rule["compare"] == "top1":
        ours, theirs = got.argmax(-1), expected.argmax(-1)
        wrong = np.flatnonzero(np.atleast_1d(ours != theirs))
        if len(wrong) == 0:
            return None
        first = wrong[0]
        place = (np.ravel(ours)[first], np.ravel(theirs)[first])
        return "the largest entry is number {}, expected {}".format(*place)
    # Every number that a tensor holds is a double, or as near to one as tolerances care.
    left, right = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(left) & np.isfinite(right)
    allowed = rule["atol"] + rule["rtol"] * np.abs(np.where(np.isfinite(right), right, 0.0))
    with np.errstate(invalid="ignore"):
        off = np.abs(left - right)
    # An infinity agrees with itself alone, and no number with no number.
    agrees = (finite & (off <= allowed)) | (left == right) | (np.isnan(left) & np.isnan(right))
    if bool(np.all(agrees)):
        return None
    worst = np.where(agrees, -1.0, np.nan_to_num(off, nan=np.inf))
    index = np.unravel_index(int(np.argmax(worst)), worst.shape)
    return "entry {} is {:.6g}, expected {:.6g}, and {:.2g} off is allowed".format(
        [int(i) for i in index], left[index], right[index], allowed[index]
    )
