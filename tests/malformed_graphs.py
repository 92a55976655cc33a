"""Malformed models that no tool makes: graphs, references to files outside, and subgraphs of TFLite."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import onnx
from made_onnx import FLOAT, INT64, empty, model, node, numbers, value
from made_tflite import Graph, Operator, Tensor, if_options, tflite_bytes, while_options
from onnx import TensorProto, helper

HUGE = (1 << 62, (1 << 63) - 1, 1 << 32, (1 << 31) - 1, -1, -(1 << 63), 0)

Write = Callable[[Path], Path]
Case = tuple[str, Write]


def written(content: bytes, name: str = "m.onnx") -> Write:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return write


def _proto(name: str, proto: onnx.ModelProto) -> Case:
    return f"graph: {name}", written(proto.SerializeToString())


def onnx_graphs() -> Iterator[Case]:
    relu = node("Relu", ["x"])
    inputs = [value("x", [1, 4])]
    yield from _sizes()
    yield _proto("no nodes", onnx.ModelProto(ir_version=8))
    yield _proto("a cycle of one", model([node("Add", ["x", "y"])], inputs))
    yield _proto("a cycle", model([node("Relu", ["b"], "a"), node("Relu", ["a"], "b")], inputs))
    yield _proto("the wrong order", model([node("Relu", ["a"]), node("Relu", ["x"], "a")], inputs))
    yield _proto("a value made twice", model([relu, node("Neg", ["x"])], inputs))
    yield _proto("an input made again", model([node("Relu", ["x"], "x")], inputs))
    yield _proto("two inputs of a name", model([relu], inputs * 2))
    yield _proto(
        "two weights of a name", model([node("Add", ["x", "w"])], inputs, [empty("w", [4])] * 2)
    )
    yield _proto("an input that is missing", model([node("Add", ["x", "nobody"])], inputs))
    yield _proto("an output that is missing", model([relu], inputs, (), [value("z", [1])]))
    yield _proto("no inputs for an operator", model([node("Conv", [])], inputs))
    yield _proto("too many inputs", model([node("Relu", ["x"] * 50)], inputs))
    yield _proto(
        "an empty output name", model([node("Relu", ["x"], "")], inputs, (), [value("", [1])])
    )
    yield _proto("control characters", model([node("Relu\x1b[31m", ["x"], "y\n\x00")], inputs))
    yield _proto("a long name", model([node("R" * 100_000, ["x"], "y" * 100_000)], inputs))
    for domain in ("com.nobody", "ai.onnx.ml", "com.microsoft", "\x1b[2J"):
        yield _proto(
            f"operator of {domain!a}", model([node("Nothing", ["x"], domain=domain)], inputs)
        )
    for opset in (0, -1, 1, 9999, 1 << 62):
        yield _proto(f"opset {opset}", model([relu], inputs, opsets={"": opset}))
    yield _proto("no opset", model([relu], inputs, opsets={"com.nobody": 1}))
    for version in (0, -1, 99, 1 << 40):
        made = model([relu], inputs)
        made.ir_version = version
        yield _proto(f"IR version {version}", made)
    for kind in (0, 8, 14, 16, 17, 23, 99, -1, (1 << 31) - 1):
        typed = value("x", [1, 4])
        typed.type.tensor_type.elem_type = kind
        yield _proto(f"element type {kind}", model([relu], [typed]))
        weight = TensorProto(name="w", data_type=kind, dims=[4], raw_data=bytes(16))
        yield _proto(f"weight of type {kind}", model([node("Add", ["x", "w"])], inputs, [weight]))
    yield from _wrong_shapes(inputs)
    yield from _nested()
    yield from _functions()
    for length in (0, 1, 15, 17, 4096):
        weight = TensorProto(name="w", data_type=FLOAT, dims=[4], raw_data=bytes(length))
        yield _proto(f"{length} bytes for 16", model([node("Add", ["x", "w"])], inputs, [weight]))
    for op, attributes in (
        ("Conv", {"pads": [-(1 << 62)] * 4}), ("Conv", {"strides": [0, 0]}),
        ("Conv", {"dilations": [1 << 62, 1 << 62]}), ("Conv", {"group": 0}), ("Conv", {"group": -3}),
        ("Conv", {"kernel_shape": [1 << 62] * 2}), ("MaxPool", {"kernel_shape": [0, 0]}),
        ("MaxPool", {"kernel_shape": [1 << 62, 1]}), ("Transpose", {"perm": [9, 9, 9]}),
        ("Transpose", {"perm": [-1, 1 << 62]}), ("Softmax", {"axis": 1 << 62}),
        ("Flatten", {"axis": -99}), ("Concat", {"axis": "a"}), ("Gather", {"axis": 7}),
        ("LRN", {"size": 1 << 62}), ("Cast", {"to": 99}), ("DepthToSpace", {"blocksize": 0}),
        ("Resize", {"mode": "\x00"}), ("Split", {"num_outputs": 1 << 40}),
    ):  # fmt: skip
        picture = [value("x", [1, 2, 8, 8]), value("k", [2, 2, 3, 3])]
        yield _proto(
            f"{op} with {attributes}", model([node(op, ["x", "k"], **attributes)], picture)
        )


def _sizes() -> Iterator[Case]:
    """Give sizes that no machine has, in every place where a size can stand."""
    for size in HUGE:
        for shape in ([size], [size, 4], [size, size, size]):
            text = f"{size} of {len(shape)}"
            yield _proto(f"input {text}", model([node("Relu", ["x"])], [value("x", shape)]))
            weight = TensorProto(name="w", data_type=FLOAT, dims=shape)
            inputs = [value("x", [1, 4])]
            yield _proto(f"weight {text}", model([node("Add", ["x", "w"])], inputs, [weight]))
        nodes = {
            "Reshape": node("Reshape", ["x", "n"]), "Expand": node("Expand", ["x", "n"]),
            "Tile": node("Tile", ["x", "n"]), "ConstantOfShape": node("ConstantOfShape", ["n"]),
            "Slice": node("Slice", ["x", "n", "n"]), "Pad": node("Pad", ["x", "n"]),
            "Unsqueeze": node("Unsqueeze", ["x", "n"]), "TopK": node("TopK", ["x", "n"], "y", "z"),
            "Range": node("Range", ["n", "n", "n"]), "OneHot": node("OneHot", ["n", "n", "x"]),
        }  # fmt: skip
        for op, made in nodes.items():
            target = [numbers("n", [size, size])]
            yield _proto(f"{op} to {size}", model([made], [value("x", [1, 4])], target))


def _wrong_shapes(inputs: Sequence[onnx.ValueInfoProto]) -> Iterator[Case]:
    for op, shape in (
        ("MatMul", [5, 3]), ("Add", [3]), ("Concat", [2, 2, 2]), ("Conv", [1, 1, 3, 3]),
        ("Gemm", [7, 7]), ("Gather", []), ("Where", [9]), ("ConvTranspose", [2]),
    ):  # fmt: skip
        made = model(
            [node(op, ["x", "w"], **({"axis": 0} if op == "Concat" else {}))],
            inputs,
            [empty("w", shape)],
        )
        yield _proto(f"{op} of the wrong shapes", made)
    outputs = [value("y", [77, 1, 1])]
    yield _proto("an output of another shape", model([node("Relu", ["x"])], inputs, (), outputs))


def _nested() -> Iterator[Case]:
    """Give graphs in graphs, and messages in messages; the library allows 100 of these."""
    for depth in (5, 20, 30):
        graph = helper.make_graph([node("Relu", ["x"], "y")], "g", [], [value("y", None)])
        for _ in range(depth):
            inner = node("If", ["c"], "y", then_branch=graph, else_branch=graph) if depth < 10 else node(
                "If", ["c"], "y", then_branch=graph)  # fmt: skip
            graph = helper.make_graph([inner], "g", [], [value("y", None)])
        made = model(list(graph.node), [value("x", [4]), value("c", [], TensorProto.BOOL)])
        yield _proto(f"{depth} graphs in each other", made)
    # graph.node.attribute.g, written from within; a length each.
    for depth in (100, 1000, 20_000):
        content = b""
        for level in range(depth):
            tag = (b"\x32", b"\x2a", b"\x0a")[level % 3]
            content = tag + _varint(len(content)) + content
            if len(content) > 200_000:
                break
        yield (
            f"graph: {depth} messages in each other",
            written(b"\x08\x08\x3a" + _varint(len(content)) + content),
        )


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _functions() -> Iterator[Case]:
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("l", 1)]
    itself = helper.make_function("l", "F", ["a"], ["b"], [node("F", ["a"], "b", domain="l")], sets)
    opsets = {"": 17, "l": 1}
    used = [node("F", ["x"], domain="l")]
    inputs = [value("x", [4])]
    yield _proto("a function of itself", model(used, inputs, opsets=opsets, functions=[itself]))
    yield _proto("a function twice", model(used, inputs, opsets=opsets, functions=[itself] * 2))
    chain = [
        helper.make_function(
            "l", f"F{n or ''}", ["a"], ["b"],
            [node(f"F{n + 1}", ["a"], "c", domain="l"), node(f"F{n + 1}", ["c"], "b", domain="l")], sets)
        for n in range(40)
    ]  # fmt: skip
    last = helper.make_function("l", "F40", ["a"], ["b"], [node("Relu", ["a"], "b")], sets)
    made = model(used, inputs, opsets=opsets, functions=[*chain, last])
    yield _proto("a trillion operators", made)
    body = helper.make_graph(
        [node("Identity", ["go"], "on"), node("Add", ["h", "h"], "h2")], "body",
        [value("i", [], INT64), value("go", [], TensorProto.BOOL), value("h", [4])],
        [value("on", [], TensorProto.BOOL), value("h2", [4])],
    )  # fmt: skip
    for times in (1 << 40, -1, (1 << 63) - 1):
        weights = [helper.make_tensor("m", INT64, [], [times])]
        made = model([node("Loop", ["m", "", "x"], body=body)], inputs, weights)
        yield _proto(f"a loop of {times}", made)


def external() -> Iterator[Case]:
    plain = {"location": "w.bin", "offset": "0", "length": "16"}
    places = (
        "../../etc/passwd", "/etc/passwd", "..", ".", "", "w.bin\0x", "a/../w.bin", "./w.bin", "C:\\w",
        "..\\w.bin", "//w.bin", "w.bin/", "file:///etc/passwd", "~/w.bin", "missing.bin", "w" * 5000,
        "\x1b[31m", "*/_ORT_MEM_ADDR_/*", "m.onnx", "link", "hard", "pipe", "folder", "loop", "/dev/zero",
        "/proc/self/environ",
    )  # fmt: skip
    for place in places:
        yield f"external: location {place[:30]!a}", _with_data({**plain, "location": place})
    for offset in (
        "1",
        "16",
        "-1",
        str(1 << 62),
        str((1 << 64) - 8),
        "9" * 5000,
        "1e3",
        " 4",
        "",
        "0x10",
    ):
        yield f"external: offset {offset[:30]!a}", _with_data({**plain, "offset": offset})
    for length in ("0", "15", "17", "-16", str(1 << 62), str(1 << 64), "９", "+16", "\x00"):
        yield f"external: length {length!a}", _with_data({**plain, "length": length})
    yield "external: an unknown key", _with_data({**plain, "url": "http://x"})
    yield "external: no location", _with_data({"offset": "0"})
    for size in HUGE:
        yield f"external: size {size}", _with_data({"location": "w.bin"}, [size, 4])


def _with_data(keys: dict[str, str], dims: Sequence[int] = (4,)) -> Write:
    weight = TensorProto(name="w", data_type=FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, text in keys.items():
        weight.external_data.add(key=key, value=text)
    made = model([node("Add", ["x", "w"])], [value("x", [1, 4])], [weight]).SerializeToString()

    def write(folder: Path) -> Path:
        (folder / "w.bin").write_bytes(bytes(16))
        (folder / "folder").mkdir()
        (folder / "link").symlink_to("w.bin")
        (folder / "loop").symlink_to("loop")
        os.mkfifo(folder / "pipe")
        (folder / "other").write_bytes(bytes(16))
        (folder / "hard").hardlink_to(folder / "other")
        return written(made)(folder)

    return write


def tflite_graphs() -> Iterator[Case]:
    def case(name: str, *graphs: Graph) -> Case:
        return f"graph: tflite, {name}", written(tflite_bytes(*graphs), "m.tflite")

    x, y = Tensor("x", [1, 4]), Tensor("y", [1, 4])
    relu = Operator("RELU", [0], [1])
    yield case("no subgraphs")
    yield case("no tensors", Graph([], [], [], []))
    for number in (2, 99, -2, (1 << 31) - 1, -(1 << 31)):
        yield case(f"input {number}", Graph([x, y], [relu], [number], [1]))
        yield case(f"output {number}", Graph([x, y], [relu], [0], [number]))
        yield case(
            f"operator reads {number}", Graph([x, y], [Operator("RELU", [number], [1])], [0], [1])
        )
        yield case(
            f"operator writes {number}", Graph([x, y], [Operator("RELU", [0], [number])], [0], [1])
        )
    yield case("a cycle", Graph([x, y], [Operator("RELU", [1], [1])], [0], [1]))
    yield case(
        "the wrong order",
        Graph([x, y, y], [Operator("RELU", [2], [1]), Operator("RELU", [0], [2])], [0], [1]),
    )
    yield case("two of a name", Graph([x, x, x], [relu], [0, 0], [1, 1]))
    yield case("no name", Graph([Tensor("", [1]), Tensor("\x1b\n", [1])], [relu], [0], [1]))
    for size in ((1 << 31) - 1, -1, -(1 << 31), 0, 1 << 16):
        for rank in (1, 3, 8):
            huge = Tensor("x", [size] * rank)
            yield case(f"{size} of {rank}", Graph([huge, huge], [relu], [0], [1]))
        signed = Tensor("x", [1, 4], signature=[size, size])
        yield case(f"signature {size}", Graph([signed, y], [relu], [0], [1]))
    yield case("a rank of 200", Graph([Tensor("x", [1] * 200), y], [relu], [0], [1]))
    for name in (
        "CONV_2D",
        "FULLY_CONNECTED",
        "RESHAPE",
        "CONCATENATION",
        "SOFTMAX",
        "Nobody",
        "\x1b[31m",
    ):
        yield case(f"{name!a} of nothing", Graph([x, y], [Operator(name, [], [])], [0], [1]))
        yield case(
            f"{name!a} of the wrong kind", Graph([x, y], [Operator(name, [0, 0, 0], [1])], [0], [1])
        )
    yield case("version 99", Graph([x, y], [Operator("RELU", [0], [1], version=99)], [0], [1]))
    flag = Tensor("c", [], "bool")
    for graph in (0, 1, 7, -1):
        both = Operator("IF", [0, 1], [2], options=if_options(graph, graph))
        yield case(f"a branch to {graph}", Graph([flag, x, y], [both], [0, 1], [2]))
        loop = Operator("WHILE", [1], [2], options=while_options(graph, graph))
        yield case(f"a loop over {graph}", Graph([flag, x, y], [loop], [0, 1], [2]))
