"""Runs a bundle's samples and compares with the outputs they must give. Device slice: Python 3.8."""

from typing import Any, Dict, List, Mapping, Optional

from edge.errors import RuntimeFailure, printable
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import SessionConfig

# More than this many disagreements say no more than these do.
_MOST_TOLD = 5


def check_samples(request: Mapping[str, Any]) -> Dict[str, Any]:
    """Run every sample and compare; a task for the limited child.

    `request`: model, config, samples (an .npz of `input.NAME` and `output.NAME`), compare, atol,
    rtol. The answer: count, agreed, runtime, and what disagrees: sample, output, what.
    """
    from edge.backends import load_backend
    from edge.device.feeds import read_arrays

    config = from_dict(SessionConfig, request["config"])
    session = load_backend(config.backend).open(request["model"], config)
    arrays = read_arrays(request["samples"])
    try:
        inputs = {spec.name: arrays["input." + spec.name] for spec in session.inputs}
        expected = {spec.name: arrays["output." + spec.name] for spec in session.outputs}
    except KeyError as error:
        what = "the samples have no {}".format(printable(error))
        raise RuntimeFailure(what, where=request["samples"]) from error
    count = min(len(array) for array in expected.values())
    disagreements: List[Dict[str, Any]] = []
    disagreeing = set()
    for index in range(count):
        results = session.run({name: array[index, ...] for name, array in inputs.items()})
        for spec, got in zip(session.outputs, results):
            differs = difference(got, expected[spec.name][index], request)
            if differs is not None:
                disagreeing.add(index)
                told = {"sample": index, "output": spec.name, "what": differs}
                disagreements = [*disagreements, told][:_MOST_TOLD]
    return {
        "count": count,
        "agreed": count - len(disagreeing),
        "disagreements": disagreements,
        "runtime": to_dict(session.runtime()),
    }


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
