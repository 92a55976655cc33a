"""Zeros in place of the smallest weights, which only a compressed file is smaller by."""

import lzma
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from made_onnx import model, node, value
from made_transformer import passed
from onnx import numpy_helper

from edge.errors import ModelError

DIGITS = Path("models/digits-cnn/digits-cnn-fp32.onnx")


def weights(path: Path) -> list[np.ndarray]:
    tensors = onnx.load(path).graph.initializer
    return [numpy_helper.to_array(t) for t in tensors if len(t.dims) > 1]


def parts_of_zeros(path: Path) -> list[float]:
    return [float((values == 0).mean()) for values in weights(path)]


def test_the_smallest_weights_of_each_layer_become_0(tmp_path: Path) -> None:
    path, notes = passed("prune_weights", DIGITS, tmp_path / "out", ratio=0.6)
    # The first layer has 144 weights, too few to be worth it.
    assert parts_of_zeros(path) == pytest.approx([0, 0.6, 0.6, 0.6], abs=0.002)
    for before, after in zip(weights(DIGITS), weights(path), strict=True):
        kept = after != 0
        assert (after[kept] == before[kept]).all()
        assert np.abs(before[kept]).min() >= np.abs(before[~kept]).max(initial=0)
    assert path.stat().st_size == pytest.approx(DIGITS.stat().st_size, abs=200)
    assert len(lzma.compress(path.read_bytes())) < 0.75 * len(lzma.compress(DIGITS.read_bytes()))
    assert notes[:2] == [
        "3148 of 5248 weights are 0 (60 %)",
        "this takes no work away: dense kernels multiply by 0 as by anything else",
    ]
    told = re.fullmatch(
        r"the weights compress to (\d+) % of what they did \(xz\): "
        "a bundle is compressed, the file itself stays as large",
        notes[2],
    )
    assert told is not None
    # How far exactly depends on the library's version.
    assert 35 < int(told.group(1)) < 60


def test_globally_the_layers_lose_different_parts(tmp_path: Path) -> None:
    path, notes = passed("prune_weights", DIGITS, tmp_path / "out", ratio=0.6, scope="global")
    parts = parts_of_zeros(path)[1:]
    assert max(parts) - min(parts) > 0.05
    sizes = [values.size for values in weights(path)[1:]]
    assert np.average(parts, weights=sizes) == pytest.approx(0.6, abs=0.002)
    assert notes[0].endswith("(60 %)")


def test_weights_in_constant_nodes_are_pruned_too(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(16, 32)).astype(np.float32)
    nodes = [
        node("Constant", [], "w", value=numpy_helper.from_array(values, "w")),
        node("MatMul", ["x", "w"], "y"),
    ]
    proto = model(nodes, [value("x", [1, 16])])
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    path, notes = passed("prune_weights", tmp_path / "model.onnx", tmp_path / "out")
    (constant,) = [n for n in onnx.load(path).graph.node if n.op_type == "Constant"]
    assert (numpy_helper.to_array(constant.attribute[0].t) == 0).mean() == 0.5
    assert notes[0] == "256 of 512 weights are 0 (50 %)"


def test_a_model_without_float_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it has no float weights of layers to prune"):
        passed("prune_weights", Path("models/digits-cnn/digits-cnn-int8.onnx"), tmp_path / "out")


@pytest.mark.parametrize("options", [{"ratio": 0}, {"ratio": 1}, {"scope": "channel"}])
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"^pruning takes no ratio \S+ and scope \w+$"):
        passed("prune_weights", DIGITS, tmp_path / "out", **options)
