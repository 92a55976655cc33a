"""A pickle's names are listed, and nothing of what it names is imported or run."""

import bz2
import gzip
import importlib.util
import lzma
import os
import pickle
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import HostError, ModelError
from edge.importers.listing import list_names

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers())
    ),
    max_leaves=20,
)


class Command:
    """An object whose unpickling runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def listed(data: bytes, folder: Path) -> dict[str, Any]:
    path = folder / "model.pkl"
    path.write_bytes(data)
    return list_names({"path": str(path), "folder": str(folder)})


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_command_is_listed_and_not_run(protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "was run"
    data = pickle.dumps([Command(f"touch '{mark}'")], protocol)
    assert listed(data, tmp_path)["names"] == [("posix", "system")]
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists(), "the pickle is a harmless one"


@pytest.mark.parametrize(
    "data",
    [
        b"cnoticed\nThing\n.",
        b"(inoticed\nThing\n.",
        b"(cnoticed\nThing\no.",
        b"\x80\x04\x8c\x07noticed\x8c\x05Thing\x93)\x81.",
        b"\x80\x04\x8c\x07noticed\x8c\x05Thing\x93)}\x92.",
        b"\x80\x02cnoticed\nThing\n)R}b.",
    ],
    ids=["GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"],
)
def test_no_opcode_imports(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "noticed.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = listed(data, tmp_path)
    assert found["names"] == [("noticed", "Thing")]
    assert found["top"] == ["noticed", "Thing"]
    assert "noticed" not in sys.modules
    pickle.loads(data)
    assert sys.modules.pop("noticed"), "Python's own unpickler imports it"


@given(PLAIN)
def test_plain_data_names_nothing(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    folder = tmp_path_factory.mktemp("plain")
    assert listed(pickle.dumps(data, 4), folder)["names"] == []


@given(st.binary(max_size=200))
def test_noise_is_told_and_nothing_more(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    folder = tmp_path_factory.mktemp("noise")
    try:
        found = listed(b"\x80\x04" + noise, folder)
    except ModelError as told:
        found = {"names": [], "where": told.where}
    assert found.get("where", str(folder / "model.pkl")) == str(folder / "model.pkl")


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        zlib.compress,
        lzma.compress,
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    ],
    ids=["gzip", "bz2", "zlib", "xz", "lzma"],
)
def test_compressed_ones_are_listed(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = pickle.dumps([Command("true"), bytes(3_000_000)])
    found = listed(pack(data), tmp_path)
    assert found["names"] == [("posix", "system")]
    assert Path(found["plain"]).read_bytes() == data


def test_a_damaged_compression_is_told(tmp_path: Path) -> None:
    packed = zlib.compress(pickle.dumps(list(range(1000))))
    with pytest.raises(ModelError, match=r"model.pkl: damaged zlib data: it is cut short$"):
        listed(packed[:-50], tmp_path)


def test_lz4_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(
        HostError, match="it is compressed with lz4, which is not installed"
    ) as told:
        listed(b"\x04\x22\x4d\x18" + bytes(20), tmp_path)
    assert told.value.hint == "pip install lz4"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (pickle.dumps(list(range(100)))[:-9], "a damaged pickle: "),
        (b"\x80\x04P1\n.", "it refers to objects outside of the file"),
        (b"\x80\x02\x82\x01.", "it uses the registry of extensions, which no estimator does"),
        (b"\x80\x02K\x01)R.", "it calls what cannot be called"),
    ],
    ids=["cut short", "persistent", "extension", "call"],
)
def test_what_no_estimator_is_saved_as(data: bytes, what: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as told:
        listed(data, tmp_path)
    assert told.value.what.startswith(what)
    assert told.value.where == str(tmp_path / "model.pkl")


def test_the_version_that_saved_it_is_found(tmp_path: Path) -> None:
    data = b"\x80\x02csklearn.svm\nSVC\n)\x81}X\x10\x00\x00\x00_sklearn_versionX\x05\x00\x00\x001.2.2sb."
    found = listed(data, tmp_path)
    assert found["wrote"] == ["1.2.2"]
    assert found["top"] == ["sklearn.svm", "SVC"]
