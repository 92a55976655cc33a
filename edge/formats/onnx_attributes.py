"""Attributes of ONNX nodes as plain values; one of the wrong type counts as absent."""

from collections.abc import Mapping
from typing import Any, Final

import onnx

_A = onnx.AttributeProto
# The attributes that edgekit reads, and the type that ONNX gives each of them.
_TYPES: Final[Mapping[str, int]] = {
    "allowzero": _A.INT,
    "axes": _A.INTS,
    "axis": _A.INT,
    "body": _A.GRAPH,
    "channels_last": _A.INT,
    "coefficients": _A.FLOATS,
    "else_branch": _A.GRAPH,
    "end": _A.INT,
    "ends": _A.INTS,
    "equation": _A.STRING,
    "fmod": _A.INT,
    "group": _A.INT,
    "keepdims": _A.INT,
    "kv_num_heads": _A.INT,
    "N": _A.INT,
    "noop_with_empty_axes": _A.INT,
    "num_heads": _A.INT,
    "num_scan_inputs": _A.INT,
    "perm": _A.INTS,
    "qkv_hidden_sizes": _A.INTS,
    "scan_input_axes": _A.INTS,
    "scan_output_axes": _A.INTS,
    "split": _A.INTS,
    "start": _A.INT,
    "starts": _A.INTS,
    "support_vectors": _A.FLOATS,
    "then_branch": _A.GRAPH,
    "to": _A.INT,
    "transA": _A.INT,
    "transB": _A.INT,
    "value": _A.TENSOR,
    "value_float": _A.FLOAT,
    "value_floats": _A.FLOATS,
    "value_int": _A.INT,
    "value_ints": _A.INTS,
}


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node that edgekit reads."""
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        wanted = _TYPES.get(attribute.name)
        # Files of IR version 1 do not say the type.
        given = attribute.type or wanted
        if wanted is None or given != wanted or attribute.ref_attr_name:
            continue
        if not attribute.type:
            attribute.type = wanted
        found[attribute.name] = onnx.helper.get_attribute_value(attribute)
    return found


def list_bytes(node: onnx.NodeProto) -> int:
    """Return the bytes that a node's lists of numbers take in memory: trees, coefficients."""
    return sum(4 * len(a.floats) + 8 * len(a.ints) for a in node.attribute)
