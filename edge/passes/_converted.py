"""Whether a converted file answers as the file that it was made from."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.backends import backend_for_format
from edge.backends.protocol import Array, Session
from edge.device.feeds import concrete_inputs, read_samples, seeded_samples
from edge.errors import ModelError, RuntimeFailure, printable
from edge.records.measurement import SessionConfig

# Another order of sums gives 1e-6 to 1e-5 of the largest output, and 1.2e-3 in Basic Pitch, which
# takes a logarithm of next to nothing; a wrong layout or padding gives 1e-1 and more.
_ALLOWED_PART = 5e-3
_LEAST_OUTPUT = 1e-6
_SAMPLES, _SEED = 4, 0


def opened(path: Path, kind: str) -> Session:
    """Load a file of the format `kind` on one thread."""
    backend = backend_for_format(kind)
    return backend.open(str(path), SessionConfig(backend=backend.name, threads=1))


def samples_of(session: Session, request: Mapping[str, Any]) -> dict[str, Array]:
    """Return up to four samples of the request's calibration data, or seeded ones.

    Raises:
        UsageError: an input's shape is free, or the data does not fit.
    """
    shapes = {name: tuple(shape) for name, shape in (request.get("shapes") or {}).items()}
    specs = concrete_inputs(session.inputs, shapes)
    if request.get("calibration") is None:
        return seeded_samples(specs, _SAMPLES, _SEED)
    read = read_samples(str(request["calibration"]), specs, shapes)
    return {name: array[:_SAMPLES] for name, array in read.items()}


def inputs_by_place(original: Session, converted: Session) -> dict[str, str]:
    """Return what the converted file calls each input; types and shapes are the same.

    Raises:
        ModelError: they are not.
    """
    told = [", ".join(str(spec) for spec in session.inputs) for session in (original, converted)]
    pairs = list(zip(original.inputs, converted.inputs, strict=False))
    same = all(
        one.dtype == other.dtype and len(one.shape or ()) == len(other.shape or ())
        for one, other in pairs
    )
    if len(original.inputs) != len(converted.inputs) or not same:
        raise ModelError(printable(f"the converted model takes {told[1]}, not {told[0]}", 500))
    return {one.name: other.name for one, other in pairs}


def require_parity(
    original: Session, made: Path, kind: str, samples: Mapping[str, Array]
) -> tuple[dict[str, str], str]:
    """Return the inputs' names in the converted file, and a sentence on how near its answers are.

    Raises:
        ModelError: it does not run, an output has another shape, or lies off by more than a
            two-hundredth of the largest number in it: the conversion went wrong.
        RuntimeFailure: the original does not run.
    """
    count = len(next(iter(samples.values())))
    feeds = [{name: array[number] for name, array in samples.items()} for number in range(count)]
    expected = [original.run(feed) for feed in feeds]
    try:
        converted = opened(made, kind)
        names = inputs_by_place(original, converted)
        got = [converted.run({names[k]: array for k, array in feed.items()}) for feed in feeds]
    except RuntimeFailure as error:
        raise ModelError(f"the converted model does not run: {error.what}") from error
    worst, largest = 0.0, 0.0
    for ours, theirs in zip(got, expected, strict=True):
        shapes = [", ".join(str(array.shape) for array in arrays) for arrays in (ours, theirs)]
        if shapes[0] != shapes[1]:
            raise ModelError(f"the converted model gives {shapes[0]}, not {shapes[1]}")
        for mine, its in zip(ours, theirs, strict=True):
            off, top = _furthest(mine, its)
            worst, largest = max(worst, off), max(largest, top)
    what = f"{count} sample" + ("s" if count > 1 else "")
    told = f"largest difference from the original over {what}: {worst:.2g}"
    return names, f"{told} (outputs to {largest:.3g})"


def _furthest(got: Array, expected: Array) -> tuple[float, float]:
    wide = expected.astype(np.float64)
    top = float(np.max(np.abs(wide), initial=0.0))
    error = float(np.max(np.abs(got.astype(np.float64) - wide), initial=0.0))
    # Not a number is not below it either.
    if not error <= _ALLOWED_PART * max(top, _LEAST_OUTPUT):
        raise ModelError(
            f"the converted model's answers are off by {error:.2g} where the largest is"
            f" {top:.2g}: the conversion went wrong"
        )
    return error, top


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Make a folder the current one meanwhile: converters write where they are."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def first_line(error: BaseException) -> str:
    """Return what an error says, cut to one line."""
    lines = str(error).strip().splitlines() or [""]
    return printable(f"{type(error).__name__}: {lines[0]}", 300)
