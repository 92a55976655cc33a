"""Half precision: weights and arithmetic in 16-bit floats, inputs and outputs as they were.

The conversion is onnxruntime.transformers.float16's, which leaves operators in 32 bits that have
no 16-bit form. It halves the file anywhere; it is faster only where the runtime computes in half
precision (edge.reasoning.half_precision).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.errors import ModelError, printable

REQUIRES: tuple[str, ...] = ()
EXTRA = None

_LARGEST = 65504.0


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the model in half precision into the folder.

    Raises:
        ModelError: it is no ONNX model, has no 32-bit floats, or cannot be converted.
        HostError: it cannot be written.
    """
    import numpy as np
    from onnxruntime.transformers.float16 import convert_float_to_float16

    from edge.passes._graph import constants, read_graph, write_graph

    path, folder = Path(request["model"]), Path(request["folder"])
    model = read_graph(path)
    weights = [read() for read in constants(model).values()]
    floats = [weight for weight in weights if weight.dtype == np.float32 and weight.size]
    if not floats:
        raise ModelError("it has no weights in 32-bit floats", where=path)
    notes = ["inputs and outputs stay in 32 bits"]
    # Masks are often as low as they can be, and mean as much when they are cut.
    beyond = sum(bool(np.abs(weight).max() > _LARGEST) for weight in floats)
    if beyond:
        notes.append(f"{beyond} constants were cut to what half precision can hold")
    try:
        converted = convert_float_to_float16(model, keep_io_types=True)
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"it has no form in half precision: {printable(first, 300)}") from error
    return {"file": write_graph(converted, folder, "model.onnx"), "notes": notes}
