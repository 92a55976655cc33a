"""Small convolutional networks, one for each way in which channels hang together."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from made_onnx import model, node, numbers, value
from onnx import numpy_helper

Nodes = list[onnx.NodeProto]


class Network:
    """Nodes and weights that grow layer by layer; weights are the same for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: Nodes = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(seed)

    def weight(self, *shape: int, low: float = -1.0) -> str:
        name = f"w{len(self.weights)}"
        values = self._random.uniform(low, 1.0, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def numbers(self, *values: int) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numbers(name, values))
        return name

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(node(op_type, inputs, name, **attributes))
        return name

    def conv(self, data: str, fan_in: int, fan_out: int, kernel: int = 1, **more: Any) -> str:
        weight = self.weight(fan_out, fan_in, kernel, kernel)
        sides = {"kernel_shape": [kernel, kernel], "pads": [kernel // 2] * 4}
        return self.add("Conv", data, weight, self.weight(fan_out), **sides, **more)

    def model(self, last: str, **more: Any) -> onnx.ModelProto:
        inputs = [value("x", [1, 3, 6, 6])]
        outputs = [value(last, None)]
        return model(self.nodes, inputs, self.weights, outputs, **more)


def residual() -> onnx.ModelProto:
    net = Network()
    first = net.add("Relu", net.conv("x", 3, 8, 3))
    inner = net.add("Relu", net.conv(first, 8, 6))
    total = net.add("Relu", net.add("Add", first, net.conv(inner, 6, 8, 3)))
    return net.model(net.conv(total, 8, 4))


def depthwise() -> onnx.ModelProto:
    net = Network()
    wide = net.add("Clip", net.conv("x", 3, 8), *_limits(net))
    deep = net.conv(wide, 1, 16, 3, group=8)
    return net.model(net.conv(net.add("Relu", deep), 16, 4))


def _limits(net: Network) -> tuple[str, str]:
    net.weights.append(numpy_helper.from_array(np.float32(0), "low"))
    net.weights.append(numpy_helper.from_array(np.float32(6), "high"))
    return "low", "high"


def concat() -> onnx.ModelProto:
    net = Network()
    first = net.add("Relu", net.conv("x", 3, 5))
    second = net.add("PRelu", net.conv(first, 5, 7, 3), net.weight(7, 1, 1))
    zeros = numpy_helper.from_array(np.zeros((1, 2, 6, 6), np.float32), "zeros")
    net.weights.append(zeros)
    joined = net.add("Concat", first, second, "zeros", axis=1)
    last = net.add("Add", joined, net.conv(first, 5, 14))
    return net.model(net.conv(last, 14, 4))


def flatten() -> onnx.ModelProto:
    net = Network()
    pooled = net.add("MaxPool", net.conv("x", 3, 6), kernel_shape=[2, 2], strides=[2, 2])
    flat = net.add("Flatten", net.add("Relu", pooled))
    hidden = net.add("Gemm", flat, net.weight(10, 54), net.weight(10), transB=1)
    flat = net.add("Reshape", net.add("Relu", hidden), net.numbers(1, 10))
    return net.model(net.add("MatMul", flat, net.weight(10, 4)))


def squeeze_excite() -> onnx.ModelProto:
    net = Network()
    first = net.add("HardSwish", net.conv("x", 3, 8))
    small = net.add("Relu", net.conv(net.add("GlobalAveragePool", first), 8, 4))
    factor = net.add("HardSigmoid", net.conv(small, 4, 8))
    scaled = net.add("Mul", first, factor)
    mean = net.add("ReduceMean", scaled, axes=[2, 3], keepdims=0)
    return net.model(net.add("MatMul", mean, net.weight(8, 4)))


def split() -> onnx.ModelProto:
    net = Network()
    first = net.conv("x", 3, 10)
    net.nodes.append(node("Split", [first, net.numbers(4, 6)], "left", "right", axis=1))
    gated = net.add("Mul", "left", net.add("Sigmoid", net.conv("left", 4, 4)))
    right = net.add("Resize", net.add("Relu", "right"), "", "", net.numbers(1, 6, 6, 6))
    joined = net.add("Concat", gated, right, axis=1)
    return net.model(net.conv(joined, 10, 4))


def normalised() -> onnx.ModelProto:
    net = Network()
    first = net.conv("x", 3, 8, 3)
    norm = [net.weight(8), net.weight(8), net.weight(8), net.weight(8, low=0.5)]
    normal = net.add("BatchNormalization", first, *norm)
    turned = net.add("Transpose", net.add("LeakyRelu", normal), perm=[0, 2, 3, 1])
    shifted = net.add("Add", turned, net.weight(8))
    hidden = net.add("Relu", net.add("MatMul", shifted, net.weight(8, 12)))
    return net.model(net.add("MatMul", hidden, net.weight(12, 4)))


def transposed() -> onnx.ModelProto:
    net = Network()
    first = net.add("Relu", net.conv("x", 3, 8))
    wider = net.weight(8, 6, 2, 2)
    up = net.add("ConvTranspose", first, wider, net.weight(6), kernel_shape=[2, 2], strides=[2, 2])
    padded = net.add("Pad", net.add("Relu", up), net.numbers(0, 0, 1, 1, 0, 0, 0, 0))
    return net.model(net.conv(padded, 6, 4))


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "residual": residual,
    "depthwise": depthwise,
    "concat": concat,
    "flatten": flatten,
    "squeeze-excite": squeeze_excite,
    "split": split,
    "normalised": normalised,
    "transposed": transposed,
}
