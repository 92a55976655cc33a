from pathlib import Path

import numpy as np
import onnx
import pytest
from made_onnx import FLOAT, empty, model, node, numbers, value
from made_transformer import feeds, run, transformer
from onnx import helper, numpy_helper

from edge.errors import ModelError
from edge.passes import _graph
from edge.passes._graph import (
    add_constant,
    all_nodes,
    constants,
    drop_unused,
    free_name,
    read_graph,
    replace_node,
    write_graph,
)


def test_large_weights_go_into_a_file_beside_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = transformer(tmp_path)
    wanted = run(path, feeds())
    monkeypatch.setattr(_graph, "LARGEST_SINGLE_BYTES", 1000)
    folder = tmp_path / "written"
    folder.mkdir()
    assert write_graph(read_graph(path), folder, "model.onnx") == "model.onnx"
    assert sorted(entry.name for entry in folder.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert np.array_equal(run(folder / "model.onnx", feeds())[0], wanted[0])
    again = read_graph(folder / "model.onnx")
    assert np.array_equal(constants(again)["w1"](), constants(read_graph(path))["w1"]())
    assert [(p.key, p.value) for p in again.metadata_props] == [("characters", "abc")]
    bare = read_graph(folder / "model.onnx", weights=False)
    assert bare.ByteSize() < 10_000 < again.ByteSize()


def test_functions_are_inlined(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 17)]
    body = helper.make_function(
        "own", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], "b")], opsets
    )
    proto = model(
        [helper.make_node("Twice", ["x"], ["y"], domain="own")],
        [value("x", [2])],
        opsets={"": 17, "own": 1},
        functions=[body],
    )
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    assert [n.op_type for n in read_graph(tmp_path / "model.onnx").graph.node] == ["Add"]


def test_what_is_no_onnx_file_is_told(tmp_path: Path) -> None:
    path = Path("models/digits-cnn/digits-cnn-fp32.tflite")
    with pytest.raises(ModelError) as raised:
        read_graph(path)
    assert str(raised.value) == f"{path}: not an ONNX file, and this pass is for ONNX files"


def test_constants_are_initialisers_and_constant_nodes() -> None:
    array = numpy_helper.from_array(np.array([3.0], np.float32))
    proto = model(
        [node("Constant", [], "c", value=array), node("Add", ["x", "c"])],
        [value("x", [1])],
        [empty("w", [2])],
    )
    known = constants(proto)
    assert sorted(known) == ["c", "w"]
    assert known["c"]().tolist() == [3.0]


def test_names_are_free_in_every_graph() -> None:
    inner = helper.make_graph([node("Neg", ["x"], "inside")], "t", [], [value("inside", [1])])
    branch = node("If", ["p"], "y", then_branch=inner, else_branch=inner)
    proto = model([branch], [value("p", [], onnx.TensorProto.BOOL), value("x", [1])])
    assert free_name(proto, "inside") == "inside_2"
    assert free_name(proto, "fresh") == "fresh"
    assert add_constant(proto, "x", np.zeros(1, np.float32)) == "x_2"
    assert [n.op_type for n in all_nodes(proto.graph)] == ["If", "Neg", "Neg"]


def test_a_node_is_replaced_where_it_stands() -> None:
    proto = model([node("Neg", ["x"], "a"), node("Abs", ["a"], "y")], [value("x", [1])])
    news = [node("Exp", ["x"], "b"), node("Log", ["b"], "a")]
    replace_node(proto, proto.graph.node[0], news)
    assert [n.op_type for n in proto.graph.node] == ["Exp", "Log", "Abs"]


def test_what_nothing_needs_is_dropped_but_no_default_of_an_input() -> None:
    proto = model(
        [node("Neg", ["x"], "unused"), node("Reshape", ["x", "sizes"], "y")],
        [value("x", [1]), value("given", [2], FLOAT)],
        [numbers("sizes", [1]), empty("given", [2]), empty("idle", [2])],
    )
    drop_unused(proto)
    assert [n.op_type for n in proto.graph.node] == ["Reshape"]
    assert [t.name for t in proto.graph.initializer] == ["sizes", "given"]
