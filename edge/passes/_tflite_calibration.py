"""The ranges of a TFLite model's activations over samples."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.backends import backend_for_format
from edge.backends.protocol import Array
from edge.device.child import tell_progress
from edge.device.feeds import concrete_inputs, read_samples
from edge.errors import ModelError, UsageError
from edge.passes._tflite_model import packed, signature
from edge.records.measurement import SessionConfig

RANGES = ("extremes", "average")


class _Samples:
    """The samples one by one, by the names of the signature; may be gone through several times."""

    def __init__(self, arrays: Mapping[str, Array], names: Mapping[str, str]) -> None:
        self._arrays = {names[name]: array for name, array in arrays.items()}
        self._count = len(next(iter(self._arrays.values())))

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for number in range(self._count):
            yield {name: array[number] for name, array in self._arrays.items()}
            tell_progress(0.9 * (number + 1) / self._count)


def measured_ranges(
    model: Any, recipe: Any, request: Mapping[str, Any], ranges: str
) -> tuple[dict[str, Any], int]:
    """Return the range of every activation over `request["calibration"]`, and how many samples.

    "extremes" is the smallest and the largest number of any sample. "average" is the library's own
    moving average, in which the first sample weighs 0.95^(n - 1) of n.

    Raises:
        ModelError: no calibration data, or several signatures.
        UsageError: the data does not fit the inputs.
    """
    from ai_edge_quantizer import calibrator
    from ai_edge_quantizer.utils import qsv_utils

    if request.get("calibration") is None:
        raise ModelError("activations in int8 need calibration data, and there is none")
    key, names = signature(model)
    arrays = _arrays(request, names)
    samples = _Samples(arrays, names)
    updates = {
        "extremes": qsv_utils.min_max_update,
        "average": qsv_utils.moving_average_update,
    }
    measuring = calibrator.Calibrator(
        packed(model),
        num_threads=int(request.get("threads") or 1),
        mode=calibrator.CalibrationMode.CALIBRATION_PRESERVE_ALL_TENSORS,
        qsv_update_func=updates[ranges],
    )
    measuring.calibrate({key: samples}, recipe)
    return measuring.get_model_qsvs(), len(next(iter(arrays.values())))


def _arrays(request: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Array]:
    backend = backend_for_format("tflite")
    config = SessionConfig(backend=backend.name, threads=1)
    shapes = {name: tuple(shape) for name, shape in (request.get("shapes") or {}).items()}
    specs = backend.open(str(request["model"]), config).inputs
    if {spec.name for spec in specs} != set(names):
        raise ModelError("the model's signature does not have the inputs that the model has")
    concrete = concrete_inputs(specs, shapes)
    path = Path(request["calibration"])
    try:
        return read_samples(str(path), concrete, shapes)
    except UsageError as error:
        raise UsageError(f"calibration data: {error.what}", hint=error.hint) from error
