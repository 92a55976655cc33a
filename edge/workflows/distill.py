"""A smaller student from a teacher and unlabelled data: asked, trained, exported, compared."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import edge
from edge.adapters.files import host_error, whole_file, write_json
from edge.distillation import EXTRA, missing_modules
from edge.distillation.architecture import Architecture, check_fit, parse_architecture
from edge.errors import HostError, ModelError, UsageError, printable
from edge.reasoning.agreement import accuracy, agreement
from edge.reasoning.matched import lost_accuracy, right_ones
from edge.records.codec import from_dict, to_dict
from edge.records.data_set import DataSet
from edge.records.distillation import (
    Distillation,
    Epoch,
    Evaluation,
    LearntOutput,
)
from edge.records.model import ModelInfo
from edge.records.optimization import DataUse
from edge.workflows.data_set import data_set, overlap
from edge.workflows.distill_request import DistillRequest
from edge.workflows.distill_steps import ask_teacher, outputs_of, train_student
from edge.workflows.distill_told import check_inputs, distilled, remarks
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice, resolve_model

if TYPE_CHECKING:
    import numpy as np

    Outputs = dict[str, np.ndarray[Any, Any]]

Progress = Callable[[float], None]

# Where the steps end on the progress bar.
_READ: Final = 0.05
_ASKED: Final = 0.3
_TRAINED: Final = 0.9
# fp32 adds up in another order in the runtime.
_ALLOWED_DIFFERENCE: Final = 1e-3


def distill(request: DistillRequest, progress: Progress) -> Distillation:
    """Train a student, write it to `request.output` and its record beside it, return the record.

    Raises:
        HostError: PyTorch is not installed (before any work), or something cannot be written.
        UsageError: the architecture, the data or the shapes do not fit the teacher.
        ModelError: the teacher has nothing that can be learnt.
        RuntimeFailure: the teacher, the training or the exported student failed.
    """
    missing = missing_modules()
    if missing:
        raise HostError(
            f"a student is trained with {', '.join(missing)}, which is not installed",
            hint=f"pip install 'edgekit-deploy[{EXTRA}]'",
        )
    architecture = parse_architecture(request.student, trusted=request.trusted)
    choice = resolve_model(request.teacher)
    _check_output(request.output, choice)
    info = inspect_model(choice.path, {**choice.shapes, **request.shapes})
    check_fit(architecture, info.inputs)
    try:
        scratch = tempfile.TemporaryDirectory(prefix="edgekit-")
    except OSError as error:
        raise host_error(error, tempfile.gettempdir()) from error
    with scratch as folder:
        work = _Work(request=request, choice=choice, info=info, folder=Path(folder))
        result = work.run(architecture, progress)
        with whole_file(request.output) as staged:
            shutil.copyfile(work.student, staged)
        write_json(record_path(request.output), to_dict(result))
    progress(1.0)
    return result


def record_path(student: Path) -> Path:
    """Return where the record of a student lies: beside it, as NAME.distillation.json."""
    return student.with_name(student.stem + ".distillation.json")


def _check_output(output: Path, choice: ModelChoice) -> None:
    """Refuse before hours of work what could not be written after them."""
    if output.is_dir():
        raise HostError("it is a folder", where=output, hint="name a file, such as student.onnx")
    if not output.parent.is_dir():
        raise HostError("no such folder", where=output.parent, hint="create the folder first")
    if not os.access(output.parent, os.W_OK):
        hint = "choose a folder that you may write to"
        raise HostError("permission denied", where=output.parent, hint=hint)
    if output.exists() and output.samefile(choice.path):
        raise UsageError("the student would replace its teacher", where=output)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """One distillation in a scratch folder; nothing is written outside it."""

    request: DistillRequest
    choice: ModelChoice
    info: ModelInfo
    folder: Path

    @property
    def student(self) -> Path:
        return self.folder / "student.onnx"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {**self.choice.shapes, **self.request.shapes}

    @property
    def threads(self) -> int:
        return self.request.threads or len(os.sched_getaffinity(0))

    def run(self, architecture: Architecture, progress: Progress) -> Distillation:
        request = self.request
        data = self._data(
            request.data, "data", labels=None, progress=lambda part: progress(_READ * part)
        )
        evaluation = None
        if request.evaluate is not None:
            evaluation = self._data(
                request.evaluate, "evaluate", labels=request.labels, progress=lambda _part: None
            )
        asked = ask_teacher(
            self.choice.path,
            self.info,
            data,
            shapes=self.shapes,
            threads=self.threads,
            folder=self.folder,
            progress=lambda part: progress(_READ + (_ASKED - _READ) * part),
        )
        learnt = train_student(
            architecture,
            asked,
            request,
            labelled=evaluation is not None and evaluation.labels is not None,
            threads=self.threads,
            student=self.student,
            held_out=self.folder / "held-out.npz",
            progress=lambda part: progress(_ASKED + (_TRAINED - _ASKED) * part),
        )
        # With the sizes that the data has, MACs are known.
        sizes = {t["spec"]["name"]: (1, *t["shape"][1:]) for t in asked["inputs"]}
        teacher = inspect_model(self.choice.path, sizes)
        student = inspect_model(self.student, sizes)
        check_inputs(teacher, student)
        names = [told["spec"]["name"] for told in asked["outputs"]]
        reference, got, difference = self._held_out(student, names)
        seen = 0 if evaluation is None else overlap(evaluation, data)
        judged = None if evaluation is None else self._evaluated(student, evaluation, names)
        return Distillation(
            teacher=distilled(teacher, self.choice.path.name),
            student=distilled(student, request.output.name),
            architecture=architecture.text,
            file=request.output.name,
            outputs=tuple(from_dict(LearntOutput, one) for one in learnt["learnt"]),
            outputs_left_out=tuple(asked["left_out"]),
            data=DataUse(what=data.what, samples=data.samples),
            trained_samples=learnt["trained"],
            held_out_samples=learnt["held_out"],
            epochs=tuple(from_dict(Epoch, one) for one in learnt["epochs"]),
            best_epoch=learnt["best"],
            stopped=learnt["stopped"],
            hurried=learnt["hurried"],
            temperature=request.temperature,
            learning_rate=learnt["rate"],
            batch_size=request.batch_size,
            seed=request.seed,
            threads=self.threads,
            exporter=learnt["exporter"],
            edgekit_version=edge.__version__,
            export_difference=difference,
            agreement=agreement(reference, got),
            evaluation=judged,
            words=learnt["words"],
            remarks=tuple(remarks(teacher, student, learnt, asked, seen=seen)),
        )

    def _data(self, path: Path, name: str, *, labels: Path | None, progress: Progress) -> DataSet:
        folder = self.folder / name
        folder.mkdir()
        return data_set(
            path,
            self.choice,
            self.info,
            shapes=self.shapes,
            folder=folder,
            recipe=self.request.recipe,
            tokenizer=self.request.tokenizer,
            labels=labels,
            most=self.request.most,
            progress=progress,
        )

    def _held_out(
        self, student: ModelInfo, names: Sequence[str]
    ) -> "tuple[Outputs, Outputs, float]":
        """Return the teacher's and the student's answers to what was held out.

        Raises:
            ModelError: the file computes another thing than the network that was trained.
        """
        from edge.device.feeds import read_arrays

        held_out = self.folder / "held-out.npz"
        told = read_arrays(str(held_out))
        got = self._outputs(self.student, student, [held_out], names, {})
        largest = 0.0
        for name in names:
            expected = told["torch." + name].astype("float64")
            difference = float(abs(got[name].astype("float64") - expected).max())
            allowed = _ALLOWED_DIFFERENCE * max(1.0, float(abs(expected).max()))
            if not difference <= allowed:
                what = f"the exported student is off by {difference:.2g} in {printable(name)}"
                hint = f"{allowed:.2g} is allowed; this is a fault of the exporter or the runtime"
                raise ModelError(what, hint=hint)
            largest = max(largest, difference)
        return {name: told["teacher." + name] for name in names}, got, largest

    def _evaluated(self, student: ModelInfo, data: DataSet, names: Sequence[str]) -> Evaluation:
        shapes = self.shapes
        told = self._outputs(self.choice.path, self.info, data.files, names, shapes)
        got = self._outputs(self.student, student, data.files, names, shapes)
        labels = data.labels
        use = DataUse(what=data.what, samples=data.samples, labelled=len(labels or ()))
        agreed = agreement(told, got)
        if labels is None or (teacher := accuracy(told, labels)) is None:
            return Evaluation(data=use, agreement=agreed)
        lost = lost_accuracy(right_ones(told, labels), right_ones(got, labels))
        return Evaluation(
            data=use, agreement=agreed, teacher=teacher, student=accuracy(got, labels), lost=lost
        )

    def _outputs(
        self,
        model: Path,
        info: ModelInfo,
        files: Sequence[Path],
        names: Sequence[str],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> "Outputs":
        return outputs_of(
            model, info, files, names, shapes=shapes, threads=self.threads, folder=self.folder
        )
