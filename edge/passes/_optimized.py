"""ONNX Runtime's own graph optimisations, written out."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.errors import ModelError, printable

if TYPE_CHECKING:
    import onnx

_ERRORS_ONLY: Final = 3
# How ONNX Runtime is told where the weights go: a protobuf alone holds less than 2 GiB.
_WEIGHTS_FILE: Final = "session.optimized_model_external_initializers_file_name"
_LEAST_WEIGHTS_BYTES: Final = "session.optimized_model_external_initializers_min_size_in_bytes"
_MODEL, _WEIGHTS = "model.onnx", "model.weights"


def optimized(
    path: Path, level: str, folder: Path, *, without: Sequence[str] = ()
) -> "onnx.ModelProto":
    """Return the model as a session of the graph level makes it, `without` some optimisers.

    Raises:
        ModelError: ONNX Runtime refuses it.
    """
    from edge.passes._graph import read_graph

    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as staged:
        save_optimized(path, level, Path(staged), without=without)
        return read_graph(Path(staged, _MODEL))


def save_optimized(path: Path, level: str, folder: Path, *, without: Sequence[str] = ()) -> None:
    """Let ONNX Runtime save its graph as model.onnx, with the weights in model.weights.

    Raises:
        ModelError: ONNX Runtime refuses it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    name = f"ORT_ENABLE_{level.upper()}"
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, name)
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.optimized_model_filepath = str(folder / _MODEL)
    options.add_session_config_entry(_WEIGHTS_FILE, _WEIGHTS)
    options.add_session_config_entry(_LEAST_WEIGHTS_BYTES, "1024")
    try:
        onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(without) or None,
        )
    except Exception as error:
        # Its exceptions have no family of their own.
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"ONNX Runtime refuses it: {printable(first, 300)}") from error


def keep_domains(model: "onnx.ModelProto", before: "onnx.ModelProto") -> None:
    """Take back the operator sets that ONNX Runtime imports into all that it writes.

    An older one refuses those that it does not know, though nothing uses them.
    """
    from edge.passes._graph import all_nodes

    had = {entry.domain for entry in before.opset_import}
    used = {node.domain for node in all_nodes(model.graph)} | had
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
