"""TFLite with int8 weights and float activations; ai-edge-quantizer does it.

Options: `compute` "integer" (the runtime quantises activations as it goes, so that the products
are of integers) or "float" (weights are widened before use: a smaller file and nothing else);
`dense` "tensor" or "channel", what has one scale in the weights of FULLY_CONNECTED.

tflite-runtime 2.14 takes the first channel's scale of a FULLY_CONNECTED for all of them, and says
nothing: with `dense` "channel" EfficientNet-Lite0 answered with a cosine of -0.07 there, and of
0.98 in ai-edge-litert 2.3. Convolutions have a scale a channel in any case: both are right.
"""

from collections.abc import Mapping
from typing import Any

from edge.passes import _tflite_model as files
from edge.passes._tflite_quantised import (
    arithmetic,
    keep_output_names,
    require_quantised,
    told,
)

REQUIRES = files.REQUIRES
EXTRA = files.EXTRA

_COMPUTE = ("integer", "float")
_DENSE = ("tensor", "channel")


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write model.tflite into the folder.

    Raises:
        ModelError: the model is quantised already, or nothing in it can be.
    """
    from ai_edge_quantizer import quantizer, recipe_manager
    from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName

    options = request.get("options") or {}
    compute = files.choice(options, "compute", _COMPUTE)
    dense = files.choice(options, "dense", _DENSE)
    model, widened = files.read_float(request["model"])
    recipe = recipe_manager.RecipeManager()
    add = recipe.add_dynamic_config if compute == "integer" else recipe.add_weight_only_config
    add(".*", TFLOperationName.ALL_SUPPORTED, num_bits=8)
    if dense == "tensor":
        one = QuantGranularity.TENSORWISE
        add(".*", TFLOperationName.FULLY_CONNECTED, num_bits=8, granularity=one)
    working = quantizer.Quantizer(files.packed(model), recipe.get_quantization_recipe())
    made = files.parse(files.quantised(working))
    if compute == "integer":
        require_quantised(arithmetic(made), "dynamic")
    keep_output_names(model, made)
    name = files.write_whole(files.packed(made), request["folder"], "model.tflite")
    notes = told(arithmetic(made)) if compute == "integer" else ["int8 weights, float arithmetic"]
    return {"file": name, "notes": [*notes, *files.told_widened(widened)]}
