"""In what a model is really computed: told by the graph that the runtime itself makes of it."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from edge.device.parent import Limits, memory_limit, run_child
from edge.records.codec import to_dict
from edge.records.measurement import SessionConfig
from edge.records.model import ModelInfo
from edge.records.optimization import Arithmetic

_MEMORY_BYTES: Final = 1536 << 20


def executed_arithmetic(
    path: Path,
    info: ModelInfo,
    config: SessionConfig,
    *,
    shapes: Mapping[str, tuple[int, ...]],
    paths: Sequence[str] = (),
) -> Arithmetic | None:
    """Return the parts of the multiply-accumulates that run in 8-bit integers and 16-bit floats.

    An ONNX model is optimised by the runtime as it would be at run time (`paths`: by the version in
    these folders), and the graph that comes out is counted: operators that it fused into integer
    ones are such then, those left between DequantizeLinear are floats. A TFLite file says it
    itself. None: nothing multiplies, or a shape is not known.

    Raises:
        ModelError: it is no model, or a damaged one.
        RuntimeFailure: the runtime refuses it, or its child died.
    """
    if info.format == "tflite":
        return _counted(path, shapes, path)
    # The last level changes layouts, which are harder to count, and not the arithmetic.
    level = "extended" if config.graph_level in (None, "all") else config.graph_level
    request = {"model": str(path), "config": to_dict(replace(config, graph_level=level))}
    limits = Limits(memory_bytes=memory_limit(info.file_bytes, config.threads))
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        name = run_child(
            "edge.device.preparing:prepare",
            {**request, "folder": folder},
            limits=limits,
            what=str(path),
            paths=paths,
        )
        return None if name is None else _counted(Path(folder, name), shapes, path)


def _counted(file: Path, shapes: Mapping[str, tuple[int, ...]], what: Path) -> Arithmetic | None:
    request: dict[str, Any] = {"path": str(file), "shapes": {n: list(s) for n, s in shapes.items()}}
    limits = Limits(memory_bytes=_MEMORY_BYTES + file.stat().st_size)
    task = "edge.formats.arithmetic:arithmetic"
    answer = run_child(task, request, limits=limits, what=str(what))
    return None if answer is None else Arithmetic(**answer)
