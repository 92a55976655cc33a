"""Biases of an int8 TFLite model that do not fit 32 bits.

A bias is an int32 in the scale of the input times that of the channel's weights. A dead channel
(weights of 1e-8 beside a bias of 1, as trained MobileNets have) makes that scale so small that the
bias does not fit. ai-edge-quantizer 0.10 cuts it off at 2^31 - 1, which fp32 rounds to 2^31 and the
cast turns into -2^31: the channel is wrong, even in sign, and nothing says so. An SSD-MobileNetV2
had a cosine of 0.92 with such biases, and has one of 0.996 with biases that fit.
"""

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.backends import backend_for_format
from edge.errors import ModelError, RuntimeFailure
from edge.passes._tflite_model import INT8, INT32, content, name_of, tensors
from edge.passes._tflite_quantised import weighted_operators
from edge.records.measurement import SessionConfig

_MOST: Final = (1 << 31) - 1
# Half of the range is left for the products that are added.
_ROOM: Final = float(1 << 30)
_BIAS: Final = {"TRANSPOSE_CONV": 3}


def fit_biases(before: Any, after: Any) -> int:
    """Give channels whose bias was cut off a coarser scale of weights; return how many.

    The new scale lets the bias take 2^30. The weights' rounding then moves a sum of n products
    by at most n * 128 / 2^31 of the bias.

    Raises:
        ModelError: weights or bias are shared, so that it cannot be done.
    """
    held: dict[int, int] = {}
    for tensor in tensors(after):
        held[tensor.buffer] = held.get(tensor.buffer, 0) + 1
    floats = {name_of(tensor): tensor for tensor in tensors(before)}
    count = 0
    for graph, name, operator, given, weights in weighted_operators(after):
        place = _BIAS.get(name, 2)
        if len(operator.inputs) <= place or operator.inputs[place] < 0:
            continue
        bias = graph.tensors[operator.inputs[place]]
        cut = _cut(after, bias)
        if cut is None or not cut.any():
            continue
        weight, source = graph.tensors[operator.inputs[weights]], floats.get(name_of(bias))
        wanted = None if source is None else content(before, source, "<f4")
        scales = weight.quantization.scale
        alone = held[weight.buffer] == held[bias.buffer] == 1
        if not alone or wanted is None or weight.type != INT8 or len(scales) != cut.size:
            raise ModelError(
                f"{cut.sum()} of {cut.size} biases in {name_of(bias)!r} do not fit int32, and its"
                " weights are shared",
                hint="keep that layer in float, or quantise dynamically",
            )
        entering = float(graph.tensors[operator.inputs[given]].quantization.scale[0])
        _refit(after, weight, bias, (wanted, cut, entering))
        count += int(cut.sum())
    return count


def require_kernels(data: bytes, folder: str) -> None:
    """Refuse a file that the runtime's own kernels refuse: XNNPACK in front of them looks less.

    ai-edge-litert 2.3 with XNNPACK computed a MobileNetV2 whose activations fade to 1e-9 as all
    zeros, without a word; without XNNPACK, and in tflite-runtime 2.14, the kernels said why not.

    Raises:
        ModelError: they do.
    """
    backend = backend_for_format("tflite")
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part") as scratch:
        Path(scratch.name).write_bytes(data)
        try:
            config = SessionConfig(backend=backend.name, threads=1, provider="none")
            backend.open(scratch.name, config)
        except RuntimeFailure as error:
            raise ModelError(
                f"in int8 the runtime's own kernels refuse it: {error.what}",
                hint="activations may be next to 0 somewhere: give data that the model is meant"
                " for, or quantise dynamically",
            ) from error


def _cut(model: Any, bias: Any) -> "np.ndarray[Any, Any] | None":
    """Return which numbers of a bias lie at the end of int32; None where it is none."""
    if bias.type != INT32 or bias.quantization is None or bias.quantization.scale is None:
        return None
    numbers = content(model, bias, "<i4")
    return None if numbers is None else np.abs(numbers.astype(np.int64)) >= _MOST


def _refit(model: Any, weight: Any, bias: Any, known: tuple[Any, Any, float]) -> None:
    wanted, cut, entering = known
    old = np.array(weight.quantization.scale, np.float32)
    new = np.where(cut, np.abs(wanted) / (entering * _ROOM), old).astype(np.float32)
    ratio = old.astype(np.float64) / new
    axis = weight.quantization.quantizedDimension
    shape = [-1 if number == axis else 1 for number in range(len(weight.shape))]
    codes = content(model, weight, "i1")
    numbers = content(model, bias, "<i4")
    if codes is None or numbers is None:
        raise ModelError("a quantised layer has no weights in the file")
    rounded = np.rint(codes.reshape(weight.shape) * ratio.reshape(shape)).astype("i1")
    scale = entering * new.astype(np.float64)
    fitted = np.where(cut, np.rint(wanted / scale), numbers).astype("<i4")
    _put(model, weight, rounded)
    _put(model, bias, fitted)
    weight.quantization.scale = new
    bias.quantization.scale = np.where(cut, scale, bias.quantization.scale).astype(np.float32)


def _put(model: Any, tensor: Any, numbers: "np.ndarray[Any, Any]") -> None:
    model.buffers[tensor.buffer].data = np.frombuffer(numbers.tobytes(), np.uint8)
