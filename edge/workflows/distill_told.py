"""What is said of a student and its teacher once both are known."""

from collections.abc import Iterator, Mapping
from typing import Any

from edge.errors import UsageError, printable
from edge.records.distillation import DistilledModel
from edge.records.measurement import ModelRef
from edge.records.model import ModelInfo


def distilled(info: ModelInfo, name: str) -> DistilledModel:
    """Say of a model what is compared, under the name of its file."""
    model = ModelRef(name=name, format=info.format, sha256=info.sha256, file_bytes=info.file_bytes)
    return DistilledModel(model=model, parameters=info.parameters, macs=info.macs)


def check_inputs(teacher: ModelInfo, student: ModelInfo) -> None:
    """Refuse a student that the teacher's data would not fit.

    Raises:
        UsageError: it does not take one of the teacher's inputs.
    """
    missing = [spec for spec in teacher.inputs if spec.name not in {s.name for s in student.inputs}]
    if missing:
        what = f"the student does not use the input {printable(missing[0])}"
        hint = "a student takes all that its teacher takes: let its outputs depend on it"
        raise UsageError(what, where="--student", hint=hint)


def remarks(
    teacher: ModelInfo,
    student: ModelInfo,
    learnt: Mapping[str, Any],
    asked: Mapping[str, Any],
    *,
    seen: int,
) -> Iterator[str]:
    """Say what a reader of the figures should know; `seen` samples of the evaluation taught, too."""
    yield "A student knows only what is like the data that it was trained on."
    if seen:
        yield f"{seen} samples of the evaluation were trained on, too: others may go worse."
    for name in asked["left_out"]:
        yield f"The output {printable(name)} holds no floats; the student does not have it."
    if (teacher.macs or 0) and (student.macs or 0) >= (teacher.macs or 0):
        yield "The student needs as many multiply-accumulates as its teacher, or more."
    if student.file_bytes >= teacher.file_bytes:
        yield "The student's file is no smaller than its teacher's."
    if learnt["hurried"]:
        yield "The clock shortened the training: another run may give another student."
    if learnt["best"] == len(learnt["epochs"]) - 1 and learnt["stopped"] != "no-better":
        yield "The last epoch was the best one: more epochs may be better still."
