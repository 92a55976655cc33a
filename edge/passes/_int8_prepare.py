"""A float ONNX model made ready for static int8: constants folded, what int8 takes for free."""

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.errors import ModelError, printable
from edge.passes._graph import LARGEST_SINGLE_BYTES, constants, drop_unused, read_graph

if TYPE_CHECKING:
    import numpy as np
    import onnx

# QuantizeLinear with an axis, without which there is no scale for each channel.
LEAST_OPSET: Final = 13
_QUANTISED: Final = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
_STANDARD_DOMAINS: Final = ("", "ai.onnx")


def prepare(path: Path) -> "onnx.ModelProto":
    """Return the model folded by ONNX Runtime's level basic, at opset 13 or later.

    Raises:
        ModelError: it is quantised already, too large, or cannot be brought to that opset.
    """
    model = read_graph(path)
    names = {node.op_type for node in model.graph.node}
    if names.intersection(_QUANTISED) or any(name.startswith("QLinear") for name in names):
        raise ModelError("the model is quantised already")
    if model.ByteSize() > LARGEST_SINGLE_BYTES:
        raise ModelError("static int8 takes models of up to 1.5 GB")
    model = _at_least_opset(_folded(model))
    for number, node in enumerate(model.graph.node):
        if not node.name:
            node.name = f"{node.op_type}_{number}"
    _spell_out(model)
    _fold_affine(model)
    drop_unused(model)
    return model


def quiet_session(model: "onnx.ModelProto", threads: int, save: "Path | None" = None) -> Any:
    """Open a model in memory; with `save` only folded (level basic), and written there.

    Raises:
        ModelError: ONNX Runtime does not load it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if save is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(save)
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except runtime_failures() as error:
        reason = printable((str(error).strip().splitlines() or ["no reason"])[0], 300)
        raise ModelError(f"ONNX Runtime does not load the model: {reason}") from error


def runtime_failures() -> tuple[type[Exception], ...]:
    """Return the exceptions that ONNX Runtime raises; most are classes of its native module."""
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    own = [c for c in vars(native).values() if isinstance(c, type) and issubclass(c, Exception)]
    return (*own, RuntimeError, ValueError)


def _folded(model: "onnx.ModelProto") -> "onnx.ModelProto":
    import onnx

    with tempfile.TemporaryDirectory(suffix=".part") as folder:
        saved = Path(folder, "folded.onnx")
        quiet_session(model, 1, saved)
        folded = onnx.load(str(saved))
    # ONNX Runtime writes all the domains that it knows, and other readers refuse those they do not.
    used = {node.domain or "" for node in folded.graph.node} | {""}
    kept = [opset for opset in folded.opset_import if (opset.domain or "") in used]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    return folded


def _at_least_opset(model: "onnx.ModelProto") -> "onnx.ModelProto":
    from onnx import version_converter

    now = next((o.version for o in model.opset_import if o.domain in _STANDARD_DOMAINS), 1)
    if now >= LEAST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, LEAST_OPSET)
    except (RuntimeError, ValueError) as error:
        reason = printable((str(error).strip().splitlines() or ["no reason"])[0], 200)
        what = f"the model is of opset {now}, and cannot be brought to {LEAST_OPSET}: {reason}"
        raise ModelError(what) from error


def _spell_out(model: "onnx.ModelProto") -> None:
    """Write HardSigmoid, HardSwish and divisions by a constant as Mul, Add and Clip.

    In int8 a Mul by a constant is a change of scale and a Clip the end of a range: both are free.
    """
    import numpy as np
    from onnx import helper

    values = constants(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.domain not in _STANDARD_DOMAINS:
            nodes.append(node)
            continue
        attributes = {a.name: a.f for a in node.attribute}
        if node.op_type == "Div" and _scalar(values, node.input[1]) not in (None, 0.0):
            divisor = values[node.input[1]]()
            name = _added(model, f"{node.output[0]}_factor", (1 / divisor).astype(divisor.dtype))
            nodes.append(helper.make_node("Mul", [node.input[0], name], node.output, node.name))
        elif node.op_type in ("HardSigmoid", "HardSwish"):
            swish = node.op_type == "HardSwish"
            alpha = 1 / 6 if swish else attributes.get("alpha", 0.2)
            beta = 0.5 if swish else attributes.get("beta", 0.5)
            stem, out = f"{node.output[0]}_hard", node.output[0]
            numbers = {"alpha": alpha, "beta": beta, "low": 0.0, "high": 1.0}
            given = {
                key: _added(model, f"{stem}_{key}", np.asarray(value, np.float32))
                for key, value in numbers.items()
            }
            clipped = f"{stem}_clip" if swish else out
            nodes += [
                helper.make_node("Mul", [node.input[0], given["alpha"]], [f"{stem}_mul"]),
                helper.make_node("Add", [f"{stem}_mul", given["beta"]], [f"{stem}_add"]),
                helper.make_node("Clip", [f"{stem}_add", given["low"], given["high"]], [clipped]),
            ]
            if swish:
                nodes.append(helper.make_node("Mul", [node.input[0], clipped], [out]))
            for made in nodes[-4 if swish else -3 :]:
                made.name = f"{node.name}_{made.op_type}_{made.output[0]}"
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _added(model: "onnx.ModelProto", name: str, value: Any) -> str:
    """Add a constant and return its name: a blank keeps it apart from those of exporters."""
    from onnx import numpy_helper

    name = f"int8 {name}"
    kept = model.graph.initializer
    if any(tensor.name == name for tensor in kept):
        name = f"{name} {len(kept)}"
    kept.append(numpy_helper.from_array(value, name))
    return name


def _scalar(values: Any, name: str) -> float | None:
    """Return a constant of one float, None for anything else."""
    if name not in values:
        return None
    value = values[name]()
    return float(value.reshape(-1)[0]) if value.size == 1 and value.dtype.kind == "f" else None


def _fold_affine(model: "onnx.ModelProto") -> None:
    """Fold a Mul or Add by a constant, one number or one a channel, into the Conv before it."""
    from onnx import numpy_helper

    values = constants(model)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {value.name for value in model.graph.output}
    gone = []
    for conv in model.graph.node:
        if conv.op_type != "Conv" or conv.input[1] not in values:
            continue
        while (folded := _affine_after(conv, readers, outputs, values)) is not None:
            follower, constant = folded
            weight = values[conv.input[1]]()
            bias = values[conv.input[2]]() if len(conv.input) > 2 else None
            weight, bias = _with_affine(weight, bias, follower.op_type, constant)
            conv.input[1] = _added(model, f"{conv.name}_weight", weight)
            bias_name = _added(model, f"{conv.name}_bias", bias)
            del conv.input[2:]
            conv.input.append(bias_name)
            for tensor in model.graph.initializer[-2:]:
                values[tensor.name] = functools.partial(numpy_helper.to_array, tensor)
            conv.output[0] = follower.output[0]
            gone.append(follower.output[0])
    followers = [n for n in model.graph.node if n.op_type in ("Mul", "Add") and n.output[0] in gone]
    for node in followers:
        model.graph.node.remove(node)


def _affine_after(
    conv: "onnx.NodeProto", readers: Any, outputs: set[str], values: Any
) -> "tuple[onnx.NodeProto, np.ndarray[Any, Any]] | None":
    name = conv.output[0]
    follows = readers.get(name, [])
    if name in outputs or len(follows) != 1 or follows[0].op_type not in ("Mul", "Add"):
        return None
    if len(conv.input) > 2 and conv.input[2] and conv.input[2] not in values:
        return None
    others = [other for other in follows[0].input if other != name]
    if len(others) != 1 or others[0] not in values:
        return None
    weight, constant = values[conv.input[1]](), values[others[0]]()
    channels = (weight.shape[0],) + (1,) * (weight.ndim - 2)
    fits = constant.size == 1 or constant.shape in (channels, (1, *channels))
    if not fits or constant.dtype != weight.dtype or constant.ndim > weight.ndim:
        return None
    return follows[0], constant


def _with_affine(weight: Any, bias: Any, how: str, constant: Any) -> tuple[Any, Any]:
    import numpy as np

    each = np.broadcast_to(constant.reshape(-1), weight.shape[:1])
    if bias is None:
        bias = np.zeros(weight.shape[0], weight.dtype)
    if how == "Add":
        return weight, bias + each
    return weight * each.reshape((-1,) + (1,) * (weight.ndim - 1)), bias * each
