"""Real inputs: samples for a measurement, and what a program is fed with stage by stage."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edge.adapters.files import host_error
from edge.adapters.images import picture_files, write_picture_samples
from edge.backends import backend_for_format
from edge.device.parent import Progress
from edge.device.pictures import picture_shape
from edge.device.probe import ProbeOptions
from edge.device.sources import PICTURES, kind_of
from edge.device.stages import run_stages
from edge.device.stages import stage_request as device_request
from edge.errors import UsageError
from edge.records.card import ModelCard
from edge.records.measurement import Frames, SessionConfig, Stage
from edge.records.model import ModelInfo
from edge.records.tensor import TensorSpec
from edge.workflows.allowance import allowed_bytes
from edge.workflows.models import ModelChoice

DEFAULT_SECONDS: Final = 10.0
_TOKENIZER: Final = "tokenizer.json"
# What is done with the outputs of other kinds follows from their shapes.
_POSTPROCESSES: Final = {
    "image-classification": "top1",
    "bytes": "top1",
    "text": "none",
    "pose": "none",
    "ocr": "none",
    "segmentation": "none",
}


@contextmanager
def samples_from(
    inputs: Path | None, choice: ModelChoice, info: ModelInfo
) -> Iterator[Path | None]:
    """Give the .npz that `inputs` is or becomes, for as long as the block runs; None stays None.

    A picture, or a folder of them, is scaled as the model's card says; without a card its pixels
    become 0 to 1.

    Raises:
        UsageError: there is no such file, or the model takes no picture.
        HostError: the scratch folder cannot be written.
    """
    if inputs is None:
        yield None
        return
    if not inputs.exists():
        raise UsageError("no such file", where=inputs, hint="give an .npz, a picture or a folder")
    if not inputs.is_dir() and inputs.suffix.lower() not in PICTURES:
        yield inputs
        return
    if len(info.inputs) != 1:
        raise _too_many_inputs(info, inputs)
    told = None if choice.card is None else choice.card.preprocessing
    try:
        scratch = tempfile.TemporaryDirectory(prefix="edgekit-")
    except OSError as error:
        raise host_error(error, tempfile.gettempdir()) from error
    with scratch as folder:
        made = Path(folder) / "pictures.npz"
        write_picture_samples(
            picture_files(inputs),
            info.inputs[0],
            made,
            scale=None if told is None else told.scale,
            offset=None if told is None else told.offset,
        )
        yield made


def stage_request(
    input_: Path | str,
    choice: ModelChoice,
    info: ModelInfo,
    *,
    threads: int,
    shapes: Mapping[str, tuple[int, ...]],
    options: ProbeOptions,
    fps: float | None = None,
    seconds: float = DEFAULT_SECONDS,
) -> dict[str, Any]:
    """Return what the child is asked for, checked as far as it can be without one.

    `input_` is a file, a folder, camera:N or test:WIDTHxHEIGHT; `shapes` are those that `info` was
    made with.

    Raises:
        UsageError: there is no such input, it cannot have a rate, or the model takes no such thing.
    """
    source = str(input_)
    kind = kind_of(source)
    if kind not in ("samples", "sound", "text"):
        if len(info.inputs) != 1:
            raise _too_many_inputs(info, source)
        picture_shape(_concrete(info.inputs[0], shapes))
    if kind == "text" and tokenizer_of(choice) is None:
        what = "nothing says how the model's texts become tokens"
        raise UsageError(what, where=source, hint="give an .npz of tokens, an array each input")
    return device_request(
        str(choice.path),
        SessionConfig(backend_for_format(info.format).name, threads),
        source,
        shapes=shapes,
        preprocessing=_preprocessing(choice),
        postprocess=None if choice.card is None else postprocess_of(choice.card),
        warmup_queries=options.warmup_queries,
        min_queries=options.min_queries,
        min_s=options.min_s,
        max_s=options.longest_s,
        fps=fps,
        seconds=seconds,
    )


def measure_stages(
    choice: ModelChoice,
    info: ModelInfo,
    input_: Path | str,
    *,
    threads: int,
    shapes: Mapping[str, tuple[int, ...]],
    options: ProbeOptions,
    fps: float | None = None,
    seconds: float = DEFAULT_SECONDS,
    progress: Progress | None = None,
) -> tuple[tuple[Stage, ...], Frames | None]:
    """Time what a program does for a query of real input, each stage apart, in a limited child.

    The last stage is "end to end". With `fps`, and always with a camera, frames are offered at a
    rate for `seconds`, and what became of them is told; otherwise `options` say when to stop.

    Raises:
        UsageError: as stage_request, or the input cannot be read.
        RuntimeFailure: OpenCV is missing, or the runtime or the model failed.
    """
    request = stage_request(
        input_,
        choice,
        info,
        threads=threads,
        shapes=shapes,
        options=options,
        fps=fps,
        seconds=seconds,
    )
    needed = allowed_bytes(info, threads)
    return run_stages(request, memory_bytes=needed, what=info.name, progress=progress)


def postprocess_of(card: ModelCard) -> str | None:
    """Return what is done with a model's outputs, where its card tells it."""
    return _POSTPROCESSES.get(card.kind)


def _concrete(spec: TensorSpec, shapes: Mapping[str, tuple[int, ...]]) -> TensorSpec:
    """Return the input with the shape that it was given, or as it is."""
    return spec if spec.name not in shapes else replace(spec, shape=tuple(shapes[spec.name]))


def _preprocessing(choice: ModelChoice) -> dict[str, Any]:
    told = None if choice.card is None else choice.card.preprocessing
    if told is None:
        return {}
    return {
        "scale": told.scale,
        "offset": told.offset,
        "sample_rate_hz": told.sample_rate_hz,
        "tokenizer": tokenizer_of(choice),
    }


def tokenizer_of(choice: ModelChoice) -> str | None:
    """Return the path of the vocabulary that lies beside a model; a card says whether it does."""
    path = choice.path.parent / _TOKENIZER
    if choice.card is not None:
        return str(path) if _TOKENIZER in (asset.name for asset in choice.card.asset) else None
    return str(path) if path.is_file() else None


def _too_many_inputs(info: ModelInfo, where: object) -> UsageError:
    what = f"the model has {len(info.inputs)} inputs, a picture is one"
    return UsageError(what, where=where, hint="give an .npz with an array for each input")
