"""Layers: the same files give the same bytes, whatever surrounds them."""

import os
import tarfile
from pathlib import Path

import pytest

from edge.adapters.image_layers import Entry, folder_entries, write_layer
from edge.errors import HostError


def tree(folder: Path) -> Path:
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "tool").write_bytes(b"run")
    (folder / "b" / "tool").chmod(0o700)
    (folder / "a.txt").write_bytes(b"text")
    (folder / "a.txt").chmod(0o600)
    (folder / "link").symlink_to("b/tool")
    return folder


def test_a_folder_as_a_layer(tmp_path: Path) -> None:
    layer = write_layer(tmp_path / "l.tar", folder_entries(tree(tmp_path / "tree")))
    with tarfile.open(layer.path) as archive:
        rows = [(i.name, i.type, i.mode, i.linkname) for i in archive]
        owners = {(i.uid, i.gid, i.uname, i.gname, i.mtime) for i in archive}
    assert rows == [
        ("a.txt", tarfile.REGTYPE, 0o644, ""),
        ("b", tarfile.DIRTYPE, 0o755, ""),
        ("b/tool", tarfile.REGTYPE, 0o755, ""),
        ("link", tarfile.SYMTYPE, 0o777, "b/tool"),
    ]
    assert owners == {(0, 0, "", "", 0)}
    assert layer.digest == layer.diff_id
    assert layer.size_bytes == layer.path.stat().st_size


def test_times_umask_and_place_do_not_matter(tmp_path: Path) -> None:
    first = write_layer(tmp_path / "1.tar", folder_entries(tree(tmp_path / "one")))
    other = tree(tmp_path / "elsewhere" / "two")
    os.utime(other / "a.txt", (1, 1))
    (other / "a.txt").chmod(0o664)
    assert write_layer(tmp_path / "2.tar", folder_entries(other)).digest == first.digest


def test_folders_above_come_first_and_order_does_not_matter(tmp_path: Path) -> None:
    entries = [Entry(name="x/y/z", content=b"1", mode=0o644), Entry(name="a", link="x")]
    first = write_layer(tmp_path / "1.tar", entries)
    assert write_layer(tmp_path / "2.tar", reversed(entries)).digest == first.digest
    with tarfile.open(first.path) as archive:
        assert archive.getnames() == ["a", "x", "x/y", "x/y/z"]


def test_long_names(tmp_path: Path) -> None:
    name = "/".join(["folder" * 8] * 8)
    layer = write_layer(tmp_path / "1.tar", [Entry(name=name, content=b"x", mode=0o644)])
    with tarfile.open(layer.path) as archive:
        assert archive.getnames()[-1] == name


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        write_layer(tmp_path / "1.tar", [Entry(name="a", content=tmp_path / "gone")])
    assert str(caught.value) == f"{tmp_path / 'gone'}: no such file or directory"
    with pytest.raises(HostError):
        folder_entries(tmp_path / "gone")
