"""A TFLite model in memory, made ready for the quantiser, and written as a whole.

The schema's classes are those that ai-edge-quantizer brings.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import ModelError

REQUIRES = ("ai_edge_quantizer",)
EXTRA = "tflite"

# schema.fbs: TensorType and BuiltinOperator.
FLOAT32, FLOAT16, INT32, INT8 = 0, 1, 2, 9
DEQUANTIZE = 6
_INT4 = 17
_QUANTISED = (3, 7, INT8, _INT4)  # uint8, int16, int8, int4
# What a damaged or a newer file makes of the reader.
_DAMAGED = (struct.error, ValueError, TypeError, IndexError, AttributeError, KeyError)


def read_float(path: str) -> tuple[Any, int]:
    """Return the model with fp32 weights, and how many weights were fp16 behind a DEQUANTIZE.

    The quantiser takes weights only where they are constants, so halves are widened first.

    Raises:
        ModelError: it cannot be read, or is quantised already.
    """
    try:
        model = parse(Path(path).read_bytes())
        widened = sum(_widen_halves(model, graph) for graph in model.subgraphs)
    except _DAMAGED as error:
        raise ModelError("the file cannot be read as TFLite", where=path) from error
    quantised = sum(
        tensor.quantization is not None
        and tensor.quantization.scale is not None
        and tensor.type in _QUANTISED
        for tensor in tensors(model)
    )
    if quantised:
        what = f"{quantised} tensors of the model are quantised already"
        raise ModelError(what, hint="give the float model that it was made from")
    if widened:
        _drop_unused(model)
    return model, widened


def parse(data: bytes) -> Any:
    """Return the model of a file's bytes."""
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils

    model = tfl_flatbuffer_utils.read_model(data)
    for code in model.operatorCodes:
        # Files of 2020 and before have the number in the old field only; the quantiser reads the
        # new one, and takes every operator for ADD.
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    return model


def quantised(working: Any, ranges: Mapping[str, Any] | None = None) -> bytes:
    """Have the library quantise; what it cannot do is a model that it cannot do.

    Raises:
        ModelError: it refuses.
    """
    try:
        # Biases that do not fit warn here; fit_biases looks after them.
        with np.errstate(invalid="ignore"):
            result = working.quantize(
                ranges, enable_progress_bar=False, enable_progress_report=False
            )
    except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(f"ai-edge-quantizer cannot do it: {reason}") from error
    return bytes(result.quantized_model)


def told_widened(count: int) -> list[str]:
    """Say that weights were fp16 in the original."""
    return [f"{count} weights were fp16 and were widened to fp32 first"] if count else []


def require_finite(model: Any) -> None:
    """Refuse fp16 weights that fp16 cannot hold (its largest number is 65504).

    Raises:
        ModelError: there are some; it names the first.
    """
    for tensor in tensors(model):
        if tensor.type == FLOAT16:
            numbers = content(model, tensor, "<f2")
            if numbers is not None and not np.isfinite(numbers).all():
                raise ModelError(f"weights of {name_of(tensor)!r} are too large for fp16")


def tensors(model: Any) -> Iterator[Any]:
    """Go through the tensors of all subgraphs."""
    for graph in model.subgraphs:
        yield from graph.tensors


def name_of(tensor: Any) -> str:
    """Return a tensor's name."""
    return bytes(tensor.name or b"").decode(errors="replace")


def content(model: Any, tensor: Any, dtype: str) -> "np.ndarray[Any, Any] | None":
    """Return a constant's numbers, flat; None where the file has none."""
    data = model.buffers[tensor.buffer].data
    return None if data is None or not len(data) else np.frombuffer(data, dtype)


def signature(model: Any) -> tuple[str, dict[str, str]]:
    """Return the model's one signature: its key and, by a tensor's name, the input's name in it.

    A model without one is given one.

    Raises:
        ModelError: it has several.
    """
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import flatbuffer_utils

    if not model.signatureDefs:
        schema = flatbuffer_utils.schema_fb
        made = schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = b"serving_default", 0
        graph = model.subgraphs[0]
        made.inputs = _named(schema, graph, graph.inputs)
        made.outputs = _named(schema, graph, graph.outputs)
        model.signatureDefs = [made]
    if len(model.signatureDefs) > 1:
        count = len(model.signatureDefs)
        raise ModelError(
            f"the model has {count} signatures, and data for one",
            hint="calibrate a model with one signature",
        )
    (entry,) = model.signatureDefs
    graph = model.subgraphs[entry.subgraphIndex]
    names = {
        name_of(graph.tensors[pair.tensorIndex]): bytes(pair.name).decode() for pair in entry.inputs
    }
    return bytes(entry.signatureKey).decode(), names


def choice(options: Mapping[str, Any], name: str, known: Sequence[str]) -> str:
    """Return what an option says, the first of `known` where it is not given.

    Raises:
        ModelError: it says something else.
    """
    said = str(options.get(name, known[0]))
    if said not in known:
        raise ModelError(f"no {name} {said!r}", hint="there are " + ", ".join(known))
    return said


def packed(model: Any) -> bytes:
    """Return the model as a file has it."""
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import flatbuffer_utils

    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def write_whole(data: bytes, folder: str, name: str) -> str:
    """Write the file; it appears whole or not at all. Return its name."""
    place = Path(folder)
    scratch = place / f".{name}.part"
    scratch.write_bytes(data)
    scratch.replace(place / name)
    return name


def _named(schema: Any, graph: Any, indices: Sequence[int]) -> list[Any]:
    entries = []
    for index in indices:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = graph.tensors[index].name, int(index)
        entries.append(entry)
    return entries


def _widen_halves(model: Any, graph: Any) -> int:
    """Make what a DEQUANTIZE gives of constant fp16 a constant of fp32; return how many."""
    from ai_edge_quantizer.qtyping import BufferT

    kept, widened = [], 0
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        halves = None
        if max(code.builtinCode, code.deprecatedBuiltinCode) == DEQUANTIZE:
            source = graph.tensors[operator.inputs[0]]
            if source.type == FLOAT16:
                halves = content(model, source, "<f2")
        if halves is None:
            kept.append(operator)
            continue
        buffer = BufferT()
        buffer.data = np.frombuffer(halves.astype("<f4").tobytes(), np.uint8)
        graph.tensors[operator.outputs[0]].buffer = len(model.buffers)
        model.buffers.append(buffer)
        widened += 1
    graph.operators = kept
    return widened


def _drop_unused(model: Any) -> None:
    """Leave out the tensors that no operator has any more, and the content of their buffers."""
    for number, graph in enumerate(model.subgraphs):
        used = {int(i) for i in (*graph.inputs, *graph.outputs)}
        for operator in graph.operators:
            for group in (operator.inputs, operator.outputs, operator.intermediates):
                used.update(int(i) for i in ([] if group is None else group))
        order = [i for i in range(len(graph.tensors)) if i in used]
        place = {old: new for new, old in enumerate(order)} | {-1: -1}
        graph.tensors = [graph.tensors[i] for i in order]
        graph.inputs, graph.outputs = _moved(place, graph.inputs), _moved(place, graph.outputs)
        for operator in graph.operators:
            operator.inputs = _moved(place, operator.inputs)
            operator.outputs = _moved(place, operator.outputs)
            if operator.intermediates is not None:
                operator.intermediates = _moved(place, operator.intermediates)
        for entry in model.signatureDefs or ():
            if entry.subgraphIndex == number:
                for pair in (*entry.inputs, *entry.outputs):
                    pair.tensorIndex = place[pair.tensorIndex]
    held = {tensor.buffer for tensor in tensors(model)} | {
        entry.buffer for entry in model.metadata or ()
    }
    for number, buffer in enumerate(model.buffers):
        if number not in held:
            buffer.data = None


def _moved(place: Mapping[int, int], indices: Any) -> list[int]:
    return [place[int(index)] for index in indices]
