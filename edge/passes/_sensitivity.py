"""Which layers lose most in int8, found by measuring each, and which of them to keep in float."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.passes._int8_index import GraphIndex
from edge.passes._int8_plan import Int8Plan, Ranges, plan_int8
from edge.passes._int8_prepare import quiet_session
from edge.passes._int8_scales import Int8Form, activation_scale
from edge.passes._int8_write import channel_axis, fake_weight, write_int8

if TYPE_CHECKING:
    import numpy as np

Feeds = Sequence[Mapping[str, Any]]

# Samples to measure errors on; more cost time and change the order of layers little.
_SAMPLES: Final = 4
# So many of the noisiest layers are tried one by one in the whole model.
_TRIED: Final = 12
# A layer stays in float only for a fall of the error by so much of what it is in all-int8.
_LEAST_GAIN: Final = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatLayers:
    """Layers to keep in float, by name, the part of the multiply-accumulates that they are.

    `before` and `after` are errors of the outputs: the square of the difference to the float
    model's over the square of those, the mean over samples and outputs.
    """

    names: tuple[str, ...]
    macs_part: float
    before: float
    after: float


class OutputError:
    """The error of the model's outputs with these ranges and that form, whatever is in float."""

    def __init__(
        self, index: GraphIndex, ranges: Ranges, form: Int8Form, feeds: Feeds, threads: int
    ) -> None:
        """Run the float model once on a few of the samples."""
        self._index, self._ranges, self._form = index, ranges, form
        self._feeds, self._threads = spaced(feeds, _SAMPLES), threads
        session = quiet_session(index.model, threads)
        self._expected = [session.run(None, dict(feed)) for feed in self._feeds]

    def of(self, in_float: Sequence[str]) -> float:
        """Return the error with the layers of these names in float."""
        import numpy as np

        plan = plan_int8(self._index, in_float, self._ranges)
        model = write_int8(self._index, plan, self._ranges, self._form)
        session = quiet_session(model, self._threads)
        errors: list[float] = []
        for feed, expected in zip(self._feeds, self._expected, strict=True):
            found = session.run(None, dict(feed))
            errors += [
                relative_error(a, b)
                for a, b in zip(found, expected, strict=True)
                if b.dtype.kind == "f" and b.size
            ]
        return float(np.mean(errors)) if errors else 0.0


def spaced(feeds: Feeds, count: int) -> list[Mapping[str, Any]]:
    """Return up to `count` samples from all over the data."""
    step = max(1, len(feeds) // count)
    return list(feeds[::step][:count])


def relative_error(found: "np.ndarray[Any, Any]", expected: "np.ndarray[Any, Any]") -> float:
    """Return the square of the difference over the square of what is expected."""
    import numpy as np

    exact = expected.astype(np.float64)
    return float(np.square(found - exact).sum() / max(float(np.square(exact).sum()), 1e-30))


def layer_noise(
    index: GraphIndex,
    plan: Int8Plan,
    ranges: Ranges,
    form: Int8Form,
    feeds: Feeds,
    *,
    threads: int,
) -> dict[str, tuple[float, float]]:
    """Return for each layer the noise that it alone adds in int8, and its multiply-accumulates.

    One run of one graph measures all of them: beside each layer stands a copy with its input and
    weights rounded as int8 rounds them, which reads what the float layers before it give. The
    noise is relative: squares of differences over squares of values.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper

    layers = [number for number in plan.layers if index.nodes[number].input[0] in ranges]
    graph = onnx.GraphProto()
    graph.CopyFrom(index.model.graph)
    del graph.output[:]
    rounded: dict[str, str] = {}
    for place, number in enumerate(layers):
        node, copy = index.nodes[number], onnx.NodeProto()
        copy.CopyFrom(node)
        name = node.input[0]
        if name not in rounded:
            rounded[name] = f"rounded {name}"
            given = activation_scale(*ranges[name], form)
            _round_trip(graph, name, rounded[name], given, form)
        weight = fake_weight(index, node, form)
        graph.initializer.append(onnx.numpy_helper.from_array(weight, f"weight {place}"))
        copy.input[0], copy.input[1] = rounded[name], f"weight {place}"
        copy.output[0], copy.name = f"copy {place}", f"copy {place}"
        graph.node.append(copy)
        sums = {"error": [f"difference {place}"], "signal": [node.output[0]]}
        graph.node.append(
            helper.make_node("Sub", [copy.output[0], node.output[0]], [f"difference {place}"])
        )
        for kind, inputs in sums.items():
            graph.node.append(
                helper.make_node("ReduceSumSquare", inputs, [f"{kind} {place}"], keepdims=0)
            )
        graph.node.append(helper.make_node("Size", [node.output[0]], [f"size {place}"]))
        for kind in ("error", "signal", "size"):
            element = TensorProto.INT64 if kind == "size" else TensorProto.FLOAT
            value = helper.make_tensor_value_info(f"{kind} {place}", element, [])
            graph.output.append(value)
    model = helper.make_model(graph, opset_imports=index.model.opset_import)
    model.ir_version = index.model.ir_version
    session = quiet_session(model, threads)
    runs = [session.run(None, dict(feed)) for feed in spaced(feeds, _SAMPLES)[:2]]
    totals = np.array(runs, np.float64).sum(axis=0).reshape(len(layers), 3)
    found = {}
    for number, (error, signal, size) in zip(layers, totals, strict=True):
        node = index.nodes[number]
        weight = index.constant(node.input[1])
        assert weight is not None
        channels = weight.shape[channel_axis(index, node)]
        macs = float(size) / len(runs) * weight.size / max(channels, 1)
        found[node.name] = (float(error) / max(float(signal), 1e-30), macs)
    return found


def _round_trip(graph: Any, name: str, out: str, given: tuple[float, int], form: Int8Form) -> None:
    import numpy as np
    from onnx import helper, numpy_helper

    scale, zero_point = f"{out} scale", f"{out} zero point"
    graph.initializer.append(numpy_helper.from_array(np.asarray(given[0], np.float32), scale))
    graph.initializer.append(
        numpy_helper.from_array(np.asarray(given[1], form.activations), zero_point)
    )
    whole = [f"{out} integers"]
    graph.node.append(helper.make_node("QuantizeLinear", [name, scale, zero_point], whole))
    graph.node.append(helper.make_node("DequantizeLinear", [*whole, scale, zero_point], [out]))


def choose_float(
    index: GraphIndex,
    ranges: Ranges,
    form: Int8Form,
    feeds: Feeds,
    *,
    always: Sequence[str],
    budget: float,
    threads: int,
) -> FloatLayers:
    """Return the layers that gain most of float, beyond those that stay in it always.

    The noisiest are tried one by one in the whole model; then the best are kept together as long
    as the error falls. `budget` bounds them: below 1 a part of the multiply-accumulates, else a
    number of layers.
    """
    plan = plan_int8(index, always, ranges)
    noise = layer_noise(index, plan, ranges, form, feeds, threads=threads)
    total = sum(macs for _, macs in noise.values()) or 1.0
    errors = OutputError(index, ranges, form, feeds, threads)
    before = errors.of(always)
    worst = sorted(noise, key=lambda name: -noise[name][0])
    fitting = [n for n in worst if budget >= 1 or noise[n][1] / total <= budget][:_TRIED]
    alone = {name: errors.of([*always, name]) for name in fitting}
    least = _LEAST_GAIN * before
    names: list[str] = []
    now = before
    for name in sorted(alone, key=lambda name: alone[name]):
        if before - alone[name] < least or (budget >= 1 and len(names) >= int(budget)):
            break
        part = sum(noise[n][1] for n in (*names, name)) / total
        if budget < 1 and part > budget:
            continue
        error = alone[name] if not names else errors.of([*always, *names, name])
        if now - error >= least:
            names.append(name)
            now = error
    kept = sum(noise[name][1] for name in names) / total
    return FloatLayers(names=tuple(names), macs_part=kept, before=before, after=now)
