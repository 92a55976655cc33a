"""How far a converted file's answers lie from those of what it was made from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edge.backends import backend_for_format
from edge.backends.protocol import Array
from edge.errors import ModelError
from edge.records.measurement import SessionConfig


def run_file(path: Path, feeds: Mapping[str, Array]) -> list[Array]:
    """Run one inference of the ONNX file in this (child) process."""
    backend = backend_for_format("onnx")
    session = backend.open(str(path), SessionConfig(backend=backend.name, threads=1))
    return session.run(feeds)


def largest_difference(got: Sequence[Array], expected: Sequence[Array], allowed: float) -> float:
    """Return the largest absolute difference of any two numbers.

    Raises:
        ModelError: it is above `allowed`, or the shapes differ: the conversion went wrong.
    """
    worst = 0.0
    for ours, theirs in zip(got, expected, strict=True):
        if ours.shape != theirs.shape:
            raise ModelError(f"the converted model gives {ours.shape}, not {theirs.shape}")
        worst = max(worst, float(np.max(np.abs(ours - theirs))))
    if not worst <= allowed:
        what = f"the converted model's answers are off by {worst:.2g}, and {allowed:.2g} is allowed"
        raise ModelError(what)
    return worst
