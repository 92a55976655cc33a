"""Damaged and hostile files: a model, or one ModelError; nothing else, and soon."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from made_onnx import FLOAT, INT64, empty, model, node, numbers, read, value
from made_tflite import Graph, Operator, Tensor, if_options, tflite_bytes
from onnx import TensorProto, helper

from edge.errors import ModelError
from edge.formats.read import read_model


def _onnx() -> bytes:
    body = helper.make_graph(
        [node("Add", ["h", "w"], "h2"), node("Identity", ["go"], "go2")], "body",
        [value("i", [], INT64), value("go", [], TensorProto.BOOL), value("h", [3, 4])],
        [value("go2", [], TensorProto.BOOL), value("h2", [3, 4])],
    )  # fmt: skip
    nodes = [
        node("Conv", ["x", "k"], "c", pads=[1, 1, 1, 1]),
        node("Shape", ["c"], "s"),
        node("Reshape", ["c", "target"], "r"),
        node("Loop", ["m", "", "r"], "y", body=body),
    ]
    weights = [
        empty("k", [2, 1, 3, 3]), empty("w", [4]), numbers("target", [3, 4]),
        helper.make_tensor("m", INT64, [], [3]),
    ]  # fmt: skip
    return model(nodes, [value("x", [1, 1, 2, 3])], weights).SerializeToString()


def _tflite() -> bytes:
    tensors = [
        Tensor("c", [], "bool"), Tensor("x", [1, 4, 4, 3]), Tensor("w", [2, 3, 3, 3], stored=True),
        Tensor("y", [1, 2, 2, 2]), Tensor("z", [1, 2, 2, 2]),
    ]  # fmt: skip
    operators = [
        Operator("CONV_2D", [1, 2, -1], [3]),
        Operator("IF", [0, 3], [4], options=if_options(1, 2)),
    ]
    main = Graph(tensors, operators, [0, 1], [4])
    side = Graph([Tensor("a", [8]), Tensor("b", [8])], [Operator("RELU", [0], [1])], [0], [1])
    return tflite_bytes(main, side, side)


def _damaged(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Walk over truncations, changed, inserted and overwritten bytes."""
    chance = random.Random(seed)
    words = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4), b"\x00\x00\x00\x80")
    for index in range(count):
        place = chance.randrange(len(content) - 4)
        changed = bytearray(content)
        if index % 4 == 0:
            changed = changed[:place]
        elif index % 4 == 1:
            changed[place] ^= 1 << chance.randrange(8)
        elif index % 4 == 2:
            changed[place:place] = bytes(chance.randrange(256) for _ in range(3))
        else:
            changed[place : place + 4] = chance.choice(words)
        yield bytes(changed)


@pytest.mark.parametrize(
    ("name", "content"), [("m.onnx", _onnx()), ("m.tflite", _tflite())], ids=["onnx", "tflite"]
)
def test_damaged_files_end_in_an_answer_or_a_model_error(
    name: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert read_model(path, {}).operators
    ends: Counter[str] = Counter()
    for damaged in _damaged(content, 400, seed=7):
        path.write_bytes(damaged)
        try:
            read_model(path, {})
            ends["answer"] += 1
        except ModelError as error:
            ends["two lines" if "\n" in str(error) else "ModelError"] += 1
    assert ends["two lines"] == 0
    assert ends["ModelError"] > 100
    assert ends["answer"] > 20


def test_every_truncation_of_a_small_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    content = model([node("Relu", ["x"])], [value("x", [1])]).SerializeToString()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError):
            read_model(path, {})


def _asking_for_gigabytes() -> onnx.ModelProto:
    huge = [numbers("n", [1 << 31, 4])]
    fill = helper.make_tensor("", INT64, [1], [1])
    nodes = [
        node("ConstantOfShape", ["n"], "a", value=fill),
        node("Tile", ["one", "n"], "b"),
        node("Expand", ["one", "n"], "c"),
        node("Range", ["zero", "end", "step"], "d"),
        node("Reshape", ["one", "d"], "e"),
    ]
    weights = [
        *huge, helper.make_tensor("one", INT64, [1, 1], [1]),
        *(helper.make_tensor(n, INT64, [], [v])
          for n, v in (("zero", 0), ("end", 1 << 40), ("step", 1))),
    ]  # fmt: skip
    outputs = [value(name, None, INT64) for name in "abcde"]
    return model(nodes, [], weights, outputs)


def test_a_small_file_that_asks_for_gigabytes_gets_none(tmp_path: Path) -> None:
    info = read(_asking_for_gigabytes(), tmp_path)
    sizes = {o.op_type: o.output_bytes for o in info.operators}
    assert sizes["ConstantOfShape"] == (1 << 31) * 4 * 8
    assert sizes["Range"] == (1 << 40) * 8


def test_loops_in_loops_are_numbers_not_time(tmp_path: Path) -> None:
    graph: onnx.GraphProto | None = None
    for depth in range(5):
        inner = node("Relu", [f"h{depth}"], f"o{depth}")
        if graph is not None:
            inner = node("Loop", ["m", "", f"h{depth}"], f"o{depth}", body=graph)
        graph = helper.make_graph(
            [inner, node("Identity", [f"go{depth}"], f"end{depth}")], "body",
            [value(f"i{depth}", [], INT64), value(f"go{depth}", [], TensorProto.BOOL),
             value(f"h{depth}", [4])],
            [value(f"end{depth}", [], TensorProto.BOOL), value(f"o{depth}", [4])],
        )  # fmt: skip
    nodes = [node("Loop", ["m", "", "x"], body=graph)]
    weights = [helper.make_tensor("m", INT64, [], [1 << 40])]
    info = read(model(nodes, [value("x", [4])], weights), tmp_path)
    assert max(o.calls or 0 for o in info.operators) == 1 << 200
    assert info.macs == 0


def test_functions_that_stand_for_billions_of_operators(tmp_path: Path) -> None:
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    functions = [
        helper.make_function("local", "F0", ["a"], ["b"], [node("Relu", ["a"], "b")], sets)
    ]
    for level in range(1, 31):
        twice = [
            node(f"F{level - 1}", ["a"], "m", domain="local"),
            node(f"F{level - 1}", ["m"], "b", domain="local"),
        ]
        functions.append(helper.make_function("local", f"F{level}", ["a"], ["b"], twice, sets))
    proto = model(
        [node("F30", ["x"], domain="local")], [value("x", [1])], opsets={"": 17, "local": 1},
        functions=functions,
    )  # fmt: skip
    with pytest.raises(ModelError, match="stand for more than 500000 operators"):
        read(proto, tmp_path)


def test_sizes_beyond_64_bits(tmp_path: Path) -> None:
    big = (1 << 62) + 1
    nodes = [node("MatMul", ["x", "w"]), node("Concat", ["x", "x"], "z", axis=1)]
    inputs = [value("x", [big, big]), value("w", [big, 3])]
    info = read(model(nodes, inputs, outputs=[value("y", None), value("z", None)]), tmp_path)
    assert info.operators[0].macs == big * big * 3


def test_weights_that_claim_more_than_the_file_has(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[1 << 40, 1 << 20])
    info = read(model([node("Relu", ["w"])], [], [tensor]), tmp_path)
    assert info.parameters == 1 << 60
    assert info.stored_weights_bytes == 0


def test_attributes_of_the_wrong_type(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], "a", group="many", kernel_shape=3),
        node("Gemm", ["x", "w"], "b", transA="yes"),
        node("Einsum", ["x", "w"], "c", equation=5),
        node("Scan", ["x"], "d", body=[1, 2], num_scan_inputs="one"),
        node("If", ["x"], "e", then_branch=1.5),
        node("Loop", [], "f", body="none"),
        node("Concat", ["x"], "g", axis=[1]),
        node("Attention", ["x", "w"], "h", domain="com.microsoft", qkv_hidden_sizes="abc"),
        node("LinearClassifier", ["x"], "i", "j", domain="ai.onnx.ml", coefficients=7),
        node("MatMulNBits", ["x", "w"], "k", domain="com.microsoft", N="n"),
        node("Slice", ["s"], "l", starts=1, ends="x"),
        node("Constant", [], "m", value_ints="x"),
    ]  # fmt: skip
    weights = [empty("w", [8, 3, 3, 3]), numbers("s", [1, 2, 3])]
    opsets = {"": 9, "com.microsoft": 1, "ai.onnx.ml": 2}
    info = read(model(nodes, [value("x", [1, 3, 8, 8])], weights, opsets=opsets), tmp_path)
    assert len(info.operators) == 11


def test_a_million_tensors_that_are_not_there(tmp_path: Path) -> None:
    content = bytearray(_tflite())
    path = tmp_path / "m.tflite"
    messages = set()
    # Every aligned word in turn claims to be four billion.
    for place in range(8, len(content) - 4, 4):
        damaged = bytearray(content)
        damaged[place : place + 4] = b"\xf0\xff\xff\xff"
        path.write_bytes(damaged)
        try:
            read_model(path, {})
        except ModelError as error:
            messages.add(error.what)
    assert any("it claims 4294967280" in message for message in messages)
