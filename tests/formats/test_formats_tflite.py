"""TFLite files: costs operator by operator, subgraphs, shapes, weights, damage."""

from pathlib import Path

import pytest
from made_tflite import (
    Graph,
    Operator,
    Tensor,
    call_once_options,
    if_options,
    read,
    transposed_first,
    while_options,
)

from edge.errors import ModelError, UsageError
from edge.formats.read import read_model


def _single(op_type: str, inputs: list[Tensor | None], output: Tensor, **more: object) -> Graph:
    tensors = [t for t in inputs if t is not None] + [output]
    places = [-1 if t is None else tensors.index(t) for t in inputs]
    last = len(tensors) - 1
    operator = Operator(op_type, places, [last], **more)  # type: ignore[arg-type]
    given = [i for i, t in enumerate(tensors[:-1]) if not t.stored]
    return Graph(tensors, [operator], given, [last])


def _x(*shape: int, dtype: str = "float32") -> Tensor:
    return Tensor("x", shape, dtype)


def _w(name: str, *shape: int, dtype: str = "float32") -> Tensor:
    return Tensor(name, shape, dtype, stored=True)


def _y(*shape: int, dtype: str = "float32") -> Tensor:
    return Tensor("y", shape, dtype)


LSTM = [_x(2, 3), *(_w(f"i{i}", 5, 3) for i in range(4)), *(_w(f"r{i}", 5, 5) for i in range(4)),
        *([None] * 3), *(_w(f"b{i}", 5) for i in range(4)), _w("p", 4, 5), None,
        Tensor("h", [2, 4], variable=True), Tensor("c", [2, 5], variable=True)]  # fmt: skip
CASES: dict[str, tuple[Graph, int | None, str]] = {
    "CONV_2D": (
        _single("CONV_2D", [_x(1, 10, 10, 6), _w("w", 8, 3, 3, 6), _w("b", 8)], _y(1, 8, 8, 8)),
        8 * 8 * 8 * 54, "dense",
    ),
    "CONV_2D with groups": (
        _single("CONV_2D", [_x(1, 10, 10, 6), _w("w", 8, 3, 3, 3), _w("b", 8)], _y(1, 8, 8, 8)),
        8 * 8 * 8 * 27, "dense",
    ),
    "DEPTHWISE_CONV_2D": (
        _single("DEPTHWISE_CONV_2D", [_x(1, 10, 10, 6), _w("w", 1, 3, 3, 12), _w("b", 12)],
                _y(1, 8, 8, 12)),
        8 * 8 * 12 * 9, "depthwise",
    ),
    "TRANSPOSE_CONV": (
        _single("TRANSPOSE_CONV", [_w("s", 4, dtype="int32"), _w("w", 5, 2, 2, 6), _x(1, 4, 4, 6)],
                _y(1, 8, 8, 5)),
        4 * 4 * 6 * 5 * 4, "dense",
    ),
    "Convolution2DTransposeBias": (
        _single("Convolution2DTransposeBias", [_x(1, 4, 4, 6), _w("w", 5, 2, 2, 6), _w("b", 5)],
                _y(1, 8, 8, 5)),
        4 * 4 * 6 * 5 * 4, "dense",
    ),
    "FULLY_CONNECTED": (
        _single("FULLY_CONNECTED", [_x(3, 4), _w("w", 5, 4), None], _y(3, 5)), 60, "matmul",
    ),
    "BATCH_MATMUL": (
        _single("BATCH_MATMUL", [_x(2, 3, 4), Tensor("z", [2, 4, 5])], _y(2, 3, 5)),
        120, "matmul",
    ),
    "BATCH_MATMUL, transposed": (
        _single("BATCH_MATMUL", [_x(2, 4, 3), Tensor("z", [2, 4, 5])], _y(2, 3, 5),
                options=transposed_first()),
        120, "matmul",
    ),
    "CONV_3D": (
        _single("CONV_3D", [_x(1, 6, 6, 6, 2), _w("w", 3, 3, 3, 2, 4), None], _y(1, 4, 4, 4, 4)),
        256 * 54, "dense",
    ),
    "LSTM": (_single("LSTM", LSTM, _y(2, 4)), 2 * (4 * 15 + 4 * 25 + 20), "recurrent"),
    "basic LSTM": (
        _single("LSTM", [_x(2, 3), Tensor("h", [2, 5]), _w("w", 20, 8), _w("b", 20),
                         Tensor("c", [2, 5])], _y(2, 5)),
        2 * 160, "recurrent",
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        _single("UNIDIRECTIONAL_SEQUENCE_LSTM", [_x(2, 7, 3), *LSTM[1:]], _y(2, 7, 4)),
        14 * (4 * 15 + 4 * 25 + 20), "recurrent",
    ),
    "SVDF": (
        _single("SVDF", [_x(2, 3), _w("f", 8, 3), _w("t", 8, 10), None,
                         Tensor("s", [2, 80], variable=True)], _y(2, 8)),
        2 * (24 + 80), "recurrent",
    ),
    "SOFTMAX": (_single("SOFTMAX", [_x(1, 9)], _y(1, 9)), 0, "elementwise"),
    "TFLite_Detection_PostProcess": (
        _single("TFLite_Detection_PostProcess", [_x(1, 9, 4)], _y(1, 2, 4)), 0, "elementwise",
    ),
    "Mine": (_single("Mine", [_x(1, 9)], _y(1, 9)), None, "elementwise"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_macs(name: str, tmp_path: Path) -> None:
    graph, macs, kind = CASES[name]
    (operator,) = read(tmp_path, graph).operators
    assert (operator.macs, operator.kind) == (macs, kind)


def test_facts(tmp_path: Path) -> None:
    graph = _single(
        "CONV_2D",
        [
            Tensor("x", [1, 10, 10, 6], "int8", scale=0.1),
            Tensor("w", [8, 3, 3, 6], "int8", stored=True, scale=0.1),
            Tensor("b", [8], "int32", stored=True, scale=0.01),
        ],
        Tensor("y", [1, 8, 8, 8], "int8", scale=0.1),
        version=3,
    )
    info = read(tmp_path, graph)
    assert (info.format, info.ir_version, info.opsets) == ("tflite", 3, ())
    assert info.producer == "made by a test"
    assert info.operator_versions == (("CONV_2D", 3),)
    assert [str(s) for s in (*info.inputs, *info.outputs)] == ["x int8 1x10x10x6", "y int8 1x8x8x8"]
    assert info.parameters == 8 * 54 + 8
    assert info.weights_bytes == info.stored_weights_bytes == 8 * 54 + 32
    assert info.precision == "int8"
    assert info.peak_activation_bytes == 600 + 512
    assert info.moved_bytes == 600 + 8 * 54 + 32 + 512


def test_float_activations_on_integer_weights_are_mixed(tmp_path: Path) -> None:
    graph = _single("FULLY_CONNECTED", [_x(3, 4), _w("w", 5, 4, dtype="int8"), None], _y(3, 5))
    assert read(tmp_path, graph).precision == "mixed"


def test_half_weights_are_widened_once(tmp_path: Path) -> None:
    tensors = [_w("h", 5, 4, dtype="float16"), Tensor("w", [5, 4]), _x(3, 4), _y(3, 5)]
    operators = [Operator("DEQUANTIZE", [0], [1]), Operator("FULLY_CONNECTED", [2, 1, -1], [3])]
    info = read(tmp_path, Graph(tensors, operators, [2], [3]))
    assert [o.calls for o in info.operators] == [0, 1]
    assert info.operators[1].weight_bytes == 80
    assert (info.stored_weights_bytes, info.weights_bytes, info.parameters) == (40, 120, 20)
    assert info.precision == "fp32"
    expected = "weights are stored as float16 and widened at load: they take twice their file size"
    assert expected in info.risks


def _fully(width: int, name: str) -> Graph:
    tensors = [_x(3, 4), _w("w", width, 4), _y(3, width)]
    return Graph(tensors, [Operator("FULLY_CONNECTED", [0, 1, -1], [2])], [0], [2], name)


def _calling(op_type: str, options: tuple[int, object]) -> Graph:
    tensors = [Tensor("c", [], "bool"), _x(3, 4), _y(3, 5)]
    operator = Operator(op_type, [0, 1], [2], options=options)  # type: ignore[arg-type]
    return Graph(tensors, [operator], [0, 1], [2])


def test_the_costlier_branch_counts(tmp_path: Path) -> None:
    graphs = (_calling("IF", if_options(1, 2)), _fully(5, "then"), _fully(7, "else"))
    info = read(tmp_path, *graphs)
    assert [(o.subgraph, o.calls, o.macs) for o in info.operators] == [
        ("", 1, 0), ("/IF_0/then", 0, 60), ("/IF_0/else", 1, 84),
    ]  # fmt: skip
    assert (info.macs, info.parameters) == (84, 48)


def test_a_while_runs_as_often_as_its_data_say(tmp_path: Path) -> None:
    graphs = (_calling("WHILE", while_options(1, 2)), _fully(5, "cond"), _fully(7, "body"))
    info = read(tmp_path, *graphs)
    assert info.macs is None
    assert [o.calls for o in info.operators] == [1, None, None]


def test_what_runs_once_or_never_is_listed_and_costs_nothing(tmp_path: Path) -> None:
    main = _fully(5, "main")
    main.operators = [*main.operators, Operator("CALL_ONCE", [], [], options=call_once_options(1))]
    info = read(tmp_path, main, _fully(7, "init"), _fully(9, "other"))
    assert [(o.subgraph, o.calls) for o in info.operators] == [
        ("", 1), ("", 1), ("/CALL_ONCE_1/once", 0), ("other", 0),
    ]  # fmt: skip
    assert info.macs == 60
    assert info.parameters == 4 * (5 + 7 + 9)


def test_a_subgraph_that_calls_itself(tmp_path: Path) -> None:
    graph = _calling("WHILE", while_options(0, 0))
    with pytest.raises(ModelError, match="a subgraph calls itself"):
        read(tmp_path, graph)


def _resizable() -> Graph:
    tensors = [
        Tensor("x", [1, 4], signature=[-1, 4]), _w("w", 5, 4), Tensor("m", [1, 5], signature=[-1, 5]),
        Tensor("y", [1, 5]),
    ]  # fmt: skip
    operators = [Operator("FULLY_CONNECTED", [0, 1, -1], [2]), Operator("RELU", [2], [3])]
    return Graph(tensors, operators, [0], [2])


def test_another_batch(tmp_path: Path) -> None:
    info = read(tmp_path, _resizable())
    assert info.macs == 20
    stored = "input sizes can be changed: all figures are for the stored ones (x=1,4)"
    assert info.risks == (stored,)
    info = read(tmp_path, _resizable(), shapes={"x": (3, 4)})
    assert [str(s) for s in (*info.inputs, *info.outputs)] == ["x float32 3x4", "m float32 3x5"]
    assert info.macs == 60
    # The last tensor does not say that its first size is the batch: it is not guessed.
    assert info.operators[1].output_bytes is None


def test_a_size_that_the_file_has_fixed(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, _resizable(), shapes={"x": (3, 5)})
    assert str(caught.value) == "--shape x: 3x5 does not fit ?x4"


def test_other_sizes_than_the_batch_are_not_followed(tmp_path: Path) -> None:
    tensors = [Tensor("x", [1, 4, 6], signature=[1, -1, 6]), Tensor("y", [1, 4, 6])]
    graph = Graph(tensors, [Operator("RELU", [0], [1])], [0], [1])
    info = read(tmp_path, graph, shapes={"x": (1, 8, 6)})
    assert info.operators[0].input_bytes == 8 * 6 * 4
    assert info.operators[0].output_bytes is None


def test_names_are_escaped_and_cut(tmp_path: Path) -> None:
    graph = _single("RELU", [Tensor("a\x1b[31m" + "b" * 9000, [1])], _y(1))
    (spec,) = read(tmp_path, graph).inputs
    assert spec.name.startswith("a\\x1b[31mb")
    assert len(spec.name) < 300


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (Graph([_x(1), _y(1)], [Operator("RELU", [0], [7])], [0], [1]), "uses no tensor"),
        (Graph([_x(1), _y(1)], [Operator("RELU", [-2], [1])], [0], [1]), "uses no tensor"),
        (Graph([_x(-5), _y(1)], [Operator("RELU", [0], [1])], [0], [1]), "a negative size"),
        (_calling("IF", if_options(5, 6)), "an operator calls no subgraph"),
    ],
)
def test_references_to_nothing(graph: Graph, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        read(tmp_path, graph)


def test_no_subgraph(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no subgraph"):
        read(tmp_path)


def test_random_bytes_behind_the_identifier(tmp_path: Path) -> None:
    path = tmp_path / "random.tflite"
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes((i * 97 + 13) % 256 for i in range(4000)))
    with pytest.raises(ModelError) as caught:
        read_model(path, {})
    assert "\n" not in str(caught.value)
