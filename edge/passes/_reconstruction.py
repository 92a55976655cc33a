"""Least squares in place of training: a layer's weights on what it still gets.

After He et al., Channel Pruning for Accelerating Very Deep Neural Networks (2017), and ThiNet (Luo
et al., 2017): each layer that lost inputs is fitted to what it gave before, from the inputs that it
has now, the earlier layers' errors included. The change of the weights is held small (ridge), by as
much as samples that were held out show to be best; where nothing is better, nothing changes.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.passes._activations import each_run
from edge.passes._channel_choice import channel_axis
from edge.passes._channel_cut import add_to_bias, bias_place
from edge.passes._channel_layers import attribute
from edge.passes._channels import Array, Channels, Slice
from edge.passes._graph import add_constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from edge.passes._activations import Feeds

# Normal equations of more unknowns take minutes.
_MOST_FEATURES: Final = 4608
# Rows for each unknown: more of them hardly change the fit, and cost as much again.
_ROWS_A_FEATURE: Final = 4
_LEAST_ROWS: Final = 4000
_HELD_OUT: Final = 4  # Every fourth sample.
_RIDGES: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(slots=True)
class _Normal:
    """The normal equations of some samples."""

    rows: int = 0
    x: Any = 0.0
    r: Any = 0.0
    xx: Any = 0.0
    xr: Any = 0.0
    rr: float = 0.0

    def add(self, features: Array, missing: Array) -> None:
        self.rows += len(features)
        self.x = self.x + features.sum(axis=0, dtype=np.float64)
        self.r = self.r + missing.sum(axis=0, dtype=np.float64)
        self.xx = self.xx + (features.T @ features).astype(np.float64)
        self.xr = self.xr + (features.T @ missing).astype(np.float64)
        self.rr += float((missing.astype(np.float64) ** 2).sum())

    def plus(self, other: "_Normal") -> "_Normal":
        return _Normal(
            self.rows + other.rows,
            self.x + other.x,
            self.r + other.r,
            self.xx + other.xx,
            self.xr + other.xr,
            self.rr + other.rr,
        )

    def solve(self, ridge: float, *, biased: bool) -> tuple[Array, Array]:
        """Return the change of the weights (features x channels) and of the bias, 0 without."""
        mean = self.x / self.rows if biased else np.zeros_like(self.x)
        left = self.r / self.rows if biased else np.zeros_like(self.r)
        spread = self.xx - self.rows * np.outer(mean, mean)
        hold = ridge * max(float(np.trace(spread)) / len(mean), 1e-12)
        change = np.linalg.solve(
            spread + hold * np.eye(len(mean)), self.xr - self.rows * np.outer(mean, left)
        )
        return change, left - mean @ change

    def error(self, change: Array, bias: Array) -> float:
        """Return the squares that stay with this change."""
        fitted = float(np.sum(change * (self.xx @ change))) + self.rows * float(bias @ bias)
        cross = float(np.sum(change * self.xr)) + float(bias @ self.r)
        mixed = float((self.x @ change) @ bias)
        return self.rr - 2.0 * cross + 2.0 * mixed + fitted


@dataclass(slots=True)
class Fitted:
    """How many layers were fitted, and which part of their error on held-out samples stayed."""

    layers: int = 0
    stayed: list[float] = field(default_factory=list)


def reconstruct(
    found: Channels, model: "onnx.ModelProto", gone: Array, samples: "Sequence[Feeds]", threads: int
) -> Fitted:
    """Fit, in `model`, every layer that does not hear channels that are `gone` any more."""
    fitted = Fitted()
    if len(samples) < 2:
        return fitted
    for part in found.slices:
        if part.role == "uses" and gone[part.ids].any() and _fits(found, part, gone):
            train, held = _gather(found, model, part, gone, (samples, threads))
            before = held.error(np.zeros_like(train.xr), np.zeros_like(train.r))
            biased = bias_place(model, part.node, len(train.r)) is not None
            tried = {r: held.error(*train.solve(r, biased=biased)) for r in _RIDGES}
            best = min(tried, key=lambda ridge: tried[ridge])
            if tried[best] < before:
                _change(model, part, gone, *train.plus(held).solve(best, biased=biased))
                fitted.layers += 1
                fitted.stayed.append(tried[best] / before)
    return fitted


def _fits(found: Channels, part: Slice, gone: Array) -> bool:
    fitting = found.model.graph.node[part.node].op_type in ("Conv", "Gemm", "MatMul")
    return fitting and 0 < _feature_count(found, part, gone) <= _MOST_FEATURES


def _feature_count(found: Channels, part: Slice, gone: Array) -> int:
    node = found.model.graph.node[part.node]
    window = found.shapes[node.input[1]][2:] if node.op_type == "Conv" else ()
    return int((~gone[part.ids]).sum()) * math.prod(window)


def _gather(
    found: Channels,
    model: "onnx.ModelProto",
    part: Slice,
    gone: Array,
    on: "tuple[Sequence[Feeds], int]",
) -> tuple[_Normal, _Normal]:
    """Return the normal equations of the samples to fit to, and of those held out."""
    samples, threads = on
    node = found.model.graph.node[part.node]
    keep = ~gone[part.ids]
    random = np.random.default_rng(part.node)
    wanted_rows = max(_LEAST_ROWS, _ROWS_A_FEATURE * _feature_count(found, part, gone))
    most = -(-wanted_rows // len(samples))
    train, held = _Normal(), _Normal()
    original = each_run(found.model, [node.output[0]], samples, threads)
    changed = model.graph.node[part.node]
    names = [changed.input[0], changed.output[0]]
    now = each_run(model, names, samples, threads)
    for number, (wanted, got) in enumerate(zip(original, now, strict=True)):
        target, given, inputs = wanted[node.output[0]], got[names[1]], got[names[0]]
        rows = _rows(target - given, node.op_type)
        places = random.permutation(len(rows))[:most]
        features = _features(node, inputs, target.shape, keep, places)
        fold = held if number % _HELD_OUT == _HELD_OUT - 1 or len(samples) == number + 1 else train
        fold.add(features, rows[places])
    return train, held


def _rows(values: Array, op_type: str) -> Array:
    """Return one row for each place, its columns the channels."""
    moved: Array = np.moveaxis(values, channel_axis(op_type), -1)
    return moved.reshape(-1, moved.shape[-1])


def _features(
    node: "onnx.NodeProto", inputs: Array, out: tuple[int, ...], keep: Array, places: Array
) -> Array:
    """Return what the layer reads at some places of its output: kept channels x kernel."""
    if node.op_type != "Conv":
        return _rows(inputs, node.op_type)[places][:, keep]
    rank = inputs.ndim - 2
    kernel = attribute(node, "kernel_shape")
    strides = attribute(node, "strides", [1] * rank)
    dilations = attribute(node, "dilations", [1] * rank)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    totals = [
        max((o - 1) * s + r - i, 0)
        for i, o, s, r in zip(inputs.shape[2:], out[2:], strides, reach, strict=True)
    ]
    before = _pads_before(node, totals)
    # Behind, more than any window reaches, which is cheaper than to know by how much.
    behind = [k * d + s for k, d, s in zip(kernel, dilations, strides, strict=True)]
    wide = np.pad(inputs[:, keep], [(0, 0), (0, 0), *zip(before, behind, strict=True)])
    batch, *where = np.unravel_index(places, (out[0], *out[2:]))
    columns = []
    for offset in np.ndindex(*kernel):
        at = [w * s + o * d for w, s, o, d in zip(where, strides, offset, dilations, strict=True)]
        columns.append(wide[(batch, slice(None), *at)])
    # Channel first, then the kernel, as the weights have it.
    features: Array = np.stack(columns, axis=2).reshape(len(places), -1)
    return features


def _pads_before(node: "onnx.NodeProto", totals: "Sequence[int]") -> list[int]:
    """Return how much is padded before each axis, where `totals` is what its output needs."""
    automatic = attribute(node, "auto_pad", b"NOTSET")
    if automatic == b"NOTSET":
        return list(attribute(node, "pads", [0] * len(totals)))[: len(totals)]
    if automatic == b"VALID":
        return [0] * len(totals)
    return [(total + (automatic == b"SAME_LOWER")) // 2 for total in totals]


def _change(model: "onnx.ModelProto", part: Slice, gone: Array, change: Array, bias: Array) -> None:
    from onnx import numpy_helper

    node = model.graph.node[part.node]
    tensor = next(t for t in model.graph.initializer if t.name == node.input[part.slot])
    weight = np.array(numpy_helper.to_array(tensor))
    rows = np.moveaxis(weight, part.axis, 0)
    keep = np.flatnonzero(~gone[part.ids])
    # Of Conv: kept inputs x kernel x outputs, and rows are inputs x outputs x kernel.
    shaped = change.reshape(len(keep), *rows.shape[2:], rows.shape[1])
    rows[keep] += np.moveaxis(shaped, -1, 1).astype(weight.dtype)
    node.input[part.slot] = add_constant(model, f"{node.output[0]}_fitted", weight)
    add_to_bias(model, part.node, bias)
