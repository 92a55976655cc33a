"""ONNX's types as shapes, numpy's type names and sizes in bytes."""

from collections.abc import Sequence
from typing import Final

import onnx

from edge.records.tensor import Dimension, TensorSpec

Shape = tuple[Dimension, ...]

# numpy's names (ml_dtypes' for what numpy lacks) and the bits of one element.
_ELEMENT_TYPES: Final[dict[int, tuple[str, int]]] = {
    onnx.TensorProto.FLOAT: ("float32", 32),
    onnx.TensorProto.UINT8: ("uint8", 8),
    onnx.TensorProto.INT8: ("int8", 8),
    onnx.TensorProto.UINT16: ("uint16", 16),
    onnx.TensorProto.INT16: ("int16", 16),
    onnx.TensorProto.INT32: ("int32", 32),
    onnx.TensorProto.INT64: ("int64", 64),
    # A string in memory is a std::string object; its characters are not counted.
    onnx.TensorProto.STRING: ("str", 256),
    onnx.TensorProto.BOOL: ("bool", 8),
    onnx.TensorProto.FLOAT16: ("float16", 16),
    onnx.TensorProto.DOUBLE: ("float64", 64),
    onnx.TensorProto.UINT32: ("uint32", 32),
    onnx.TensorProto.UINT64: ("uint64", 64),
    onnx.TensorProto.COMPLEX64: ("complex64", 64),
    onnx.TensorProto.COMPLEX128: ("complex128", 128),
    onnx.TensorProto.BFLOAT16: ("bfloat16", 16),
    onnx.TensorProto.FLOAT8E4M3FN: ("float8_e4m3fn", 8),
    onnx.TensorProto.FLOAT8E4M3FNUZ: ("float8_e4m3fnuz", 8),
    onnx.TensorProto.FLOAT8E5M2: ("float8_e5m2", 8),
    onnx.TensorProto.FLOAT8E5M2FNUZ: ("float8_e5m2fnuz", 8),
    onnx.TensorProto.UINT4: ("uint4", 4),
    onnx.TensorProto.INT4: ("int4", 4),
    onnx.TensorProto.FLOAT4E2M1: ("float4_e2m1fn", 4),
    onnx.TensorProto.FLOAT8E8M0: ("float8_e8m0fnu", 8),
    onnx.TensorProto.UINT2: ("uint2", 2),
    onnx.TensorProto.INT2: ("int2", 2),
}
# Exporters write these where they have no name for a dimension.
_NAMELESS = ("", "?", "-1", "None")


def dtype_name(element_type: int) -> str:
    """Return numpy's name of an ONNX element type, "unknown" for one that ONNX does not have."""
    return _ELEMENT_TYPES.get(element_type, ("unknown", 0))[0]


def bytes_of(element_type: int, shape: Shape | None) -> int | None:
    """Return the bytes of a tensor, or None where its type or a dimension is not known."""
    count = elements(shape)
    if count is None or element_type not in _ELEMENT_TYPES:
        return None
    return (count * _ELEMENT_TYPES[element_type][1] + 7) // 8


def elements(shape: Sequence[Dimension] | None) -> int | None:
    """Return the number of elements, or None where a dimension is not a number."""
    if shape is None:
        return None
    count = 1
    for size in shape:
        if not isinstance(size, int):
            return None
        count *= size
    return count


def shape_of(kind: onnx.TypeProto | None) -> Shape | None:
    """Return the shape of a (sparse) tensor's type; None where not even the rank is known."""
    tensor = tensor_of(kind)
    if tensor is None or not tensor.HasField("shape"):
        return None
    return tuple(_dimension(d) for d in tensor.shape.dim)


def tensor_of(
    kind: onnx.TypeProto | None,
) -> "onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor | None":
    """Return the tensor part of a type, or None for sequences, maps and unknown types."""
    if kind is None:
        return None
    if kind.HasField("tensor_type"):
        return kind.tensor_type
    return kind.sparse_tensor_type if kind.HasField("sparse_tensor_type") else None


def _dimension(dim: onnx.TensorShapeProto.Dimension) -> Dimension:
    which = dim.WhichOneof("value")
    if which == "dim_value":
        # Exporters also write -1 for a free dimension.
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    if which == "dim_param" and dim.dim_param not in _NAMELESS:
        return str(dim.dim_param)
    return None


def tensor_type(element_type: int, shape: Shape | None) -> onnx.TypeProto:
    """Return the type of a tensor."""
    kind = onnx.TypeProto()
    kind.tensor_type.elem_type = element_type
    if shape is not None:
        kind.tensor_type.shape.SetInParent()
        for size in shape:
            dim = kind.tensor_type.shape.dim.add()
            # Sizes beyond 64 bits come from hostile files only.
            if isinstance(size, int) and size < 1 << 63:
                dim.dim_value = size
            elif isinstance(size, str):
                dim.dim_param = size
    return kind


def element_type_of(kind: onnx.TypeProto | None) -> int:
    """Return the element type of a tensor's type, 0 where it is none."""
    tensor = tensor_of(kind)
    return 0 if tensor is None else int(tensor.elem_type)


def type_bytes(kind: onnx.TypeProto | None) -> int | None:
    """Return the bytes of a value: 0 for a sequence or a map, None where the size is unknown."""
    if kind is None or kind.WhichOneof("value") is None:
        return None
    if tensor_of(kind) is None:
        return 0
    return bytes_of(element_type_of(kind), shape_of(kind))


def spec_of(name: str, kind: onnx.TypeProto | None) -> TensorSpec:
    """Describe an input or output of the model."""
    if kind is not None and tensor_of(kind) is None and kind.WhichOneof("value"):
        return TensorSpec(name, str(kind.WhichOneof("value")).removesuffix("_type"), None)
    return TensorSpec(name, dtype_name(element_type_of(kind)), shape_of(kind))


def merge_types(first: onnx.TypeProto | None, second: onnx.TypeProto | None) -> onnx.TypeProto:
    """Return what is known of a value by two accounts; where they differ, `first` is right."""
    if first is None or first.WhichOneof("value") is None:
        return second if second is not None else onnx.TypeProto()
    ours, theirs = shape_of(first), shape_of(second)
    if tensor_of(first) is None or theirs is None:
        return first
    if ours is None:
        merged: Shape = theirs
    elif len(ours) == len(theirs):
        merged = tuple(
            b if not isinstance(a, int) and b is not None else a
            for a, b in zip(ours, theirs, strict=True)
        )
    else:
        return first
    element_type = element_type_of(first) or element_type_of(second)
    return tensor_type(element_type, merged)
