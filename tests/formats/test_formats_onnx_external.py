"""External data: only plain files beside the model that hold what it says."""

import hashlib
import os
from pathlib import Path

import onnx
import pytest
from made_onnx import FLOAT, model, node, read, value
from onnx import TensorProto

from edge.errors import ModelError

Entries = list[tuple[str, str]]


def _model(entries: Entries, kind: int = FLOAT) -> onnx.ModelProto:
    tensor = TensorProto(name="w", data_type=kind, dims=[4, 5])
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in entries:
        tensor.external_data.add(key=key, value=text)
    return model([node("MatMul", ["x", "w"])], [value("x", [3, 4])], [tensor])


def _entries(location: str = "w.bin", offset: str = "16", length: str = "80") -> Entries:
    return [("location", location), ("offset", offset), ("length", length)]


def test_a_plain_file_beside_the_model(tmp_path: Path) -> None:
    content = bytes(range(96))
    (tmp_path / "w.bin").write_bytes(content)
    info = read(_model(_entries()), tmp_path)
    assert info.external_files == ("w.bin",)
    assert info.external_sha256 == (hashlib.sha256(content).hexdigest(),)
    assert info.sha256 == hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()
    assert info.file_bytes == 96 + (tmp_path / "model.onnx").stat().st_size
    assert (info.parameters, info.weights_bytes, info.stored_weights_bytes) == (20, 80, 80)
    assert "weights lie in other files, which have to go along: w.bin" in info.risks


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (_entries("../w.bin"), "'../w.bin' is no plain file name"),
        (_entries("/etc/passwd"), "'/etc/passwd' is no plain file name"),
        (_entries("sub/w.bin"), "'sub/w.bin' is no plain file name"),
        (_entries("sub\\w.bin"), "is no plain file name"),
        (_entries(".."), "'..' is no plain file name"),
        (_entries(""), "'' is no plain file name"),
        (_entries("w.bin\0x"), "is no plain file name"),
        (_entries("*/_ORT_MEM_ADDR_/*"), "is no plain file name"),
        (_entries("none.bin"), "no such file: none.bin"),
        (_entries("n" * 300), "no such file"),
        (_entries("link"), "link is a link or no regular file"),
        (_entries("hard"), "hard is a link or no regular file"),
        (_entries("pipe"), "pipe is a link or no regular file"),
        (_entries("folder"), "folder is a link or no regular file"),
        (_entries(offset="17"), "the file is 1 bytes too short"),
        (_entries(offset="18446744073709551615"), "bytes too short"),
        (_entries(offset="-1"), "'-1' is no number of bytes"),
        (_entries(offset="1e3"), "'1e3' is no number of bytes"),
        (_entries(offset="٣"), "is no number of bytes"),
        (_entries(offset="9" * 30), "is no number of bytes"),
        (_entries(length="79"), "79 bytes, but its shape needs 80"),
        ([*_entries(), ("location", "w.bin")], "a key is unknown or given twice"),
        ([*_entries(), ("basepath", "/etc")], "a key is unknown or given twice"),
    ],
)
def test_refused(entries: Entries, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(96))
    (tmp_path / "other").write_bytes(bytes(96))
    (tmp_path / "link").symlink_to("w.bin")
    os.link(tmp_path / "other", tmp_path / "hard")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError) as caught:
        read(_model(entries), tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_length_the_shape_says_it(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(80))
    assert read(_model([("location", "w.bin")]), tmp_path).stored_weights_bytes == 80


def test_in_an_attribute_and_in_a_subgraph(tmp_path: Path) -> None:
    tensor = _model(_entries("../w.bin")).graph.initializer[0]
    constant = node("Constant", [], "c", value=tensor)
    branch = onnx.helper.make_graph([constant], "b", [], [value("c", None)])
    nested = node("If", ["x"], then_branch=branch, else_branch=branch)
    for proto in (model([constant], []), model([nested], [value("x", [], TensorProto.BOOL)])):
        with pytest.raises(ModelError, match="no plain file name"):
            read(proto, tmp_path)


@pytest.mark.parametrize("place", ["a weight", "an attribute", "external data"])
def test_a_negative_size_is_refused(place: str, tmp_path: Path) -> None:
    made = _model(_entries())
    tensor = made.graph.initializer[0]
    tensor.dims[1] = -5
    if place != "external data":
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    if place == "an attribute":
        made.graph.node[0].attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(
            tensor
        )
        made.graph.ClearField("initializer")
    (tmp_path / "w.bin").write_bytes(bytes(96))
    with pytest.raises(ModelError, match=r"^tensor 'w' has a negative size$"):
        read(made, tmp_path)
