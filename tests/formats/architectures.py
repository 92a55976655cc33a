"""Well-known networks as ONNX graphs whose weights are made at load: a few kilobytes each."""

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

# A value's name and its number of channels (or its width).
Value = tuple[str, int]


class Net:
    """Builds a graph node by node."""

    def __init__(self, *shape: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.input = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)

    def constant(self, values: Sequence[int]) -> str:
        name = f"c{len(self.initializers)}"
        tensor = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        self.initializers.append(tensor)
        return name

    def op(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, **attributes))
        return names[0]

    def weight(self, *shape: int) -> str:
        return self.op("ConstantOfShape", self.constant(shape))

    def conv(
        self, x: Value, width: int, kernel: int, stride: int = 1, *, groups: int = 1, pad: int = -1
    ) -> Value:
        """Add a convolution; `pad` -1 is TensorFlow's SAME."""
        weight = self.weight(width, x[1] // groups, kernel, kernel)
        same = {"auto_pad": "SAME_UPPER"} if pad < 0 else {"pads": [pad] * 4}
        name = self.op(
            "Conv", x[0], weight, kernel_shape=[kernel] * 2, strides=[stride] * 2, group=groups,
            **same,
        )  # fmt: skip
        return self.op("Relu", name), width

    def pool(self, x: Value, kernel: int, stride: int, pad: int = 0) -> Value:
        name = self.op(
            "MaxPool", x[0], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4
        )
        return name, x[1]

    def mean(self, x: Value) -> Value:
        return self.op("GlobalAveragePool", x[0]), x[1]

    def linear(self, x: Value, width: int) -> Value:
        return self.op("Gemm", self.op("Flatten", x[0]), self.weight(x[1], width)), width

    def project(self, x: Value, width: int) -> Value:
        return self.op("MatMul", x[0], self.weight(x[1], width)), width

    def add(self, x: Value, y: Value) -> Value:
        return self.op("Add", x[0], y[0]), x[1]

    def model(self, output: Value, opset: int = 13) -> onnx.ModelProto:
        result = helper.make_tensor_value_info(output[0], TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "g", [self.input], [result], self.initializers)
        opsets = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def image(size: int) -> tuple[Net, Value]:
    return Net(1, 3, size, size), ("input", 3)


def mobilenet_v1(alpha: float, size: int) -> onnx.ModelProto:
    net, x = image(size)
    x = net.conv(x, int(32 * alpha), 3, 2)
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    for width, stride in [*plan, *[(512, 1)] * 5, (1024, 2), (1024, 1)]:
        x = net.conv(x, x[1], 3, stride, groups=x[1])
        x = net.conv(x, int(width * alpha), 1)
    return net.model(net.conv(net.mean(x), 1001, 1))


def _divisible(width: float) -> int:
    """Round to a multiple of 8, never down by more than a tenth."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


def mobilenet_v2(alpha: float, size: int) -> onnx.ModelProto:
    net, x = image(size)
    x = net.conv(x, _divisible(32 * alpha), 3, 2)
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    for expansion, channels, repeats, first in [*plan, (6, 160, 3, 2), (6, 320, 1, 1)]:
        width = _divisible(channels * alpha)
        for index in range(repeats):
            stride = first if index == 0 else 1
            y = x if expansion == 1 else net.conv(x, x[1] * expansion, 1)
            y = net.conv(net.conv(y, y[1], 3, stride, groups=y[1]), width, 1)
            x = net.add(x, y) if stride == 1 and x[1] == width else y
    x = net.conv(x, _divisible(1280 * max(1.0, alpha)), 1)
    return net.model(net.conv(net.mean(x), 1001, 1))


# Kernel, expanded width, width, squeeze-and-excite, stride (MobileNetV3 paper, table 1).
_V3_LARGE = [
    (3, 16, 16, False, 1), (3, 64, 24, False, 2), (3, 72, 24, False, 1), (5, 72, 40, True, 2),
    (5, 120, 40, True, 1), (5, 120, 40, True, 1), (3, 240, 80, False, 2), (3, 200, 80, False, 1),
    (3, 184, 80, False, 1), (3, 184, 80, False, 1), (3, 480, 112, True, 1), (3, 672, 112, True, 1),
    (5, 672, 160, True, 2), (5, 960, 160, True, 1), (5, 960, 160, True, 1),
]  # fmt: skip


def mobilenet_v3_large(size: int, *, minimalistic: bool = False) -> onnx.ModelProto:
    net, x = image(size)
    x = net.conv(x, 16, 3, 2)
    for kernel, expanded, width, excite, stride in _V3_LARGE:
        y = net.conv(x, expanded, 1) if expanded != x[1] else x
        y = net.conv(y, expanded, 3 if minimalistic else kernel, stride, groups=expanded)
        if excite and not minimalistic:
            gate = net.conv(net.conv(net.mean(y), _divisible(expanded / 4), 1), expanded, 1)
            y = (net.op("Mul", y[0], gate[0]), expanded)
        y = net.conv(y, width, 1)
        x = net.add(x, y) if stride == 1 and x[1] == width else y
    x = net.conv(net.mean(net.conv(x, 960, 1)), 1280, 1)
    return net.model(net.conv(x, 1001, 1))


def resnet(blocks: Sequence[int], size: int, *, bottleneck: bool) -> onnx.ModelProto:
    net, x = image(size)
    x = net.pool(net.conv(x, 64, 7, 2, pad=3), 3, 2, pad=1)
    for stage, repeats in enumerate(blocks):
        width = 64 << stage
        for index in range(repeats):
            stride = 2 if index == 0 and stage else 1
            if bottleneck:
                y = net.conv(net.conv(x, width, 1, pad=0), width, 3, stride, pad=1)
                y = net.conv(y, 4 * width, 1, pad=0)
            else:
                y = net.conv(net.conv(x, width, 3, stride, pad=1), width, 3, pad=1)
            x = net.add(net.conv(x, y[1], 1, stride, pad=0) if y[1] != x[1] else x, y)
    return net.model(net.linear(net.mean(x), 1000))


def vgg16(size: int) -> onnx.ModelProto:
    net, x = image(size)
    for width, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            x = net.conv(x, width, 3, pad=1)
        x = net.pool(x, 2, 2)
    x = net.linear((x[0], 512 * (size // 32) ** 2), 4096)
    return net.model(net.linear(net.linear(x, 4096), 1000))


def alexnet(size: int) -> onnx.ModelProto:
    """AlexNet with its two groups, as in Caffe."""
    net, x = image(size)
    x = net.pool(net.conv(x, 96, 11, 4, pad=0), 3, 2)
    x = net.pool(net.conv(x, 256, 5, groups=2, pad=2), 3, 2)
    x = net.conv(net.conv(x, 384, 3, pad=1), 384, 3, groups=2, pad=1)
    x = net.pool(net.conv(x, 256, 3, groups=2, pad=1), 3, 2)
    x = net.linear((x[0], 256 * 36), 4096)
    return net.model(net.linear(net.linear(x, 4096), 1000))


def _transformer(net: Net, x: Value, tokens: int, layers: int, heads: int) -> Value:
    """Add encoder blocks with a four times wider inner layer."""
    width = x[1]
    split = net.constant([1, tokens, heads, width // heads])
    joined = net.constant([1, tokens, width])
    for _ in range(layers):
        parts = [net.op("Reshape", net.project(x, width)[0], split) for _ in range(3)]
        query, value = (net.op("Transpose", p, perm=[0, 2, 1, 3]) for p in parts[::2])
        key = net.op("Transpose", parts[1], perm=[0, 2, 3, 1])
        scores = net.op("Softmax", net.op("MatMul", query, key), axis=-1)
        mixed = net.op("Transpose", net.op("MatMul", scores, value), perm=[0, 2, 1, 3])
        x = net.add(x, net.project((net.op("Reshape", mixed, joined), width), width))
        inner = (net.op("Relu", net.project(x, 4 * width)[0]), 4 * width)
        x = net.add(x, net.project(inner, width))
    return x


def vit(patch: int, width: int, layers: int, heads: int, *, out: int = 1000) -> onnx.ModelProto:
    net, x = image(224)
    side = 224 // patch
    x = net.conv(x, width, patch, patch, pad=0)
    rows = net.op("Reshape", x[0], net.constant([1, width, side * side]))
    patches = net.op("Transpose", rows, perm=[0, 2, 1])
    tokens = side * side + 1
    x = (net.op("Concat", net.weight(1, 1, width), patches, axis=1), width)
    x = _transformer(net, x, tokens, layers, heads)
    first = net.op("Gather", x[0], net.constant([0]), axis=1)
    return net.model(net.project((first, width), out))


def clip_text(width: int, layers: int, heads: int) -> onnx.ModelProto:
    net = Net(1, 77, width)
    return net.model(_transformer(net, ("input", width), 77, layers, heads))
