"""Weights of matrix products in blocks of 4- or 8-bit integers (MatMulNBits), activations in floats.

Options: `bits` (8 by default, or 4), `block_size` (32 by default: how many inputs share a scale;
a power of 2 from 16), `accuracy_level` (0, the default, computes in floats with the weights
widened; 4 quantises the activations as well and computes in 8-bit integers, on processors that
ONNX Runtime has such kernels for). A model becomes small first of all: with one row of activations
(speech, language) it is faster as well, with many the widening costs more than it saves.

The operator is ONNX Runtime's own: with 4 bits since 1.17, with 8 since 1.23 (1.22.1 runs it at
level 4 only, 1.20.1 not at all).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.errors import ConfigError, ModelError

REQUIRES: tuple[str, ...] = ()
EXTRA = None

_BITS, _LEAST_BLOCK = (4, 8), 16
_DOMAIN = "com.microsoft"
_FIRST_RELEASE = {4: "1.17", 8: "1.23"}


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the model with its products' weights in blocks of integers into the folder.

    Raises:
        ConfigError: there are no such bits, blocks or level.
        ModelError: it is no ONNX model, or has no product with stored weights.
        HostError: it cannot be written.
    """
    import onnx
    from onnxruntime.quantization.onnx_model import ONNXModel

    from edge.passes._graph import constants, drop_unused, read_graph, write_graph

    path, folder = Path(request["model"]), Path(request["folder"])
    bits, block, level = _chosen(request["options"])
    model = read_graph(path)
    # Gemms with stored weights become MatMul and Add.
    ONNXModel(model).replace_gemm_with_matmul()
    known = constants(model)
    count = 0
    for node in model.graph.node:
        read = known.get(node.input[1]) if node.op_type == "MatMul" else None
        if read is not None and _to_blocks(model, node, read(), (bits, block, level)):
            count += 1
    if not count:
        raise ModelError("it has no matrix product with stored weights in floats", where=path)
    if _DOMAIN not in (entry.domain for entry in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    drop_unused(model)
    computed = "8-bit integers" if level == 4 else "floats"
    notes = [
        f"weights of {count} products in {bits} bits, {block} to a scale; computed in {computed}",
        f"runs on ONNX Runtime {_FIRST_RELEASE[bits]} and later",
    ]
    return {"file": write_graph(model, folder, "model.onnx"), "notes": notes}


def _chosen(options: Mapping[str, Any]) -> tuple[int, int, int]:
    bits, block = int(options.get("bits", 8)), int(options.get("block_size", 32))
    level = int(options.get("accuracy_level", 0))
    if bits not in _BITS:
        raise ConfigError(f"weight_only has no {bits} bits", hint="bits: 4 or 8")
    if block < _LEAST_BLOCK or block & (block - 1):
        raise ConfigError(f"blocks of {block} do not fit", hint="block_size: 16, 32, 64, 128 ...")
    if level not in range(5):
        raise ConfigError(f"there is no accuracy level {level}", hint="accuracy_level: 0 to 4")
    return bits, block, level


def _to_blocks(model: Any, node: Any, weights: Any, chosen: tuple[int, int, int]) -> bool:
    """Let the node compute with blocks; whether its weights can be written so."""
    bits, block, level = chosen
    import numpy as np
    import onnx
    from onnxruntime.capi import _pybind_state as kernels

    from edge.passes._graph import add_constant

    if weights.ndim != 2 or weights.dtype != np.float32 or not weights.size:
        return False
    rows, columns = weights.shape
    blocks, packed = -(-rows // block), 8 // bits
    padded = np.zeros((blocks * block, columns), np.float32)
    padded[:rows] = weights
    integers = np.zeros((columns, blocks, block // packed), np.uint8)
    scales = np.zeros((columns, blocks), np.float32)
    # Symmetric: without zero points more kernels take it, and they have less to do.
    zeros = np.zeros((columns, -(-blocks // packed)), np.uint8)
    quantise = getattr(kernels, f"quantize_matmul_{bits}bits")
    quantise(integers, padded, scales, zeros, block, columns, blocks * block, True)  # noqa: FBT003
    stem = node.input[1]
    node.input[1] = add_constant(model, f"{stem}_{bits}bits", integers)
    node.input.append(add_constant(model, f"{stem}_scales", scales.reshape(-1)))
    node.op_type, node.domain = "MatMulNBits", _DOMAIN
    sizes = {"K": rows, "N": columns, "bits": bits, "block_size": block, "accuracy_level": level}
    node.attribute.extend(onnx.helper.make_attribute(key, size) for key, size in sizes.items())
    return True
