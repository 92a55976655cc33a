"""The child's task: open a model file, tell its format, and describe it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.formats.source import format_of, open_model
from edge.records.codec import to_dict
from edge.records.model import ModelInfo


def inspect(request: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the model at request["path"] under request["shapes"], as plain data.

    Raises:
        ModelError: it is no model, or a damaged one.
        UsageError: the shapes do not fit its inputs.
    """
    shapes = {name: tuple(sizes) for name, sizes in request["shapes"].items()}
    return to_dict(read_model(Path(request["path"]), shapes))


def read_model(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> ModelInfo:
    """Describe the model at `path`; to be called only in a limited child.

    Raises:
        ModelError: it is no model, or a damaged one.
        UsageError: the shapes do not fit its inputs.
    """
    with open_model(path) as model:
        if format_of(model) == "tflite":
            from edge.formats.tflite_model import inspect_tflite

            return inspect_tflite(model, shapes)
        from edge.formats.onnx_model import inspect_onnx

        return inspect_onnx(model, shapes)
