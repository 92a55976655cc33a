"""Matrix products in 8-bit integers: weights stored so, activations quantised as they come.

No calibration is needed, as a scale is computed of every input. Products of two activations stay
in floats, and convolutions too: ONNX Runtime's dynamic int8 convolution is 5 to 10 times slower
than its fp32 one. Options: `per_channel` (the default; one scale for each output), `reduce_range`
(7-bit weights, for x86 processors without VNNI, whose sums of two products are cut at 16 bits),
`convolutions`, and `leave`, names of operators that stay in floats.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.errors import ModelError, printable

REQUIRES: tuple[str, ...] = ()
EXTRA = None

_PRODUCTS = ("MatMul", "Gemm", "Attention", "LSTM")
_INTEGER = frozenset({"MatMulInteger", "ConvInteger", "QAttention", "DynamicQuantizeLSTM"})


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the model with dynamic int8 products into the folder.

    Raises:
        ModelError: it is no ONNX model, or has no product with stored weights.
        HostError: it cannot be written.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from edge.passes._graph import all_nodes, read_graph, write_graph

    path, folder, options = Path(request["model"]), Path(request["folder"]), request["options"]
    model = read_graph(path)
    kinds = [*_PRODUCTS, *(["Conv"] if options.get("convolutions") else [])]
    # It advises to run its own preparation first, which is not needed.
    logging.getLogger().setLevel(logging.ERROR)
    written = folder / ".quantised.part"
    try:
        quantize_dynamic(
            model,
            written,
            op_types_to_quantize=kinds,
            per_channel=bool(options.get("per_channel", True)),
            reduce_range=bool(options.get("reduce_range", False)),
            # Signed weights: unsigned ones are twice as slow with VNNI.
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(options.get("leave", ())),
            use_external_data_format=model.ByteSize() > (1 << 30),
            # The type of what ONNX Runtime's own operators make is not inferred.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        quantised = read_graph(written)
    except ModelError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"it cannot be quantised: {printable(first, 300)}") from error
    finally:
        for part in folder.glob(".quantised.part*"):
            part.unlink()
    done = sum(node.op_type in _INTEGER for node in all_nodes(quantised.graph))
    if not done:
        raise ModelError("it has no matrix product with stored weights in floats", where=path)
    note = f"{done} products in 8-bit integers, with scales computed of every input"
    return {"file": write_graph(quantised, folder, "model.onnx"), "notes": [note]}
