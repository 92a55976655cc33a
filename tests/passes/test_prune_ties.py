"""Which channels hang together, and that cutting them out is exact."""

import functools

import made_networks
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_onnx import model, node, value

from edge.passes._activations import open_session, run, shapes_of
from edge.passes._channel_cut import cut, silenced
from edge.passes._channels import Channels, find_channels
from edge.passes._graph import constants

FEEDS = {"x": np.random.default_rng(7).uniform(-1, 1, (1, 3, 6, 6)).astype(np.float32)}


def look(proto: onnx.ModelProto) -> Channels:
    return find_channels(proto, shapes_of(proto, FEEDS, 1), constants(proto))


@functools.cache
def looked(name: str) -> Channels:
    return look(made_networks.NETWORKS[name]())


def free_roots(found: Channels) -> np.ndarray:
    return np.unique(found.ties.roots()[~found.ties.kept()])


def only(proto: onnx.ModelProto) -> np.ndarray:
    (output,) = run(open_session(proto, 1), FEEDS)
    return output


def muted(found: Channels, gone: np.ndarray) -> onnx.ModelProto:
    """The original with zeros in all that makes the channels that are gone."""
    proto = onnx.ModelProto()
    proto.CopyFrom(found.model)
    named = {tensor.name: tensor for tensor in proto.graph.initializer}
    for part in found.slices:
        if part.role != "uses":
            tensor = named[found.model.graph.node[part.node].input[part.slot]]
            values = np.array(onnx.numpy_helper.to_array(tensor))
            np.moveaxis(values, part.axis, 0)[gone[part.ids]] = 0
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return proto


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("residual", 14),
        ("depthwise", 8),
        # 5, 7 and 2 constant ones, tied to the 14 of the other branch.
        ("concat", 14),
        ("flatten", 16),
        ("squeeze-excite", 12),
        ("split", 10),
        ("normalised", 20),
        ("transposed", 14),
    ],
)
def test_what_is_tied_goes_together(name: str, classes: int) -> None:
    assert len(free_roots(looked(name))) == classes
    # Nothing but the output holds channels.
    assert looked(name).barriers == {"an output": 1}


@pytest.mark.parametrize("name", made_networks.NETWORKS)
@settings(max_examples=12)
@given(data=st.data())
def test_without_channels_of_zeros_the_outputs_are_the_same(name: str, data: st.DataObject) -> None:
    found = looked(name)
    roots = free_roots(found)
    picked = data.draw(st.sets(st.sampled_from(roots.tolist()), max_size=len(roots)))
    gone = np.isin(found.ties.roots(), list(picked))
    for part in found.slices:
        # One channel of each layer stays.
        if gone[part.ids].all():
            gone &= found.ties.roots() != found.ties.roots()[part.ids[0]]
    quiet = muted(found, gone)
    less = cut(found, found.model, gone)
    np.testing.assert_allclose(only(less), only(quiet), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", made_networks.NETWORKS)
def test_unheard_channels_can_be_cut(name: str) -> None:
    found = looked(name)
    gone = np.isin(found.ties.roots(), free_roots(found)[::3])
    quiet = silenced(found, gone)
    less = cut(found, quiet, gone)
    np.testing.assert_allclose(only(less), only(quiet), rtol=1e-5, atol=1e-5)
    assert not np.allclose(only(less), only(found.model), atol=1e-3)
    assert less.ByteSize() < found.model.ByteSize()


BARRIERS = {
    "Softmax": ("Softmax", {"axis": 1}),
    "LpNormalization": ("LpNormalization", {"axis": 1}),
    "ReduceMean": ("ReduceMean", {"axes": [1]}),
    "Shape": ("Shape", {}),
}


@pytest.mark.parametrize("name", BARRIERS)
def test_what_mixes_channels_keeps_them(name: str) -> None:
    op_type, attributes = BARRIERS[name]
    net = made_networks.Network()
    last = net.add(op_type, net.add("Relu", net.conv("x", 3, 8)), **attributes)
    found = look(net.model(last))
    assert found.barriers[name] == 1
    assert len(free_roots(found)) == 0


def test_a_grouped_convolution_keeps_its_inputs() -> None:
    net = made_networks.Network()
    last = net.conv(net.conv("x", 3, 8), 4, 8, group=2)
    found = look(net.model(net.conv(last, 8, 4)))
    assert found.barriers == {"grouped Conv": 1, "an output": 1}
    assert len(free_roots(found)) == 0


def test_heads_of_attention_stay_whole() -> None:
    net = made_networks.Network()
    flat = net.add("Reshape", "x", net.numbers(1, 36, 3))
    wide = net.add("MatMul", flat, net.weight(3, 8))
    heads = net.add("Reshape", wide, net.numbers(1, 36, 2, 4))
    found = look(net.model(heads))
    assert found.barriers == {"Reshape": 1}
    assert len(free_roots(found)) == 0


def test_a_branch_that_reads_channels_keeps_them() -> None:
    net = made_networks.Network()
    inner = net.conv("x", 3, 8)
    branch = onnx.helper.make_graph([node("Relu", [inner], "b")], "b", [], [value("b", None)])
    net.weights.append(onnx.numpy_helper.from_array(np.array(object=True), "yes"))
    last = net.add("If", "yes", then_branch=branch, else_branch=branch)
    proto = model(net.nodes, [value("x", [1, 3, 6, 6])], net.weights, [value(last, None)])
    found = look(proto)
    assert found.barriers == {"If": 1}
    assert len(free_roots(found)) == 0
