"""TFLite with int8 weights per channel and int8 activations, calibrated; by ai-edge-quantizer.

Options: `ranges` "extremes" or "average" (see _tflite_calibration); `ends` "float" (inputs and
outputs stay as they were) or "int8"; `float`, a regular expression for the names of the outputs
of operators that stay in float.
"""

from collections.abc import Mapping
from typing import Any

from edge.passes import _tflite_model as files
from edge.passes._tflite_biases import fit_biases, require_kernels
from edge.passes._tflite_calibration import RANGES, measured_ranges
from edge.passes._tflite_quantised import (
    arithmetic,
    keep_output_names,
    require_quantised,
    told,
)

REQUIRES = files.REQUIRES
EXTRA = files.EXTRA

_ENDS = ("float", "int8")


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write model.tflite into the folder.

    Raises:
        ModelError: no calibration data, the model is quantised already, nothing in it can be, or
            the result would be wrong.
        UsageError: the data does not fit the inputs.
    """
    from ai_edge_quantizer import quantizer, recipe_manager
    from ai_edge_quantizer.qtyping import TFLOperationName

    options = request.get("options") or {}
    ends = files.choice(options, "ends", _ENDS)
    ranges = files.choice(options, "ranges", RANGES)
    model, widened = files.read_float(request["model"])
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(
        ".*", TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    left = quantizer.AlgorithmName.NO_QUANTIZE
    if options.get("float"):
        recipe.add_quantization_config(
            options["float"], TFLOperationName.ALL_SUPPORTED, algorithm_key=left
        )
    if ends == "float":
        for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
            recipe.add_quantization_config(".*", end, algorithm_key=left)
    measured, samples = measured_ranges(model, recipe, request, ranges)
    working = quantizer.Quantizer(files.packed(model), recipe.get_quantization_recipe())
    made = files.parse(files.quantised(working, measured))
    counted = arithmetic(made)
    require_quantised(counted, "int8")
    refitted = fit_biases(model, made)
    keep_output_names(model, made)
    data = files.packed(made)
    require_kernels(data, request["folder"])
    name = files.write_whole(data, request["folder"], "model.tflite")
    notes = [f"activations' ranges from {samples} samples", *told(counted)]
    if refitted:
        told_refitted = "channels that got coarser weights, so that their biases fit int32"
        notes.append(f"{told_refitted}: {refitted}")
    return {"file": name, "notes": [*notes, *files.told_widened(widened)]}
