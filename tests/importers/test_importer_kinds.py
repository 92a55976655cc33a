"""What kind of file an estimator lies in is told by its first bytes."""

import pickle
import zlib
from pathlib import Path

import pytest

from edge.errors import ModelError
from edge.importers.kinds import kind_of_file


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a", pickle.dumps([1]), "pickle"),
        ("a", zlib.compress(b"x", 3), "pickle"),
        ("a.pkl", pickle.dumps([1], 0), "pickle"),
        ("a", b'{"learner":{}}', "xgboost"),
        ("a", b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner", "xgboost"),
        ("a", b"tree\nversion=v4\n", "lightgbm"),
        ("a", b"tree\r\nversion=v4\r\n", "lightgbm"),
        ("a", b"PK\x03\x04....", "skops"),
    ],
)
def test_the_kind(name: str, data: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert kind_of_file(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a", b"", "the file is empty"),
        ("a", b"trees and bushes", "not a file that an estimator is saved in"),
        ("a", b"xylophone", "not a file that an estimator is saved in"),
        ("a.onnx", b"\x08\x08", "no estimator but an ONNX file"),
    ],
)
def test_what_is_none(name: str, data: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError) as told:
        kind_of_file(tmp_path / name)
    assert told.value.what == what


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        kind_of_file(tmp_path / "none.joblib")
