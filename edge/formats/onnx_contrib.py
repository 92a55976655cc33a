"""Shapes of ONNX Runtime's own operators, which ONNX's rules do not know.

They come from optimised and quantised files. The list is what edgekit knows; the shape of any
other is taken from what the file declares.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import onnx

from edge.formats.onnx_types import Shape, element_type_of, shape_of, tensor_type

TypeOf = Callable[[str], "onnx.TypeProto | None"]

# The first output has the shape and type of the first input.
_LIKE_FIRST: Final = frozenset(
    {
        "BiasGelu",
        "DynamicQuantizeLSTM",
        "FastGelu",
        "Gelu",
        "GatedAdd",
        "GroupNorm",
        "Inverse",
        "QLinearLeakyRelu",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QuickGelu",
        "RotaryEmbedding",
        "SimplifiedLayerNormalization",
        "SkipGroupNorm",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
        "BiasAdd",
        "BiasSoftmax",
    }
)
# ONNX's operators that these are variants of: (operator, where its inputs stand).
_VARIANTS: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = {
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearConv": ("Conv", (0, 3)),
    "NhwcMaxPool": ("MaxPool", (0,)),
    "FusedConv": ("Conv", (0, 1)),
    "FusedGemm": ("Gemm", (0, 1)),
    "QGemm": ("Gemm", (0, 3)),
}


def contrib_types(
    node: onnx.NodeProto,
    attributes: Mapping[str, Any],
    type_of: TypeOf,
    *,
    known: Mapping[str, onnx.TypeProto],
) -> dict[str, onnx.TypeProto]:
    """Return the types of outputs that edgekit has a rule for and that are not `known` yet."""
    if not node.input or not node.output or node.output[0] in known:
        return {}
    kinds = [type_of(name) if name else None for name in node.input]
    element_type, shape = element_type_of(kinds[0]), shape_of(kinds[0])
    if not element_type:
        return {}
    op_type = node.op_type
    shapes = [shape_of(kind) for kind in kinds]
    if op_type in _LIKE_FIRST:
        pass
    elif op_type in ("QuantizeLinear", "DequantizeLinear"):
        second = kinds[2] if op_type == "QuantizeLinear" and len(kinds) > 2 else kinds[1]
        element_type = element_type_of(second) or onnx.TensorProto.UINT8
    elif op_type in _MATRIX and len(shapes) > 1:
        shape = _product(op_type, shapes, attributes)
        element_type = _MATRIX[op_type] or element_type
    elif op_type in ("MatMulNBits", "MatMulBnb4", "MatMulFpQ4"):
        width = attributes.get("N")
        shape = None if shape is None or not isinstance(width, int) else (*shape[:-1], width)
    elif op_type in ("Attention", "QAttention") and len(shapes) > 1:
        shape = _attended(shape, shapes[1], attributes)
        element_type = onnx.TensorProto.FLOAT if op_type == "QAttention" else element_type
    elif op_type == "MultiHeadAttention":
        shape = _width_of_values(shape, shapes)
    elif op_type == "GroupQueryAttention":
        shape = _grouped(shape, shapes, attributes)
    elif op_type == "EmbedLayerNormalization" and len(shapes) > 2:
        words = shapes[2]
        shape = None if shape is None or words is None else (*shape, words[-1])
        element_type = element_type_of(kinds[2])
    elif op_type == "QLinearGlobalAveragePool":
        shape = None if shape is None else (*shape[:2], *(1 for _ in shape[2:]))
        if attributes.get("channels_last") and shape is not None:
            given = shapes[0] or ()
            shape = (given[0], *(1 for _ in given[1:-1]), given[-1])
    elif op_type in _VARIANTS:
        return _as_variant(node, attributes, kinds)
    else:
        return {}
    return {node.output[0]: tensor_type(element_type, shape)}


# Matrix products: the element type of the result, 0 for that of the first input.
_MATRIX: Final[Mapping[str, int]] = {
    "FusedMatMul": 0,
    "TransposeMatMul": 0,
    "FusedMatMulActivation": 0,
    "DynamicQuantizeMatMul": onnx.TensorProto.FLOAT,
    "MatMulIntegerToFloat": onnx.TensorProto.FLOAT,
    "MatMulInteger16": onnx.TensorProto.INT32,
}


def _product(
    _op_type: str, shapes: list[Shape | None], attributes: Mapping[str, Any]
) -> Shape | None:
    left, right = shapes[0], shapes[1]
    if left is None or right is None or len(left) < 2 or len(right) < 2:
        return None
    rows = left[-1] if attributes.get("transA") else left[-2]
    columns = right[-2] if attributes.get("transB") else right[-1]
    batch: list[Any] = []
    a, b = left[:-2], right[:-2]
    for i in range(1, max(len(a), len(b)) + 1):
        x = a[-i] if i <= len(a) else 1
        y = b[-i] if i <= len(b) else 1
        batch.insert(0, y if x == 1 else x)
    return (*batch, rows, columns)


def _attended(
    shape: Shape | None, weights: Shape | None, attributes: Mapping[str, Any]
) -> Shape | None:
    if shape is None or len(shape) != 3 or weights is None or len(weights) != 2:
        return None
    sizes = attributes.get("qkv_hidden_sizes")
    if isinstance(sizes, list) and len(sizes) == 3:
        return (*shape[:2], int(sizes[2]))
    width = weights[1]
    return (*shape[:2], width // 3 if isinstance(width, int) else None)


def _width_of_values(shape: Shape | None, shapes: list[Shape | None]) -> Shape | None:
    values = shapes[2] if len(shapes) > 2 else None
    if shape is None or len(shape) < 3:
        return None
    if len(shape) == 5:  # batch, sequence, heads, 3, head size: packed
        heads, size = shape[2], shape[4]
        width = heads * size if isinstance(heads, int) and isinstance(size, int) else None
    elif values is not None and len(values) == 3:
        width = values[2] if isinstance(values[2], int) else None
    elif values is not None and len(values) == 4:  # batch, heads, sequence, head size
        heads, size = values[1], values[3]
        width = heads * size if isinstance(heads, int) and isinstance(size, int) else None
    else:
        width = shape[2] if isinstance(shape[2], int) else None
    return (*shape[:2], width)


def _grouped(
    shape: Shape | None, shapes: list[Shape | None], attributes: Mapping[str, Any]
) -> Shape | None:
    if shape is None or len(shape) != 3:
        return None
    if len(shapes) > 1 and shapes[1] is not None:
        return shape
    heads, shared = attributes.get("num_heads"), attributes.get("kv_num_heads")
    width = shape[2]
    if not (isinstance(heads, int) and isinstance(shared, int) and isinstance(width, int)):
        return None
    return (*shape[:2], width // max(1, heads + 2 * shared) * heads)


def _as_variant(
    node: onnx.NodeProto, attributes: Mapping[str, Any], kinds: "list[onnx.TypeProto | None]"
) -> dict[str, onnx.TypeProto]:
    """Infer as the ONNX operator that this is a variant of."""
    if attributes.get("channels_last"):
        return {}
    op_type, places = _VARIANTS[node.op_type]
    if any(place >= len(kinds) or kinds[place] is None for place in places):
        return {}
    schema = onnx.defs.get_schema(op_type, 13, "")
    plain = onnx.helper.make_node(op_type, [f"in{i}" for i in range(len(places))], ["out"])
    allowed = set(schema.attributes)
    plain.attribute.extend(a for a in node.attribute if a.name in allowed)
    inputs = {
        # The rules look at shapes only; the integer types would be refused.
        f"in{i}": tensor_type(onnx.TensorProto.FLOAT, shape_of(kinds[place]))
        for i, place in enumerate(places)
    }
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema, plain, inputs, opset_imports=[onnx.helper.make_opsetid("", 13)]
        )
    except (
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,
        RuntimeError,
        ValueError,
    ):
        return {}
    if "out" not in found:
        return {}
    element_type = element_type_of(kinds[0])
    return {node.output[0]: tensor_type(element_type, shape_of(found["out"]))}
