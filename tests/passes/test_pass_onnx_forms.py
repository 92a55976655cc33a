"""The passes that keep the arithmetic: simplify, ort_form, apart_sums, fused_attention."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_onnx import empty, model, node, value
from made_transformer import executed, feeds, operators, passed, run, transformer

from edge.errors import ConfigError, ModelError

DIGITS = Path("models/digits-cnn/digits-cnn-fp32.onnx")


def test_simplifying_folds_and_keeps_what_is_promised(tmp_path: Path) -> None:
    proto = model(
        [
            node("Conv", ["x", "w"], "c"),
            node("BatchNormalization", ["c", "s", "b", "m", "v"], "n"),
            node("Identity", ["n"], "i"),
            node("Shape", ["w"], "unused"),
            node("Relu", ["i"], "y"),
        ],
        [value("x", ["batch", 2, 8, 8])],
        [empty("w", [4, 2, 3, 3]), *(empty(name, [4]) for name in "sbmv")],
        [value("y", ["batch", 4, 6, 6])],
    )
    onnx.helper.set_model_props(proto, {"characters": "abc"})
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    path, notes = passed("simplify", tmp_path / "model.onnx", tmp_path / "out")
    got = onnx.load(path)
    assert [n.op_type for n in got.graph.node] == ["Conv", "Relu"]
    assert notes == ["5 operators became 2"]
    assert list(got.graph.input) == list(proto.graph.input)
    assert list(got.graph.output) == list(proto.graph.output)
    assert got.opset_import == proto.opset_import
    assert got.ir_version == proto.ir_version
    assert got.metadata_props == proto.metadata_props


def test_simplifying_keeps_products_and_sums_apart(tmp_path: Path) -> None:
    path, _ = passed("simplify", transformer(tmp_path), tmp_path / "out")
    assert "Gemm" not in operators(path)
    assert operators(path).count("MatMul") == 8


def test_what_onnx_runtime_refuses_is_a_model_error(tmp_path: Path) -> None:
    proto = model([node("NoSuchOperator", ["x"])], [value("x", [1])])
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"^ONNX Runtime refuses it: .*NoSuchOperator"):
        passed("simplify", tmp_path / "model.onnx", tmp_path / "out")


@pytest.mark.parametrize("level", ["extended", "all"])
def test_the_runtimes_form_gives_the_same_answers_in_a_plain_session(
    tmp_path: Path, level: str
) -> None:
    path, notes = passed("ort_form", DIGITS, tmp_path / "out", level=level)
    x = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    (spec,) = onnx.load(DIGITS).graph.input
    shape = [d.dim_value or 1 for d in spec.type.tensor_type.shape.dim]
    given = {spec.name: np.resize(x, shape)}
    assert np.allclose(run(path, given)[0], run(DIGITS, given)[0], atol=1e-5)
    domains = {entry.domain for entry in onnx.load(path).opset_import}
    assert domains <= {"", "com.microsoft", "com.microsoft.nchwc"}
    bound = "it has layouts of the processor that it was made on, and is for that one only"
    assert (bound in notes) == ("com.microsoft.nchwc" in domains)
    assert (tmp_path / "out" / "model.weights").exists()


def test_an_unknown_level_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        passed("ort_form", DIGITS, tmp_path / "out", level="most")
    assert (str(raised.value), raised.value.hint) == (
        "ort_form has no level most",
        "levels: extended, all",
    )


def test_sums_apart_are_not_fused_in_a_plain_session(tmp_path: Path) -> None:
    model_path = transformer(tmp_path)
    assert executed(model_path, tmp_path).count("SkipLayerNormalization") == 2
    path, notes = passed("apart_sums", model_path, tmp_path / "out")
    assert notes == ["2 residual sums are kept apart from the layer normalisations after them"]
    runs = executed(path, tmp_path)
    assert "SkipLayerNormalization" not in runs
    assert [runs.count(op) for op in ("Sum", "LayerNormalization", "Gelu")] == [2, 2, 1]
    assert np.allclose(run(path, feeds())[0], run(model_path, feeds())[0], atol=1e-5)


def test_sums_before_a_normalisation_that_is_written_out_are_found(tmp_path: Path) -> None:
    proto = model(
        [
            node("Add", ["x", "z"], "sum"),
            node("ReduceMean", ["sum"], "mean", axes=[-1]),
            node("Sub", ["sum", "mean"], "y"),
        ],
        [value("x", [1, 2, 4]), value("z", [1, 2, 4])],
        opsets={"": 13},
    )
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    path, _ = passed("apart_sums", tmp_path / "model.onnx", tmp_path / "out")
    assert operators(path) == ["Sum", "ReduceMean", "Sub"]


@pytest.mark.parametrize("length", [6, "length"])
def test_attention_becomes_one_operator(tmp_path: Path, length: int | str) -> None:
    model_path = transformer(tmp_path, length)
    path, notes = passed("fused_attention", model_path, tmp_path / "out")
    assert notes == ["1 attentions are one operator each, ONNX Runtime's own since 1.20"]
    left = operators(path)
    assert left.count("MultiHeadAttention") == 1
    assert not {"Softmax", "Transpose", "Reshape"} & set(left)
    assert np.allclose(run(path, feeds())[0], run(model_path, feeds())[0], atol=1e-5)


def _change(path: Path, output: str, **changed: Any) -> Path:
    proto = onnx.load(path)
    (found,) = [n for n in proto.graph.node if output in n.output]
    for key, given in changed.items():
        if key == "op_type":
            found.op_type = given
        else:
            (attribute,) = [a for a in found.attribute if a.name == key]
            found.attribute.remove(attribute)
            found.attribute.append(onnx.helper.make_attribute(key, given))
    onnx.save(proto, path)
    return path


@pytest.mark.parametrize(
    ("output", "changed"),
    [
        ("attended", {"axis": 2}),
        ("turned", {"perm": [0, 1, 2, 3]}),
        ("q3", {"perm": [0, 1, 2, 3]}),
        ("scaled", {"op_type": "Pow"}),
    ],
)
def test_what_is_not_quite_attention_stays(
    tmp_path: Path, output: str, changed: dict[str, Any]
) -> None:
    path = _change(transformer(tmp_path), output, **changed)
    with pytest.raises(ModelError, match="it has no attention of the pattern that can be fused"):
        passed("fused_attention", path, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("apart_sums", "it has no sum before a layer normalisation"),
        ("fused_attention", "it has no attention of the pattern that can be fused"),
    ],
)
def test_a_pass_that_does_not_apply_says_why(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ModelError) as raised:
        passed(name, DIGITS, tmp_path / "out")
    assert str(raised.value) == f"{DIGITS}: {reason}"
