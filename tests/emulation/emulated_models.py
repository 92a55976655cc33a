"""The models that go through all Arm targets: the default one and two real ones, fp32 and int8."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime import quantization

from edge.backends import backend_for_format
from edge.records.measurement import SessionConfig
from edge.workflows.models import ModelChoice, resolve_model

# Every aarch64 target; rpi4-32bit has no runtime for ONNX models.
ARM = (
    *("rpi-zero2w", "rpi3", "rpi4", "rpi5", "jetson-nano", "jetson-orin-nano"),
    "cloud-cpu-arm",
)
ARM_32 = "rpi4-32bit"
_CALIBRATING, _OTHERS, _HEARD = 8, 3, 60
# The oldest that has scales per channel.
_OPSET = 13


@dataclass(frozen=True)
class EmulatedModel:
    """A model by what `resolve_model` takes, and the targets that it goes through."""

    name: str
    model: str
    targets: tuple[str, ...]
    is_int8: bool = False
    is_quantised_here: bool = False

    @property
    def format(self) -> str:
        return "tflite" if "tflite" in self.model or "nabu" in self.model else "onnx"


_ALL = (*ARM, ARM_32)
_DIGITS = "digits-cnn:digits-cnn-"
MODELS = (
    EmulatedModel("digits-onnx-fp32", _DIGITS + "fp32.onnx", ARM),
    EmulatedModel("digits-onnx-int8", _DIGITS + "int8.onnx", ARM, is_int8=True),
    # The others have their TFLite models below.
    EmulatedModel("digits-tflite-fp32", _DIGITS + "fp32.tflite", (ARM_32,)),
    EmulatedModel("digits-tflite-int8", _DIGITS + "int8.tflite", (ARM_32,), is_int8=True),
    EmulatedModel("blazeface-onnx-fp32", "blazeface-128-onnx", ARM),
    EmulatedModel(
        "blazeface-onnx-int8", "blazeface-128-onnx", ARM, is_int8=True, is_quantised_here=True
    ),
    EmulatedModel(
        "blazeface-tflite-fp32", "blazeface-short-range:blazeface-short-range.tflite", _ALL
    ),
    EmulatedModel("nabu-tflite-int8", "microwakeword-okay-nabu", _ALL, is_int8=True),
)


def choice_of(model: EmulatedModel, folder: Path) -> ModelChoice:
    """Return the model, fetched or quantised in `folder`."""
    choice = resolve_model(model.model)
    if not model.is_quantised_here:
        return choice
    return ModelChoice(path=quantised(choice.path, folder / "blazeface-128-int8.onnx"))


def quantised(model: Path, output: Path) -> Path:
    """Write an int8 form of a model of pictures, with scales per channel."""
    newer = output.with_name("newer.onnx")
    onnx.save(onnx.version_converter.convert_version(onnx.load(model), _OPSET), newer)

    class Pictures(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            shape = (1, 128, 128, 3)
            self._left = iter([{"input:0": p} for p in pictures(_CALIBRATING, shape, 0)])

        def get_next(self) -> Any:
            return next(self._left, None)

    quantization.quantize_static(
        newer,
        output,
        Pictures(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    return output


def pictures(count: int, shape: tuple[int, ...], seed: int) -> Iterator[Any]:
    """Give smooth pictures of bright ellipses, from -1 to 1, as a camera's are."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : 1 : shape[1] * 1j, 0 : 1 : shape[2] * 1j]
    for _ in range(count):
        y, x, height, width = random.uniform((0.3, 0.3, 0.15, 0.1), (0.7, 0.7, 0.4, 0.3))
        distance = ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2
        colour = random.uniform(0.5, 1.5, shape[-1])
        picture = np.exp(-distance)[..., np.newaxis] * colour - 0.7
        yield np.clip(picture, -1, 1).astype(np.float32)[np.newaxis]


def other_inputs(specs: Any, seed: int = 7) -> dict[str, Any]:
    """Return inputs that no bundle carries, with a leading axis for the samples."""
    (spec,) = specs
    shape = tuple(spec.shape)
    if spec.dtype == "int8":
        # It keeps what it heard: only after fifty calls with a hiss its score is above zero.
        hiss = np.random.default_rng(seed).integers(-128, -40, (_HEARD, *shape), np.int8)
        values: Any = hiss
    elif len(shape) == 4 and shape[-1] == 3:
        values = np.stack(list(pictures(_OTHERS, shape, seed)))
    else:
        values = np.random.default_rng(seed).random((_OTHERS, *shape), np.float32)
    return {spec.name: values}


def outputs_here(path: Path, kind: str, inputs: dict[str, Any]) -> list[Any]:
    """Return what this machine's own runtime gives, one array an output, the samples in order."""
    backend = backend_for_format(kind)
    session = backend.open(str(path), SessionConfig(backend.name, 1))
    count = len(next(iter(inputs.values())))
    run: Callable[[Any], Any] = session.run
    each = [run({name: values[i] for name, values in inputs.items()}) for i in range(count)]
    return [np.stack(arrays) for arrays in zip(*each, strict=True)]
