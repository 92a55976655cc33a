"""Writes a plan's Q and DQ nodes around the operators, and the weights as int8."""

from typing import TYPE_CHECKING, Any, Final

from edge.passes._graph import drop_unused
from edge.passes._int8_index import GraphIndex
from edge.passes._int8_plan import LAYERS, Int8Plan, Ranges
from edge.passes._int8_scales import (
    Int8Form,
    activation_scale,
    shifted_scale,
    weight_scales,
)

if TYPE_CHECKING:
    import onnx

# A bias is int32; its scale must let it fit, with some room for rounding.
_MOST_BIAS: Final = (2**31 - 1) / 1.0001


def channel_axis(index: GraphIndex, node: "onnx.NodeProto") -> int:
    """Return the axis of a layer's weights that its output's channels are."""
    by_rows = node.op_type == "Conv" or (
        node.op_type == "Gemm" and index.attribute(node, "transB", 0)
    )
    return 0 if by_rows else 1


def fake_weight(index: GraphIndex, node: "onnx.NodeProto", form: Int8Form) -> Any:
    """Return a layer's weights as int8 rounds them, in float."""
    weight = index.constant(node.input[1])
    assert weight is not None
    axis = channel_axis(index, node)
    scales = weight_scales(
        weight, axis if form.per_channel else None, reduce_range=form.reduce_range
    )
    return _integers(weight, scales, axis, form) * _along(scales, axis, weight.ndim)


def _along(scales: Any, axis: int, rank: int) -> Any:
    return scales.reshape([-1 if i == axis else 1 for i in range(rank)]) if scales.ndim else scales


def _integers(weight: Any, scales: Any, axis: int, form: Int8Form) -> Any:
    import numpy as np

    most = 64 if form.reduce_range else 127
    quantised = np.rint(weight / _along(scales, axis, weight.ndim))
    return np.clip(quantised, -most, most).astype(np.int8)


def write_int8(index: GraphIndex, plan: Int8Plan, ranges: Ranges, form: Int8Form) -> Any:
    """Return the quantised model; the float one stays as it is.

    Raises:
        KeyError: a range is missing.
    """
    return _Writer(index, plan, ranges, form).written()


class _Writer:
    def __init__(self, index: GraphIndex, plan: Int8Plan, ranges: Ranges, form: Int8Form) -> None:
        self._index, self._plan, self._ranges, self._form = index, plan, ranges, form
        self._int8 = {*plan.layers, *plan.others}
        self._bounded_by = {node: bound for bound, node in plan.bounded.items()}
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._parameters: dict[str, tuple[float, int]] = {}
        self._quantised: dict[str, str] = {}

    def written(self) -> "onnx.ModelProto":
        import onnx

        index = self._index
        for value in index.model.graph.input:
            self._quantise(value.name, value.name)
        for number, node in enumerate(index.nodes):
            if number in self._plan.relabelled:
                self._relabel(node)
            elif number not in self._plan.bounded:
                self._copy(number, node)
        model = onnx.ModelProto()
        model.CopyFrom(_without_graph(index.model))
        graph = model.graph
        graph.name = index.model.graph.name
        graph.input.extend(index.model.graph.input)
        graph.output.extend(index.model.graph.output)
        graph.node.extend(self._nodes)
        graph.initializer.extend(index.model.graph.initializer)
        graph.initializer.extend(self._initializers)
        drop_unused(model)
        return model

    def _copy(self, number: int, node: "onnx.NodeProto") -> None:
        import onnx

        made, plan = onnx.NodeProto(), self._plan
        made.CopyFrom(node)
        in_int8 = number in self._int8
        for place, name in enumerate(node.input):
            if name in self._quantised and (in_int8 or name in plan.made):
                made.input[place] = f"{name}_dequantized"
        if in_int8 and node.op_type in LAYERS:
            self._weights(made, node)
        elif in_int8 and node.op_type in ("Add", "Mul"):
            self._constants(made)
        if number in self._bounded_by:
            made.output[0] = self._index.nodes[self._bounded_by[number]].output[0]
        name = made.output[0] if made.output else ""
        if in_int8 and name in plan.made and name in self._index.outputs:
            made.output[0] = f"{name}_float"
        self._nodes.append(made)
        for place, output in enumerate(made.output):
            self._quantise(name if place == 0 else output, output)

    def _parameters_of(self, name: str) -> tuple[float, int]:
        if name not in self._parameters:
            if name in self._plan.same:
                self._parameters[name] = self._parameters_of(self._plan.same[name])
            elif name in self._plan.shifts:
                shift = self._plan.shifts[name]
                self._parameters[name] = shifted_scale(*self._ranges[name], shift, self._form)
            else:
                self._parameters[name] = activation_scale(*self._ranges[name], self._form)
        return self._parameters[name]

    def _quantise(self, name: str, values: str) -> None:
        """Put Q and DQ behind a tensor that int8 nodes read or give."""
        from onnx import helper

        if name not in self._plan.taken or name in self._quantised:
            return
        scale, zero_point = self._zero_and_scale(name, *self._parameters_of(name))
        given = f"{name}_quantized"
        self._quantised[name] = given
        out = name if values != name else f"{name}_dequantized"
        self._nodes += [
            helper.make_node("QuantizeLinear", [values, scale, zero_point], [given], f"{name}_Q"),
            helper.make_node("DequantizeLinear", [given, scale, zero_point], [out], f"{name}_DQ"),
        ]
        if out == name:
            # An output of the model keeps its name; whoever reads it within reads a copy.
            again = [f"{name}_dequantized"]
            inputs = [given, scale, zero_point]
            self._nodes.append(helper.make_node("DequantizeLinear", inputs, again, f"{name}_DQ2"))

    def _relabel(self, node: "onnx.NodeProto") -> None:
        """Let the same integers mean other numbers."""
        from onnx import helper

        name = node.output[0]
        root, factor, shift = self._plan.roots[name]
        scale, zero_point = self._parameters_of(root)
        moved = zero_point - round(shift / (scale * factor))
        self._parameters[name] = (scale * factor, moved)
        self._quantised[name] = self._quantised[root]
        given = self._zero_and_scale(name, *self._parameters[name])
        inputs, outputs = [self._quantised[root], *given], [f"{name}_dequantized"]
        self._nodes.append(helper.make_node("DequantizeLinear", inputs, outputs, f"{name}_DQ"))

    def _zero_and_scale(self, name: str, scale: float, zero_point: int) -> tuple[str, str]:
        import numpy as np

        scale_name = self._add(f"{name}_scale", np.float32(scale))
        kind = np.dtype(self._form.activations).type
        return scale_name, self._add(f"{name}_zero_point", kind(zero_point))

    def _constants(self, made: "onnx.NodeProto") -> None:
        """Quantise an operand of one number so that nothing of it is lost."""
        import numpy as np
        from onnx import helper

        for place, name in enumerate(made.input):
            value = self._index.constant(name)
            if value is None:
                continue
            number = float(value.reshape(-1)[0])
            stem = f"{made.name}_{place}"
            scale, zero_point = activation_scale(
                number, number, Int8Form(activations=self._form.activations)
            )
            quantised = round(number / scale) + zero_point
            kind = np.dtype(self._form.activations).type
            stored = self._add(f"{stem}_constant", np.full(value.shape, quantised, kind))
            inputs = [stored, *self._zero_and_scale(stem, scale, zero_point)]
            made.input[place] = f"{stem}_constant_dequantized"
            self._nodes.append(helper.make_node("DequantizeLinear", inputs, [made.input[place]]))

    def _weights(self, made: "onnx.NodeProto", node: "onnx.NodeProto") -> None:
        import numpy as np
        from onnx import helper

        weight = self._index.constant(node.input[1])
        assert weight is not None
        axis = channel_axis(self._index, node)
        bias = self._index.constant(node.input[2]) if len(node.input) > 2 else None
        along = axis if self._form.per_channel else None
        scales = weight_scales(weight, along, reduce_range=self._form.reduce_range)
        scale_in = self._parameters_of(node.input[0])[0]
        if bias is not None:
            magnitude = np.abs(bias.astype(np.float64)).reshape(-1)
            least = magnitude / _MOST_BIAS / scale_in
            least = least if along is not None else least.max(initial=0.0)
            scales = np.maximum(scales, least).astype(np.float32)
        quantised = _integers(weight, scales, axis, self._form)
        stored = self._add(f"{node.name}_weight_quantized", quantised)
        scale_name = self._add(f"{node.name}_weight_scale", scales)
        zeros = self._add(f"{node.name}_weight_zero_point", np.zeros(scales.shape, np.int8))
        made.input[1] = f"{node.name}_weight_dequantized"
        more: dict[str, Any] = {} if along is None else {"axis": axis}
        self._nodes.append(
            helper.make_node(
                "DequantizeLinear", [stored, scale_name, zeros], made.input[1:2], **more
            )
        )
        if bias is not None:
            self._bias(made, bias, np.float32(scale_in) * scales)

    def _bias(self, made: "onnx.NodeProto", bias: Any, scales: Any) -> None:
        import numpy as np
        from onnx import helper

        name = f"{made.name}_bias"
        flat = np.rint(bias.astype(np.float64).reshape(-1) / scales)
        limit = 2**31 - 1
        stored = self._add(f"{name}_quantized", np.clip(flat, -limit, limit).astype(np.int32))
        inputs = [
            stored,
            self._add(f"{name}_scale", scales),
            self._add(f"{name}_zero_point", np.zeros(scales.shape, np.int32)),
        ]
        made.input[2] = f"{name}_dequantized"
        more: dict[str, Any] = {"axis": 0} if scales.ndim else {}
        self._nodes.append(helper.make_node("DequantizeLinear", inputs, made.input[2:3], **more))

    def _add(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        if all(tensor.name != name for tensor in self._initializers[-2:]):
            self._initializers.append(numpy_helper.from_array(value, name))
        return name


def _without_graph(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """Return what stands beside the graph."""
    import onnx

    return onnx.ModelProto(
        ir_version=model.ir_version,
        opset_import=model.opset_import,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        domain=model.domain,
        model_version=model.model_version,
        doc_string=model.doc_string,
        metadata_props=model.metadata_props,
    )
