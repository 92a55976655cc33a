"""The skeleton: the same structure, without large contents."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_onnx import FLOAT, empty, model, node, numbers, value
from onnx import TensorProto, helper, numpy_helper

from edge.errors import ModelError
from edge.formats.onnx_skeleton import Skeleton, read_skeleton
from edge.formats.wire import Window


@contextmanager
def _window(content: bytes) -> Iterator[Window]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield Window(file.fileno(), len(content))


def _skeleton(content: bytes | onnx.ModelProto) -> Skeleton:
    raw = content if isinstance(content, bytes) else content.SerializeToString()
    with _window(raw) as window:
        return read_skeleton(window)


def _parsed(skeleton: Skeleton) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(skeleton.content)


def test_large_contents_go_and_small_ones_stay() -> None:
    small, large = numbers("small", [7, 8, 9]), empty("large", [1000, 1000])
    typed = helper.make_tensor("typed", FLOAT, [2000], [0.5] * 2000)
    inner = node("Constant", [], "c", value=empty("", [1000]))
    branch = helper.make_graph([inner], "b", [], [value("c", None)], [empty("deep", [999])])
    proto = model(
        [node("If", ["x"], then_branch=branch, else_branch=branch), node("Relu", ["x"], "r")],
        [value("x", [1])], [small, large, typed], doc_string="d" * 5000,
    )  # fmt: skip
    skeleton = _skeleton(proto)
    result = _parsed(skeleton)
    assert len(skeleton.content) < 1500
    assert skeleton.tensor_bytes == 4_000_000 + 8000 + 2 * (4000 + 3996)
    assert [list(t.dims) for t in result.graph.initializer] == [[3], [1000, 1000], [2000]]
    assert numpy_helper.to_array(result.graph.initializer[0]).tolist() == [7, 8, 9]
    assert not result.graph.initializer[1].raw_data
    assert not result.graph.initializer[2].float_data
    found = result.graph.node[0].attribute[0].g
    assert [n.op_type for n in result.graph.node] == ["If", "Relu"]
    assert (list(found.initializer[0].dims), found.initializer[0].raw_data) == ([999], b"")
    assert not found.node[0].attribute[0].t.raw_data
    assert result.doc_string == ""


def test_sparse_weights_functions_and_metadata() -> None:
    sparse = onnx.SparseTensorProto(
        values=empty("s", [3000]), indices=empty("", [3000], TensorProto.INT64), dims=[9999]
    )
    body = helper.make_function(
        "local", "F", ["a"], ["b"], [node("Constant", [], "b", value=empty("", [5000]))],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    proto = model([node("F", ["x"], domain="local")], [value("x", [1])], functions=[body])
    proto.graph.sparse_initializer.append(sparse)
    proto.metadata_props.add(key="a", value="b" * 10_000)
    skeleton = _skeleton(proto)
    result = _parsed(skeleton)
    assert len(skeleton.content) < 500
    assert skeleton.tensor_bytes == 12_000 + 24_000 + 20_000
    assert list(result.graph.sparse_initializer[0].values.dims) == [3000]
    assert result.functions[0].node[0].op_type == "Constant"


@pytest.mark.parametrize("count", [1000, 5000, 200_000])
def test_long_attribute_lists_are_counted(count: int) -> None:
    values = [((i * 7919) % 4_000_000_000) - 2**40 * (i % 3) for i in range(count)]
    trees = node(
        "TreeEnsembleRegressor", ["x"], domain="ai.onnx.ml", nodes_values=[0.1] * count,
        nodes_nodeids=values, aggregate_function="SUM",
    )  # fmt: skip
    skeleton = _skeleton(model([trees], [value("x", [1, 4])]))
    names = {a.name: a for a in _parsed(skeleton).graph.node[0].attribute}
    assert skeleton.list_floats == count
    assert skeleton.list_bytes == 4 * count + 8 * count
    assert len(skeleton.content) < 400
    assert names["aggregate_function"].s == b"SUM"


def test_unpacked_numbers_of_a_tensor_are_passed_over() -> None:
    # Old writers gave every element a field of its own (proto2 without packed).
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[30_000]).SerializeToString()
    content = tensor + b"".join(b"\x25" + np.float32(i).tobytes() for i in range(30_000))
    graph = b"\x2a" + _varint(len(content)) + content
    skeleton = _skeleton(b"\x08\x08" + b"\x3a" + _varint(len(graph)) + graph)
    assert skeleton.tensor_bytes == 120_000
    assert list(_parsed(skeleton).graph.initializer[0].dims) == [30_000]


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def test_graphs_in_graphs_without_end() -> None:
    graph = b""
    for _ in range(200):
        attribute = b"\x32" + _varint(len(graph)) + graph
        inner = b"\x2a" + _varint(len(attribute)) + attribute
        graph = b"\x0a" + _varint(len(inner)) + inner
        graph += b"\x12\x41" + b"n" * 65
    with pytest.raises(ModelError, match="nested more than 30 deep"):
        _skeleton(b"\x08\x08\x3a" + _varint(len(graph)) + graph)


def test_cut_off_inside() -> None:
    whole = model([node("Relu", ["x"])], [value("x", [1])]).SerializeToString()
    with pytest.raises(ModelError, match="damaged or was cut off"):
        _skeleton(whole[:-3])


_tensors = st.builds(
    lambda name, size, kind: empty(name, [size], kind),
    st.text(max_size=5),
    st.integers(0, 600),
    st.sampled_from([FLOAT, TensorProto.INT64, TensorProto.INT8]),
)
_nodes = st.builds(
    lambda op, ins, n, t: node(op, ins, "y", number=n, tensor=t),
    st.sampled_from(["Relu", "Conv", "Foo"]),
    st.lists(st.text(max_size=4), max_size=3),
    st.integers(-(2**62), 2**62),
    _tensors,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_nodes, min_size=1, max_size=6), st.lists(_tensors, max_size=6))
def test_only_large_contents_differ(
    nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]
) -> None:
    proto = model(nodes, [value("x", ["n", 2])], weights)
    result = _parsed(_skeleton(proto))
    every = [*proto.graph.initializer, *(n.attribute[1].t for n in proto.graph.node)]
    for tensor in every:
        if len(tensor.raw_data) > 1024:
            tensor.ClearField("raw_data")
    assert result == proto


def test_reading_forwards_and_backwards() -> None:
    with _window(bytes(range(256)) * 1024) as window:
        assert window.read(200_000, 200_004) == bytes([64, 65, 66, 67])
        assert window.read(0, 2) == b"\x00\x01"
