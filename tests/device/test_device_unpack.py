"""Unpacking a bundle: once, whole, and where its code can run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_bundle import (
    MODELS,
    tiny_wheel,
    write_small,
)

from edge.device import unpack as unpack_module
from edge.device.bundle import Bundle, open_bundle
from edge.device.unpack import unpacked
from edge.errors import BundleError, HostError


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_bundle_is_unpacked_once(opened: Bundle, own_cache: Path) -> None:
    with unpacked(opened) as parts:
        folder = Path(parts.folder)
        assert folder == own_cache / "bundles" / opened.digest
        assert (
            Path(parts.path("model/digits.onnx")).read_bytes()
            == (MODELS / "digits-cnn-fp32.onnx").read_bytes()
        )
        assert (Path(parts.site) / "tiny" / "__init__.py").read_bytes() == b"ANSWER = 42\n"
        assert not (folder / "edge").exists()
        before = snapshot(folder)
    marked = folder / "site" / "tiny" / "__init__.py"
    kept = marked.stat().st_ino
    with unpacked(opened):
        assert snapshot(folder) == before
        assert marked.stat().st_ino == kept
    assert sorted(p.name for p in folder.parent.iterdir()) == [".lock", opened.digest]


@pytest.mark.parametrize("lost", ["site/tiny/__init__.py", "model/digits.onnx", "unpacked.json"])
def test_what_was_deleted_from_it_is_unpacked_again(
    opened: Bundle, own_cache: Path, lost: str
) -> None:
    with unpacked(opened) as parts:
        folder = Path(parts.folder)
    before = snapshot(folder)
    (folder / lost).unlink()
    (own_cache / "bundles" / "abc.part").mkdir()
    with unpacked(opened):
        assert snapshot(folder) == before
    assert sorted(p.name for p in folder.parent.iterdir()) == [".lock", opened.digest]


@pytest.mark.parametrize("step", ["rename", "json.dump", "flush_file_system"])
def test_an_interrupted_unpacking_leaves_nothing(
    opened: Bundle, own_cache: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        target = {"rename": (os, "rename"), "json.dump": (json, "dump")}.get(
            step, (unpack_module, step)
        )
        patched.setattr(*target, interrupt)
        with pytest.raises(KeyboardInterrupt), unpacked(opened):
            pass
    assert [p.name for p in (own_cache / "bundles").iterdir()] == [".lock"]
    with unpacked(opened) as parts:
        assert Path(parts.path("samples.npz")).is_file()


def test_two_at_once_unpack_one_copy(small: Path, own_cache: Path) -> None:
    command = [sys.executable, str(small), "run"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    assert [p.communicate()[0] for p in both] == [b"2 of 2 samples agree\n"] * 2
    assert len(list((own_cache / "bundles").iterdir())) == 2


def test_without_a_home_it_unpacks_to_a_temporary_folder(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGEKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no-such-place")
    with unpacked(opened) as parts:
        folder = Path(parts.folder)
        assert (folder / "site" / "tiny" / "__init__.py").is_file()
    assert not folder.parent.exists()


def test_a_chosen_folder_that_cannot_be_written_is_an_error(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", "/proc/no-such-place")
    with pytest.raises(HostError) as caught, unpacked(opened):
        pass
    assert str(caught.value) == "/proc/no-such-place/bundles: no such file or directory"
    assert caught.value.hint == "set EDGEKIT_CACHE to another folder"


def test_noexec_is_explained(opened: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(".")
    fields = list(real)
    fields[8] |= os.ST_NOEXEC
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(fields))
    with pytest.raises(HostError) as caught, unpacked(opened):
        pass
    assert caught.value.what == (
        "its file system is mounted noexec, and the runtime's code has to run there"
    )


def test_too_little_disk_is_told_before_unpacking(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    usage = shutil.disk_usage(".")._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(HostError) as caught, unpacked(opened):
        pass
    assert caught.value.what.startswith("unpacking needs 64.")
    assert caught.value.what.endswith(" MiB, and 1 MiB are free")
    assert [p.name for p in (own_cache / "bundles").iterdir()] == [".lock"]


def test_a_bad_wheel_leaves_nothing_unpacked(tmp_path: Path, own_cache: Path) -> None:
    path = tmp_path / "bad.pyz"
    write_small(path, wheel=tiny_wheel({"a.py": b"1"}, record={"a.py": b"2"}))
    with (
        open_bundle(str(path)) as bundle,
        pytest.raises(BundleError, match=r"a\.py is not what RECORD lists"),
        unpacked(bundle),
    ):
        pass
    assert [p.name for p in (own_cache / "bundles").iterdir()] == [".lock"]


def test_the_newest_two_of_a_name_are_kept(tmp_path: Path, own_cache: Path) -> None:
    kept = []
    for number in range(4):
        path = tmp_path / f"{number}.pyz"
        wheel = tiny_wheel({"tiny/__init__.py": b"ANSWER = %d\n" % number})
        write_small(path, wheel=wheel, name="other" if number == 0 else "digits")
        with open_bundle(str(path)) as bundle, unpacked(bundle) as parts:
            kept.append(Path(parts.folder))
            # Nobody's clock is that coarse, but a test's steps are that fast.
            os.utime(parts.folder, ns=(number, number))
    assert sorted(path.name for path in (own_cache / "bundles").iterdir()) == sorted(
        [".lock", kept[0].name, kept[2].name, kept[3].name]
    )


def test_what_is_in_use_is_kept(tmp_path: Path, own_cache: Path) -> None:
    paths = [tmp_path / f"{number}.pyz" for number in range(3)]
    for number, path in enumerate(paths):
        write_small(path, sequence=number)
    with open_bundle(str(paths[0])) as bundle, unpacked(bundle) as parts:
        os.utime(parts.folder, ns=(0, 0))
        for path in paths[1:]:
            with open_bundle(str(path)) as other, unpacked(other):
                pass
        assert Path(parts.folder).is_dir()
