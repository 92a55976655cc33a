"""The graph as ONNX Runtime itself makes it, written out with the weights in a file to be mapped.

Any session opens it, and hardly has to optimise it again: it loads faster, and runs as fast as the
original. Option `level`: "extended" (the default) has ONNX Runtime's own operators, for any
processor; "all" has layouts of this machine's processor as well.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.errors import ConfigError

REQUIRES: tuple[str, ...] = ()
EXTRA = None

_LEVELS = ("extended", "all")
_NCHWC = "com.microsoft.nchwc"


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write ONNX Runtime's form of the model into the folder.

    Raises:
        ConfigError: there is no such level.
        ModelError: it is no ONNX model, or ONNX Runtime refuses it.
        HostError: it cannot be written.
    """
    import onnx
    import onnxruntime

    from edge.adapters.files import host_error
    from edge.passes._graph import all_nodes, read_graph
    from edge.passes._optimized import keep_domains, save_optimized

    level = str(request["options"].get("level", "extended"))
    if level not in _LEVELS:
        raise ConfigError(f"ort_form has no level {level}", hint="levels: " + ", ".join(_LEVELS))
    path, folder = Path(request["model"]), Path(request["folder"])
    before = read_graph(path, weights=False)
    try:
        with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as staged:
            save_optimized(path, level, Path(staged))
            # Where all weights are small, they are in the model.
            model = onnx.load(Path(staged, "model.onnx"), load_external_data=False)
            keep_domains(model, before)
            onnx.save_model(model, str(Path(staged, "model.onnx")))
            for part in ("model.weights", "model.onnx"):
                if Path(staged, part).exists():
                    Path(staged, part).replace(folder / part)
    except OSError as error:
        raise host_error(error, folder) from error
    notes = [f"graph of ONNX Runtime {onnxruntime.__version__}: older ones may refuse it"]
    if any(node.domain == _NCHWC for node in all_nodes(model.graph)):
        notes.append(
            "it has layouts of the processor that it was made on, and is for that one only"
        )
    return {"file": "model.onnx", "notes": notes}
