"""The steps of a distillation that run in limited children: ask, train, run a model on samples."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.backends import backend_for_format
from edge.device.parent import Limits, run_child
from edge.distillation.architecture import Architecture
from edge.records.codec import to_dict
from edge.records.data_set import DataSet
from edge.records.measurement import SessionConfig
from edge.records.model import ModelInfo
from edge.workflows.allowance import allowed_bytes
from edge.workflows.distill_request import DistillRequest

if TYPE_CHECKING:
    import numpy as np

Progress = Callable[[float], None]
Shapes = Mapping[str, tuple[int, ...]]

# A training may take a night; --max-time is the user's own limit.
_LONGEST_S: Final = 7 * 24 * 3600
# PyTorch maps several GiB of address space before it does anything.
_TORCH_BYTES: Final = 16 << 30
_LARGEST_FILE_BYTES: Final = 1 << 40


def ask_teacher(
    model: Path,
    info: ModelInfo,
    data: DataSet,
    *,
    shapes: Shapes,
    threads: int,
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Run the teacher on the data; the answers lie in `folder` as edge.distillation tells them.

    Raises:
        ModelError: it gives nothing that can be learnt.
        RuntimeFailure: it fails.
    """
    answer: dict[str, Any] = run_child(
        "edge.distillation.teaching:ask",
        {
            "model": str(model),
            "config": _config(info, threads),
            "shapes": {name: list(shape) for name, shape in shapes.items()},
            "files": [str(file) for file in data.files],
            "samples": data.samples,
            "folder": str(folder),
        },
        limits=_limits(allowed_bytes(info, threads) + 3 * _largest(data.files), threads),
        what=f"asking the teacher {info.name}",
        progress=progress,
    )
    return answer


def train_student(
    architecture: Architecture,
    asked: Mapping[str, Any],
    request: DistillRequest,
    *,
    labelled: bool,
    threads: int,
    student: Path,
    held_out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train on what the teacher answered and export to `student`.

    Raises:
        UsageError: the data, or the user's own architecture, does not do.
        RuntimeFailure: the training failed.
    """
    rows = (*asked["inputs"], *asked["outputs"])
    learnt: dict[str, Any] = run_child(
        "edge.distillation.training:train",
        {
            "architecture": architecture.text,
            "trusted": request.trusted,
            "inputs": asked["inputs"],
            "outputs": asked["outputs"],
            "loss": request.loss,
            "labelled": labelled,
            "temperature": request.temperature,
            "seed": request.seed,
            "threads": threads,
            "epochs": request.epochs,
            "patience": request.patience,
            "max_s": request.max_s,
            "batch": request.batch_size,
            "rate": request.learning_rate,
            "student": str(student),
            "held_out": str(held_out),
        },
        limits=_limits(
            _TORCH_BYTES + 3 * sum(Path(told["file"]).stat().st_size for told in rows), threads
        ),
        what=f"training {architecture.text}",
        progress=progress,
    )
    return learnt


def outputs_of(
    model: Path,
    info: ModelInfo,
    files: Sequence[Path],
    names: Sequence[str],
    *,
    shapes: Shapes,
    threads: int,
    folder: Path,
) -> "dict[str, np.ndarray[Any, Any]]":
    """Run a model on files of samples and return the named outputs of all of them.

    Raises:
        UsageError: a file does not fit the model.
        RuntimeFailure: the model fails.
    """
    import numpy as np

    from edge.device.feeds import read_arrays

    written = folder / "outputs.npz"
    parts: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in names}
    for file in files:
        run_child(
            "edge.device.worker:infer",
            {
                "model": str(model),
                "config": _config(info, threads),
                "shapes": {name: list(shape) for name, shape in shapes.items()},
                "inputs": str(file),
                "outputs": str(written),
            },
            limits=_limits(allowed_bytes(info, threads) + 3 * _largest([file]), threads),
            what=f"running {info.name}",
        )
        arrays = read_arrays(str(written))
        for name in names:
            parts[name].append(arrays["output." + name])
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}


def _config(info: ModelInfo, threads: int) -> dict[str, Any]:
    backend = backend_for_format(info.format).name
    return dict(to_dict(SessionConfig(backend=backend, threads=threads)))


def _limits(memory_bytes: int, threads: int) -> Limits:
    return Limits(
        wall_s=_LONGEST_S,
        cpu_s=_LONGEST_S * threads,
        memory_bytes=memory_bytes,
        file_bytes=_LARGEST_FILE_BYTES,
    )


def _largest(files: Sequence[Path]) -> int:
    return max(file.stat().st_size for file in files)
