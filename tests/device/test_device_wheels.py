"""Unpacking wheels: by their rules, and nothing outside the folder."""

import io
import random
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from small_bundle import (
    tiny_wheel,
)

from edge.device.wheels import unpack_wheel
from edge.errors import BundleError


def unpack_tiny(wheel: bytes, folder: Path) -> list[tuple[str, int]]:
    return unpack_wheel(io.BytesIO(wheel), "tiny.whl", str(folder))


def test_a_wheel_is_unpacked_by_its_rules(tmp_path: Path) -> None:
    wheel = tiny_wheel(
        {
            "tiny/__init__.py": b"A = 1\n",
            "tiny-1.0.data/purelib/tiny/pure.py": b"B = 2\n",
            "tiny-1.0.data/platlib/tiny/plat.so": b"\x7fELF",
            "tiny-1.0.data/scripts/tiny": b"#!python\n",
            "tiny-1.0.data/headers/tiny.h": b"/* */",
            "tiny-1.0.data/data/share/tiny": b"data",
        }
    )
    written = unpack_tiny(wheel, tmp_path)
    there = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert there == {path for path, _ in written}
    assert there == {
        "tiny/__init__.py",
        "tiny/pure.py",
        "tiny/plat.so",
        "tiny-1.0.dist-info/WHEEL",
        "tiny-1.0.dist-info/METADATA",
        "tiny-1.0.dist-info/RECORD",
    }
    assert (tmp_path / "tiny/pure.py").read_bytes() == b"B = 2\n"


@pytest.mark.parametrize(
    ("wheel", "what"),
    [
        (b"no zip", "File is not a zip file"),
        (tiny_wheel({"../evil": b""}), "a file has an odd name: ../evil"),
        (tiny_wheel({"/evil": b""}), "a file has an odd name: /evil"),
        (tiny_wheel({"a/./b": b""}), "a file has an odd name: a/./b"),
        (tiny_wheel({"a\\b": b""}), "a file has an odd name: a\\\\b"),
        (tiny_wheel(extra={"a.py": b""}), "a.py is not in RECORD"),
        (tiny_wheel(record={"a.py": b""}), "a.py is in RECORD only"),
        (
            tiny_wheel({"a.py": b"1"}, record={"a.py": b"2"}),
            "a.py is not what RECORD lists",
        ),
        (
            tiny_wheel({"a.py": b"1", "t-1.0.data/purelib/a.py": b"2"}),
            "a.py is in another wheel too",
        ),
    ],
)
def test_an_odd_wheel_is_refused(tmp_path: Path, wheel: bytes, what: str) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    with pytest.raises(BundleError) as caught:
        unpack_tiny(wheel, folder)
    assert str(caught.value) == f"tiny.whl: not a sound wheel: {what}".replace("\\\\", "\\")
    assert not (tmp_path / "evil").exists()


def test_a_link_in_a_wheel_is_refused(tmp_path: Path) -> None:
    archive = io.BytesIO(tiny_wheel())
    with zipfile.ZipFile(archive, "a") as wheel:
        info = zipfile.ZipInfo("tiny/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        wheel.writestr(info, "/etc/passwd")
    with pytest.raises(BundleError, match="tiny/link is not a plain file"):
        unpack_tiny(archive.getvalue(), tmp_path)


def test_damage_in_a_wheel_is_an_error_of_ours(tmp_path: Path) -> None:
    wheel = tiny_wheel({"tiny/big.py": bytes(range(256)) * 40})
    shuffled = random.Random(2)
    for count in range(300):
        flipped = bytearray(wheel)
        flipped[shuffled.randrange(len(wheel))] ^= 1 << shuffled.randrange(8)
        folder = tmp_path / str(count)
        folder.mkdir()
        try:
            unpack_tiny(bytes(flipped), folder)
        except BundleError:
            pass
        shutil.rmtree(folder)
