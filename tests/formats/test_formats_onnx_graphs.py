"""Shapes, subgraphs, bytes, memory and parameters of ONNX graphs."""

from pathlib import Path

import onnx
import pytest
from made_onnx import INT64, empty, model, node, numbers, one, read, value
from onnx import TensorProto, helper

from edge.errors import ModelError, UsageError

BOOL = TensorProto.BOOL


def _chain() -> onnx.ModelProto:
    """Shape -> Gather -> Concat -> Reshape -> MatMul: what exporters write for flatten."""
    nodes = [
        node("Shape", ["x"], "s"),
        node("Gather", ["s", "zero"], "n", axis=0),
        node("Constant", [], "rest", value=numbers("", [-1])),
        node("Concat", ["n", "rest"], "target", axis=0),
        node("Reshape", ["x", "target"], "flat"),
        node("MatMul", ["flat", "w"], "y"),
    ]
    weights = [numbers("zero", [0]), empty("w", [12, 5])]
    return model(nodes, [value("x", ["n", 3, 4])], weights)


def test_shapes_computed_in_the_graph(tmp_path: Path) -> None:
    info = read(_chain(), tmp_path, {"x": (2, 3, 4)})
    assert info.macs == 2 * 12 * 5
    assert [str(o) for o in info.outputs] == ["y float32 2x5"]
    # A Constant is a weight, what follows from sizes alone is computed once.
    assert [(o.op_type, o.calls) for o in info.operators] == [
        ("Shape", 1), ("Gather", 1), ("Concat", 1), ("Reshape", 1), ("MatMul", 1),
    ]  # fmt: skip


def test_open_sizes_are_said_and_not_guessed(tmp_path: Path) -> None:
    info = read(_chain(), tmp_path)
    assert (info.macs, info.moved_bytes, info.peak_activation_bytes) == (None, None, None)
    hint = "input sizes are open, so costs and memory are not known: give --shape x=?,3,4"
    assert hint in info.risks


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1,)}, "--shape z: no such input"),
        ({"x": (2, 3)}, "--shape x: 2 sizes, but the input is nx3x4"),
        ({"x": (2, 3, 5)}, "--shape x: 2x3x5 does not fit nx3x4"),
        ({"x": (0, 3, 4)}, "--shape x: every size must be a positive number"),
    ],
)
def test_wrong_shapes(shapes: dict[str, tuple[int, ...]], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(_chain(), tmp_path, shapes)
    assert str(caught.value) == message


def test_one_name_is_one_size(tmp_path: Path) -> None:
    inputs = [value("a", ["n", 4]), value("b", ["n", 4])]
    proto = model([node("Add", ["a", "b"])], inputs)
    info = read(proto, tmp_path, {"a": (3, 4)})
    assert [str(i) for i in info.inputs] == ["a float32 3x4", "b float32 3x4"]
    with pytest.raises(UsageError, match="two sizes for 'n': 3 and 2"):
        read(proto, tmp_path, {"a": (3, 4), "b": (2, 4)})


def _branch(name: str, width: int) -> onnx.GraphProto:
    nodes = [
        node("MatMul", ["x", f"w_{name}"], f"m_{name}"),
        node("ReduceSum", [f"m_{name}"], f"r_{name}", keepdims=0),
    ]
    weight = empty(f"w_{name}", [4, width])
    return helper.make_graph(nodes, name, [], [value(f"r_{name}", None)], [weight])


def _if() -> onnx.ModelProto:
    nodes = [
        node("If", ["c"], "y", then_branch=_branch("a", 5), else_branch=_branch("b", 7), name="if")
    ]
    return model(nodes, [value("c", [], BOOL), value("x", [3, 4])])


def test_the_costlier_branch_counts_and_both_are_listed(tmp_path: Path) -> None:
    info = read(_if(), tmp_path)
    assert [(o.subgraph, o.op_type, o.calls, o.macs) for o in info.operators] == [
        ("", "If", 1, 0),
        ("/if/then_branch", "MatMul", 0, 60),
        ("/if/then_branch", "ReduceSum", 0, 0),
        ("/if/else_branch", "MatMul", 1, 84),
        ("/if/else_branch", "ReduceSum", 1, 0),
    ]
    assert info.macs == 84
    assert info.operator_count == 3
    assert info.parameters == 4 * 5 + 4 * 7
    assert "branches: the costlier one is counted, an inference may cost less" in info.risks
    # x, the condition, the larger branch's product and its sum.
    assert info.peak_activation_bytes == 3 * 4 * 4 + 1 + 3 * 7 * 4 + 4


def test_a_known_condition_takes_its_branch(tmp_path: Path) -> None:
    proto = _if()
    del proto.graph.input[0]
    proto.graph.initializer.append(helper.make_tensor("c", BOOL, [], [True]))
    assert read(proto, tmp_path).macs == 60


def test_a_branch_that_cannot_take_the_shapes_is_for_other_inputs(tmp_path: Path) -> None:
    proto = _if()
    (branch,) = [a.g for a in proto.graph.node[0].attribute if a.name == "else_branch"]
    weight = branch.initializer[0]
    weight.CopyFrom(empty(weight.name, [9, 7]))
    assert read(proto, tmp_path).macs == 60


def _loop(trips: list[onnx.TensorProto], *extra: onnx.ValueInfoProto) -> onnx.ModelProto:
    body = helper.make_graph(
        [node("MatMul", ["h", "w"], "h2"), node("Identity", ["go"], "go2")],
        "body",
        [value("i", [], INT64), value("go", [], BOOL), value("h", [3, 4])],
        [value("go2", [], BOOL), value("h2", [3, 4]), value("h2", [3, 4])],
    )
    nodes = [node("Loop", ["m", "", "x"], "last", "all", body=body, name="loop")]
    weights = [empty("w", [4, 4]), *trips]
    outputs = [value("last", None), value("all", None)]
    return model(nodes, [*extra, value("x", [3, 4])], weights, outputs)


def test_a_loop_multiplies(tmp_path: Path) -> None:
    info = read(_loop([helper.make_tensor("m", INT64, [], [6])]), tmp_path)
    assert info.macs == 6 * 3 * 4 * 4
    assert [str(o) for o in info.outputs] == ["last float32 3x4", "all float32 6x3x4"]


def test_a_loop_of_unknown_length_is_unknown(tmp_path: Path) -> None:
    info = read(_loop([], value("m", [], INT64)), tmp_path)
    assert info.macs is None
    assert [o.calls for o in info.operators] == [1, None, None]
    assert (
        "a loop runs as often as its data say: the cost of an inference is not known" in info.risks
    )


def test_a_scan_runs_along_its_axis(tmp_path: Path) -> None:
    body = helper.make_graph(
        [node("MatMul", ["e", "w"], "o")], "body", [value("e", None)], [value("o", None)]
    )
    nodes = [node("Scan", ["x"], "y", body=body, num_scan_inputs=1, scan_input_axes=[1])]
    info = read(model(nodes, [value("x", [3, 9, 4])], [empty("w", [4, 5])]), tmp_path)
    assert info.macs == 9 * 3 * 4 * 5
    assert [str(o) for o in info.outputs] == ["y float32 9x3x5"]


def test_functions_of_the_model_are_inlined(tmp_path: Path) -> None:
    body = helper.make_function(
        "local", "Twice", ["a", "b"], ["d"],
        [node("MatMul", ["a", "b"], "c"), node("MatMul", ["c", "b"], "d")],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    proto = model(
        [node("Twice", ["x", "w"], domain="local")], [value("x", [3, 4])], [empty("w", [4, 4])],
        opsets={"": 17, "local": 1}, functions=[body],
    )  # fmt: skip
    info = read(proto, tmp_path)
    assert [o.op_type for o in info.operators] == ["MatMul", "MatMul"]
    assert info.custom_operators == ()


def test_a_function_that_calls_itself(tmp_path: Path) -> None:
    body = helper.make_function(
        "local", "F", ["a"], ["b"], [node("F", ["a"], "b", domain="local")],
        [helper.make_opsetid("local", 1)],
    )  # fmt: skip
    proto = model([node("F", ["x"], domain="local")], [value("x", [1])], functions=[body])
    with pytest.raises(ModelError, match="its function F calls itself"):
        read(proto, tmp_path)


def test_bytes_are_counted_once_and_views_move_none(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", ["x", "flat"], "f"),
        node("Mul", ["f", "f"], "q"),
        node("Gather", ["table", "i"], "rows"),
        node("Add", ["rows", "b"], "y"),
    ]
    weights = [numbers("flat", [-1]), empty("table", [1000, 12]), empty("b", [12])]
    inputs = [value("x", [3, 4]), value("i", [2], INT64)]
    info = read(model(nodes, inputs, weights, [value("q", None), value("y", None)]), tmp_path)
    moved = {o.op_type: (o.input_bytes, o.weight_bytes, o.output_bytes) for o in info.operators}
    assert moved == {
        "Reshape": (0, 0, 0),
        "Mul": (48, 0, 48),
        "Gather": (16, 96, 96),
        "Add": (96, 48, 96),
    }
    # At the end: q stays, the rows, and y beside them; x has gone, f was x's memory.
    assert info.peak_activation_bytes == 48 + 96 + 96


def test_weights_made_at_load(tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", ["s"], "w"), node("MatMul", ["x", "w"], "y")]
    info = read(model(nodes, [value("x", [1, 4000])], [numbers("s", [4000, 5000])]), tmp_path)
    assert info.parameters == 20_000_000
    assert info.weights_bytes == 80_000_000 + 16
    assert info.stored_weights_bytes == 16
    assert info.macs == 20_000_000
    assert [o.calls for o in info.operators] == [0, 1]


def test_padding_made_at_load_is_no_weight(tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", ["s"], "pad"), node("Concat", ["x", "pad"], axis=1)]
    info = read(model(nodes, [value("x", [1, 40])], [numbers("s", [1, 60])]), tmp_path)
    assert (info.parameters, info.risks) == (0, ())


def test_opsets_versions_and_producer(tmp_path: Path) -> None:
    proto = model(
        [node("Relu", ["x"])], [value("x", [1])], opsets={"": 13, "ai.onnx.ml": 2},
        producer_name="py\ntorch", producer_version="2",
    )  # fmt: skip
    info = read(proto, tmp_path)
    assert [(o.domain, o.version) for o in info.opsets] == [("", 13), ("ai.onnx.ml", 2)]
    assert info.producer == "py\\ntorch 2"
    assert (info.format, info.ir_version) == ("onnx", 8)


def test_custom_operators_are_named(tmp_path: Path) -> None:
    nodes = [
        node("Mine", ["x"], "a", domain="org.example"),
        node("Gelu", ["a"], "b", domain="com.microsoft"),
        node("Normalizer", ["b"], "y", domain="ai.onnx.ml", norm="L2"),
    ]
    opsets = {"": 17, "org.example": 1, "com.microsoft": 1, "ai.onnx.ml": 3}
    info = read(model(nodes, [value("x", [1, 4])], opsets=opsets), tmp_path)
    assert info.custom_operators == ("org.example.Mine",)


def test_an_operator_that_onnx_does_not_have_is_custom(tmp_path: Path) -> None:
    info = read(model([node("Nonsense", ["x"])], [value("x", [1, 4])]), tmp_path)
    assert info.custom_operators == ("Nonsense",)


def test_shapes_that_an_operator_cannot_take_are_a_risk(tmp_path: Path) -> None:
    proto = model([node("MatMul", ["x", "w"], name="dense")], [value("x", ["n", 5])],
                  [empty("w", [4, 4])])  # fmt: skip
    info = read(proto, tmp_path, {"x": (1, 5)})
    assert "operators that cannot take the shapes which reach them: dense" in info.risks
    assert one(info, "MatMul").output_bytes is None


def test_a_tree_ensemble(tmp_path: Path) -> None:
    count = 30_000
    nodes = [
        node(
            "TreeEnsembleRegressor", ["x"], domain="ai.onnx.ml", n_targets=1,
            nodes_values=[0.5] * count, nodes_nodeids=list(range(count)), target_weights=[1.0] * 7,
        )
    ]  # fmt: skip
    opsets = {"": 17, "ai.onnx.ml": 3}
    info = read(model(nodes, [value("x", [1, 4])], opsets=opsets), tmp_path)
    assert info.looks_like == "tree ensemble"
    assert info.parameters == count + 7
    assert info.weights_bytes == 4 * (count + 7) + 8 * count
    assert (info.macs, info.precision) == (0, "fp32")


def test_string_and_sequence_values(tmp_path: Path) -> None:
    nodes = [
        node("LinearClassifier", ["x"], "label", "scores", domain="ai.onnx.ml",
             coefficients=[0.5] * 8, classlabels_strings=["a", "b"]),
        node("ZipMap", ["scores"], "map", domain="ai.onnx.ml", classlabels_strings=["a", "b"]),
    ]  # fmt: skip
    outputs = [value("label", None, TensorProto.STRING), onnx.ValueInfoProto(name="map")]
    opsets = {"": 17, "ai.onnx.ml": 3}
    info = read(model(nodes, [value("x", [1, 4])], (), outputs, opsets), tmp_path)
    assert info.macs == 8
    assert info.looks_like == "linear model"
    assert [spec.dtype for spec in info.outputs] == ["str", "sequence"]
