"""Which files are models at all: looked at before anything is parsed."""

import os
import struct
from pathlib import Path

import pytest
from made_onnx import model, node, value

from edge.errors import ModelError
from edge.workflows.inspect import model_format

ONNX = model([node("Relu", ["x"])], [value("x", [1])]).SerializeToString()
TFLITE = struct.pack("<I4s", 28, b"TFL3") + bytes(40)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("model.onnx", ONNX, "onnx"),
        ("model.tflite", TFLITE, "tflite"),
        ("misnamed.tflite", ONNX, "onnx"),
        ("misnamed.onnx", TFLITE, "tflite"),
        ("no suffix", ONNX, "onnx"),
    ],
)
def test_by_content(name: str, content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert model_format(path) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG picture, not a model that edgekit reads"),
        (b"\xff\xd8\xff\xe0" + bytes(9), "a JPEG picture, not a model that edgekit reads"),
        (b"PK\x03\x04" + bytes(100), "a zip archive, not a model that edgekit reads"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not a model"),
        (b"hello, world\n", "neither an ONNX nor a TFLite file"),
        (bytes(100), "neither an ONNX nor a TFLite file"),
        (b"\x08", "neither an ONNX nor a TFLite file"),
        (b"\x08\x08", "an ONNX file without a graph"),
        (ONNX[:-1], "an ONNX file that was cut off or damaged: the file ends 1 bytes too early"),
        (ONNX[:20], "an ONNX file that was cut off or damaged: the file ends"),
        (b"\x08" + b"\xff" * 11, "neither an ONNX nor a TFLite file"),
    ],
)
def test_no_model(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        model_format(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert caught.value.hint


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "model.onnx").write_bytes(ONNX)
    (tmp_path / "link").symlink_to("model.onnx")
    os.mkfifo(tmp_path / "pipe")
    expected = {
        "folder": "a folder, not a model file",
        "link": "a symbolic link, which edgekit does not follow",
        "pipe": "not a regular file",
        "missing": "no such file or directory",
        "nul\0": "not a file name",
        "n" * 300: "file name too long",
    }
    for name, message in expected.items():
        with pytest.raises(ModelError, match=message) as caught:
            model_format(tmp_path / name)
        if name == "link":
            assert caught.value.hint == f"name the file that it points to: {tmp_path}/model.onnx"


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(ONNX)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(ModelError, match="permission denied"):
        model_format(path)
