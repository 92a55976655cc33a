"""Other sizes of inputs: fixed where they were free, changed where nothing holds the old one."""

from pathlib import Path
from typing import Any

import made_networks
import numpy as np
import onnx
import pytest
from made_onnx import model, node, numbers, value
from made_transformer import feeds, passed, run, transformer

from edge.errors import ModelError


def written(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "given.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def shapes(values: Any) -> dict[str, list[int]]:
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def picture(size: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(0).random((1, 3, size, size), np.float32)}


def test_a_convolutional_network_takes_a_smaller_picture(tmp_path: Path) -> None:
    before = written(made_networks.squeeze_excite(), tmp_path)
    path, notes = passed("input_size", before, tmp_path / "out", shape={"x": [1, 3, 4, 4]})
    assert notes == ["x is 1x3x4x4 now (1x3x6x6 before): data has to be prepared at this size"]
    graph = onnx.load(path).graph
    assert (shapes(graph.input), shapes(graph.output)) == ({"x": [1, 3, 4, 4]}, {"t9": [1, 4]})
    # The same weights: a picture of 4 by 4 gives what the graph with that input gives.
    free = made_networks.squeeze_excite()
    free.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"
    free.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "w"
    (wanted,) = run(written(free, tmp_path), picture(4))
    np.testing.assert_allclose(run(path, picture(4))[0], wanted, rtol=1e-5, atol=1e-6)


def test_a_free_sequence_becomes_fixed_and_other_inputs_follow(tmp_path: Path) -> None:
    before = transformer(tmp_path, "length")
    shape = {"x": [1, 4, 32]}
    path, notes = passed("input_size", before, tmp_path / "out", shape=shape)
    graph = onnx.load(path).graph
    assert shapes(graph.input) == {"x": [1, 4, 32], "mask": [1, 1, 1, 4]}
    assert shapes(graph.output) == {"y": [1, 4, 32]}
    (note,) = notes
    assert note == (
        "x is 1x4x32 now (1xfreex32 before); mask is 1x1x1x4 now (1x1x1xfree before): data has to "
        "be prepared at this size"
    )
    (wanted,), (got,) = run(before, feeds(4)), run(path, feeds(4))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_what_was_computed_from_shapes_is_gone(tmp_path: Path) -> None:
    nodes = [
        node("Shape", ["x"], "s"),
        node("Gather", ["s", "first"], "g"),
        node("Concat", ["g", "minus"], "target", axis=0),
        node("Reshape", ["x", "target"], "y"),
    ]
    weights = [numbers("first", [0]), numbers("minus", [-1])]
    proto = model(nodes, [value("x", ["n", 3, "h"])], weights, [value("y", ["n", "rest"])])
    path, _ = passed(
        "input_size", written(proto, tmp_path), tmp_path / "out", shape={"x": [2, 3, 5]}
    )
    graph = onnx.load(path).graph
    assert [n.op_type for n in graph.node] == ["Reshape"]
    assert shapes(graph.output) == {"y": [2, 15]}


def test_a_pool_over_the_whole_picture_becomes_a_global_one(tmp_path: Path) -> None:
    net = made_networks.Network()
    pooled = net.add("AveragePool", net.conv("x", 3, 8), kernel_shape=[6, 6])
    last = net.add("MatMul", net.add("Flatten", pooled), net.weight(8, 4))
    before = written(net.model(last), tmp_path)
    path, notes = passed("input_size", before, tmp_path / "out", shape={"x": [1, 3, 4, 4]})
    assert "GlobalAveragePool" in [n.op_type for n in onnx.load(path).graph.node]
    assert notes[1:] == ["1 pools over the whole of their input became global ones"]
    assert run(path, picture(4))[0].shape == (1, 4)


def test_outputs_that_follow_the_input_are_told(tmp_path: Path) -> None:
    net = made_networks.Network()
    proto = net.model(net.add("Relu", net.conv("x", 3, 8)))
    del proto.graph.output[:]
    proto.graph.output.append(value("t1", [1, 8, 6, 6]))
    path, notes = passed(
        "input_size", written(proto, tmp_path), tmp_path / "out", shape={"x": [1, 3, 4, 4]}
    )
    assert notes[1:] == ["the output t1 is 1x8x4x4 now (1x8x6x6 before)"]
    assert shapes(onnx.load(path).graph.output) == {"t1": [1, 8, 4, 4]}


def flat() -> onnx.ModelProto:
    """Take places for samples where the picture is smaller."""
    net = made_networks.Network()
    proto = net.model(net.add("Reshape", net.conv("x", 3, 8), net.numbers(-1, 32)))
    del proto.graph.output[:]
    proto.graph.output.append(value("t1", [9, 32]))
    return proto


def resized() -> onnx.ModelProto:
    net = made_networks.Network()
    small = net.add("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    last = net.add("Resize", small, "", "", net.numbers(1, 3, 6, 6))
    net.nodes[-1].name = "up"
    return net.model(last)


def tokens() -> onnx.ModelProto:
    net = made_networks.Network()
    last = net.add("Reshape", net.conv("x", 3, 4), net.numbers(1, 4, 36))
    net.nodes[-1].name = "tokens"
    return net.model(last)


@pytest.mark.parametrize(
    ("proto", "what"),
    [
        (made_networks.flatten(), "ONNX Runtime does not take it: "),
        (flat(), "at this size its output t1 is 4x32: a constant holds the size"),
        (resized(), "up resizes to 6x6, whatever the input is"),
        (tokens(), "tokens reshapes to 1x4x36, whatever the input is"),
    ],
)
def test_constants_of_the_old_size_are_refused(
    tmp_path: Path, proto: onnx.ModelProto, what: str
) -> None:
    with pytest.raises(ModelError) as caught:
        passed("input_size", written(proto, tmp_path), tmp_path / "out", shape={"x": [1, 3, 4, 4]})
    assert caught.value.what.startswith(what)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        (None, "no shape was given to make the inputs smaller to"),
        ({"z": [1]}, "the model has no input z"),
        ({"x": [1, 3]}, "the input x has another rank than its new shape"),
        ({"x": [1, 0, 32]}, "the input x has a free dimension that is not given"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(tmp_path: Path, shape: object, what: str) -> None:
    with pytest.raises(ModelError) as caught:
        passed("input_size", transformer(tmp_path, "length"), tmp_path / "out", shape=shape)
    assert caught.value.what == what
