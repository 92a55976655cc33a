"""TFLite to ONNX by tf2onnx, which needs TensorFlow to be installed; layouts stay (NHWC).

Option: `opset`, 17 unless told. The answer's `inputs` tells what each input is called now.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.device.child import tell_progress
from edge.errors import ModelError
from edge.passes import _converted

REQUIRES = ("tf2onnx", "tensorflow")
EXTRA = "tf2onnx"

_OPSET = 17


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write model.onnx into the folder.

    Raises:
        ModelError: the converter cannot do it, or its file answers otherwise.
        UsageError: an input's shape is free, or the calibration data does not fit.
    """
    asked = (request.get("options") or {}).get("opset", str(_OPSET))
    if not str(asked).isdecimal():
        raise ModelError(f"no opset {asked!r}", hint=f"a number, such as {_OPSET}")
    path = Path(request["model"]).resolve()
    original = _converted.opened(path, "tflite")
    samples = _converted.samples_of(original, request)
    folder = Path(request["folder"]).resolve()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".converting-") as scratch:
        made = Path(scratch, "model.onnx")
        _convert(path, made, int(asked))
        tell_progress(0.8)
        names, told = _converted.require_parity(original, made, "onnx", samples)
        made.replace(folder / "model.onnx")
    notes = [f"converted by tf2onnx {_version()}, opset {asked}, layouts as they were", told]
    return {"file": "model.onnx", "notes": notes, "inputs": names}


def _convert(path: Path, made: Path, opset: int) -> None:
    """Run the converter.

    Raises:
        ModelError: it failed.
    """
    # It looks for graphics cards, tells the terminal what it found, and does not need them.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tf2onnx.convert

    try:
        with _converted.working_in(made.parent):
            tf2onnx.convert.from_tflite(str(path), opset=opset, output_path=str(made))
    except (Exception, SystemExit) as error:
        what = f"tf2onnx cannot convert it: {_converted.first_line(error)}"
        raise ModelError(what) from error
    if not made.is_file():
        raise ModelError("tf2onnx wrote no ONNX file")


def _version() -> str:
    from importlib.metadata import version

    return version("tf2onnx")
