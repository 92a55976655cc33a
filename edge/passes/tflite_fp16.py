"""TFLite with fp16 weights behind a DEQUANTIZE: half the size, fp32 arithmetic almost everywhere.

XNNPACK computes such a model in fp16 only where the processor has it and the program asks for it
(TFLITE_XNNPACK_DELEGATE_FLAG_FORCE_FP16), which Python's interpreter cannot; weights are widened
when the model is loaded. It is a variant of size.
"""

from collections.abc import Mapping
from typing import Any

from edge.errors import ModelError
from edge.passes import _tflite_model as files
from edge.passes._tflite_quantised import keep_output_names

REQUIRES = files.REQUIRES
EXTRA = files.EXTRA


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write model.tflite into the folder.

    Raises:
        ModelError: the weights are not fp32, or there are none that it can take.
    """
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer.qtyping import (
        ComputePrecision,
        OpQuantizationConfig,
        TensorDataType,
        TensorQuantizationConfig,
        TFLOperationName,
    )

    model, widened = files.read_float(request["model"])
    if widened:
        raise ModelError(f"{widened} weights of the model are fp16 already")
    working = quantizer.Quantizer(files.packed(model))
    working.update_quantization_recipe(
        ".*",
        TFLOperationName.ALL_SUPPORTED,
        OpQuantizationConfig(
            weight_tensor_config=TensorQuantizationConfig(num_bits=16, dtype=TensorDataType.FLOAT),
            compute_precision=ComputePrecision.FLOAT,
        ),
        algorithm_key=quantizer.AlgorithmName.FLOAT_CASTING,
    )
    made = files.parse(files.quantised(working))
    count = sum(
        tensor.type == files.FLOAT16 and files.content(made, tensor, "<f2") is not None
        for tensor in files.tensors(made)
    )
    if not count:
        raise ModelError("no operator of the model has weights that can be fp16")
    files.require_finite(made)
    keep_output_names(model, made)
    name = files.write_whole(files.packed(made), request["folder"], "model.tflite")
    return {"file": name, "notes": [f"{count} weights in fp16; the arithmetic is fp32"]}
