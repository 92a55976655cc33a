"""Asking the teacher: its answers to the user's samples, in a limited child; no torch."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.device.child import tell_progress
from edge.distillation.stored import RowWriter
from edge.errors import ModelError, RuntimeFailure, printable
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import SessionConfig
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    from edge.backends.protocol import Session


def ask(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the teacher on every sample and keep samples and answers on disk.

    `request`: model, config, shapes, files (of samples, `input.NAME`), samples (how many in all),
    folder. The answer: inputs and outputs, each {spec, file, dtype, shape}, and left_out, the
    names of outputs that hold no floats, which nobody can learn by small steps.
    """
    from edge.backends import load_backend

    config = from_dict(SessionConfig, request["config"])
    session = load_backend(config.backend).open(request["model"], config)
    _check_batch(session.inputs)
    kept = [n for n, spec in enumerate(session.outputs) if spec.dtype.startswith("float")]
    if not kept:
        raise ModelError(
            "none of its outputs holds floats, and only floats can be learnt",
            where=request["model"],
            hint="distil from the float model, with its probabilities or scores as an output",
        )
    folder = Path(request["folder"])
    inputs = [RowWriter(folder / f"input-{n}.rows") for n in range(len(session.inputs))]
    outputs = [RowWriter(folder / f"output-{n}.rows") for n in kept]
    for done, feeds in enumerate(_samples(session, request), 1):
        answers = session.run(feeds)
        for spec, writer in zip(session.inputs, inputs, strict=True):
            writer.write(_one(feeds[spec.name], spec), f"the input {printable(spec.name)}")
        for n, writer in zip(kept, outputs, strict=True):
            spec = session.outputs[n]
            writer.write(_answer(answers[n], spec), f"the output {printable(spec.name)}")
        if done % 16 == 0:
            tell_progress(min(1.0, done / max(1, int(request["samples"]))))
    return {
        "inputs": _told(session.inputs, inputs),
        "outputs": _told([session.outputs[n] for n in kept], outputs),
        "left_out": [s.name for n, s in enumerate(session.outputs) if n not in kept],
    }


def _told(specs: Sequence[TensorSpec], writers: Sequence[RowWriter]) -> list[dict[str, Any]]:
    pairs = zip(specs, writers, strict=True)
    return [{"spec": to_dict(spec), **writer.close()} for spec, writer in pairs]


def _samples(
    session: "Session", request: Mapping[str, Any]
) -> Iterator[dict[str, "np.ndarray[Any, Any]"]]:
    from edge.device.feeds import read_samples

    for file in request["files"]:
        arrays = read_samples(file, session.inputs, request.get("shapes") or {})
        for index in range(len(next(iter(arrays.values())))):
            yield {name: array[index, ...] for name, array in arrays.items()}


def _check_batch(inputs: Sequence[TensorSpec]) -> None:
    """Refuse a teacher whose first axis is no batch: a student learns from many samples at once."""
    for spec in inputs:
        first = (spec.shape or (None,))[0]
        if spec.shape == () or (isinstance(first, int) and first != 1):
            what = (
                f"the input {printable(spec)} has no batch of 1, or a free one, as its first axis"
            )
            raise ModelError(what, hint="export the teacher with a free first dimension")


def _one(array: "np.ndarray[Any, Any]", spec: TensorSpec) -> "np.ndarray[Any, Any]":
    if array.ndim == 0 or array.shape[0] != 1:
        what = f"a sample of the input {printable(spec)} holds {array.shape}, not one"
        raise RuntimeFailure(what, hint="give samples with a batch of 1")
    row: np.ndarray[Any, Any] = array[0]
    return row


def _answer(array: "np.ndarray[Any, Any]", spec: TensorSpec) -> "np.ndarray[Any, Any]":
    if array.ndim == 0 or array.shape[0] != 1:
        what = f"the output {printable(spec)} gives {array.shape} for one sample"
        raise ModelError(what, hint="an output whose first axis is the batch can be learnt")
    if not np.all(np.isfinite(array)):
        raise RuntimeFailure(f"the teacher gives what is no number in {printable(spec)}")
    row: np.ndarray[Any, Any] = array[0]
    return row
