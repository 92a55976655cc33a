"""Unpacking wheels: by their rules, and nothing outside the folder."""

import builtins
import hashlib
import io
import lzma
import random
import shutil
import stat
import threading
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_bundle import packed, stored, tiny_wheel

from edge.device import wheels as wheels_module
from edge.device.wheels import needed_bytes, unpack_wheel, unpack_wheels
from edge.errors import BundleError, HostError
from edge.records.manifest import BundleWheel

NAME = "tiny-1.0-py3-none-any.whl"


def entry(unpacked_bytes: int, *, left_out: int = 0, name: str = NAME) -> BundleWheel:
    return BundleWheel(
        name="tiny",
        version="1.0",
        filename=name,
        sha256="0" * 64,
        path=f"wheels/{name}.xz",
        unpacked_bytes=unpacked_bytes,
        left_out_files=left_out,
        left_out_bytes=0,
    )


def unpack_tiny(wheel: bytes, folder: Path, *, left_out: int = 0) -> list[tuple[str, int]]:
    """Unpack a wheel as a registry has it."""
    is_zip = zipfile.is_zipfile(io.BytesIO(wheel))
    plain = stored(wheel) if is_zip else wheel
    member = packed(wheel) if is_zip else lzma.compress(wheel)
    listed = entry(len(plain), left_out=left_out)
    return unpack_wheel([member], listed, str(folder), str(folder))


def unpack_raw(member: Iterable[bytes], folder: Path, unpacked_bytes: int) -> list[tuple[str, int]]:
    return unpack_wheel(member, entry(unpacked_bytes), str(folder), str(folder))


def refusal(member: Iterable[bytes], folder: Path, unpacked_bytes: int) -> str:
    with pytest.raises(BundleError) as caught:
        unpack_raw(member, folder, unpacked_bytes)
    assert list(folder.iterdir()) == []
    prefix = f"{NAME}.xz: not a sound wheel: "
    assert str(caught.value).startswith(prefix)
    return str(caught.value)[len(prefix) :]


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
    expected = f"{NAME}.xz: not a sound wheel: {what}".replace("\\\\", "\\")
    assert str(caught.value) == expected
    assert not (tmp_path / "evil").exists()


def test_a_link_in_a_wheel_is_refused(tmp_path: Path) -> None:
    archive = io.BytesIO(stored(tiny_wheel()))
    with zipfile.ZipFile(archive, "a") as wheel:
        info = zipfile.ZipInfo("tiny/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        wheel.writestr(info, "/etc/passwd")
    plain = archive.getvalue()
    assert refusal([lzma.compress(plain)], tmp_path, len(plain)) == "tiny/link is not a plain file"


def test_damage_in_a_wheel_is_an_error_of_ours(tmp_path: Path) -> None:
    plain = stored(tiny_wheel({"tiny/big.py": bytes(range(256)) * 40}))
    shuffled = random.Random(2)
    unharmed = 0
    for count in range(150):
        flipped = bytearray(plain)
        flipped[shuffled.randrange(len(plain))] ^= 1 << shuffled.randrange(8)
        folder = tmp_path / str(count)
        folder.mkdir()
        try:
            unpack_raw([lzma.compress(flipped, preset=0)], folder, len(plain))
            unharmed += 1
        except BundleError:
            pass
        shutil.rmtree(folder)
    # Times and modes of members are nobody's; the member's own digest covers them.
    assert unharmed < 20


def test_damage_in_the_compressed_bytes_is_an_error_of_ours(tmp_path: Path) -> None:
    plain = stored(tiny_wheel({"tiny/big.py": bytes(range(256)) * 40}))
    member = lzma.compress(plain, check=lzma.CHECK_NONE)
    shuffled = random.Random(3)
    for count in range(150):
        flipped = bytearray(member)
        flipped[shuffled.randrange(len(member))] ^= 1 << shuffled.randrange(8)
        folder = tmp_path / str(count)
        folder.mkdir()
        try:
            unpack_raw([bytes(flipped)], folder, len(plain))
        except BundleError:
            pass
        shutil.rmtree(folder)


def test_what_was_left_out_may_be_missing(tmp_path: Path) -> None:
    wheel = tiny_wheel({"a.py": b"1"}, record={"b.py": b"2", "c.py": b"3"})
    written = unpack_tiny(wheel, tmp_path, left_out=2)
    assert [path for path, _ in written if not path.startswith("tiny-1.0")] == ["a.py"]


@pytest.mark.parametrize(
    ("left_out", "what"),
    [
        (0, "b.py is in RECORD only"),
        (1, "2 of the files in RECORD are missing, and 1 were left out"),
        (3, "2 of the files in RECORD are missing, and 3 were left out"),
    ],
)
def test_another_number_of_missing_files_is_refused(
    tmp_path: Path, left_out: int, what: str
) -> None:
    wheel = tiny_wheel({"a.py": b"1"}, record={"b.py": b"2", "c.py": b"3"})
    with pytest.raises(BundleError) as caught:
        unpack_tiny(wheel, tmp_path, left_out=left_out)
    assert caught.value.what == f"not a sound wheel: {what}"


def test_a_bomb_is_left_at_the_first_byte_too_much(tmp_path: Path) -> None:
    bomb = lzma.compress(bytes(64 << 20))
    assert len(bomb) < 20_000
    what = "it unpacks to more than the manifest says"
    assert refusal([bomb], tmp_path, 1000) == what
    fed: list[int] = []

    def blocks() -> Iterator[bytes]:
        for start in range(0, len(bomb), 100):
            fed.append(start)
            yield bomb[start : start + 100]

    assert refusal(blocks(), tmp_path, 1 << 20) == what
    assert len(fed) < 20


def test_a_dictionary_that_no_board_has_the_memory_for_is_refused(tmp_path: Path) -> None:
    plain = stored(tiny_wheel())
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 64 << 20}]
    member = lzma.compress(plain, filters=filters)
    assert refusal([member], tmp_path, len(plain)) == "memory usage limit exceeded"


def test_a_size_that_nothing_has_is_refused_unread(tmp_path: Path) -> None:
    def never() -> Iterator[bytes]:
        raise AssertionError
        yield b""

    assert refusal(never(), tmp_path, 1 << 40) == "it unpacks to too much"


@pytest.mark.parametrize("missing", [1, 12, 100])
def test_a_truncated_wheel_is_refused(tmp_path: Path, missing: int) -> None:
    plain = stored(tiny_wheel())
    member = packed(tiny_wheel())[:-missing]
    assert refusal([member], tmp_path, len(plain)) == "its compressed bytes end too early"


def test_what_follows_or_lacks_is_refused(tmp_path: Path) -> None:
    plain, member = stored(tiny_wheel()), packed(tiny_wheel())
    follows = "something follows its compressed bytes"
    assert refusal([member + b"x"], tmp_path, len(plain)) == follows
    assert refusal([member, b"x"], tmp_path, len(plain)) == follows
    assert refusal([member, member], tmp_path, len(plain)) == follows
    less = "it unpacks to less than the manifest says"
    assert refusal([member], tmp_path, len(plain) + 1) == less
    assert refusal([plain], tmp_path, len(plain)) == "input format not supported by decoder"
    assert refusal([], tmp_path, len(plain)) == "its compressed bytes end too early"


def test_members_that_are_compressed_once_more_are_refused(tmp_path: Path) -> None:
    archive = io.BytesIO(stored(tiny_wheel()))
    with zipfile.ZipFile(archive, "a") as wheel:
        info = zipfile.ZipInfo("tiny/big.py")
        wheel.writestr(info, random.Random(1).randbytes(1000), zipfile.ZIP_DEFLATED)
    plain = archive.getvalue()
    what = "tiny/big.py is compressed once more"
    assert refusal([lzma.compress(plain)], tmp_path, len(plain)) == what


def test_nothing_is_read_of_bytes_that_are_not_the_manifest_s(tmp_path: Path) -> None:
    def damaged() -> Iterator[bytes]:
        yield packed(tiny_wheel())
        raise BundleError("the bundle is damaged")

    with pytest.raises(BundleError, match=r"^the bundle is damaged$"):
        unpack_raw(damaged(), tmp_path, len(stored(tiny_wheel())))
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_lzma_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "lzma":
            raise ImportError("No module named '_lzma'")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(HostError) as caught:
        unpack_raw([packed(tiny_wheel())], tmp_path, len(stored(tiny_wheel())))
    what = "this Python has no lzma module, and the wheels are compressed with xz"
    assert str(caught.value) == what
    assert caught.value.hint == (
        "use the system's Python (apt install python3), or build Python with liblzma-dev"
    )


def several(count: int) -> list[tuple[BundleWheel, bytes]]:
    made = []
    for number in range(count):
        wheel = tiny_wheel({f"tiny{number}.py": b"A = 1\n" * number})
        wheel = renamed(wheel, f"tiny{number}")
        made.append((entry(len(stored(wheel)), name=f"tiny{number}-1.0.whl"), packed(wheel)))
    return made


def renamed(wheel: bytes, name: str) -> bytes:
    """Return a wheel with its dist-info folder under another name."""
    files = {}
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for member in archive.namelist():
            files[member.replace("tiny-1.0.dist", f"{name}-1.0.dist")] = archive.read(member)
    record = f"{name}-1.0.dist-info/RECORD"
    files[record] = files[record].replace(b"tiny-1.0.dist", f"{name}-1.0.dist".encode())
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for member, content in files.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return data.getvalue()


def test_several_wheels_are_listed_in_their_order(tmp_path: Path) -> None:
    made = several(6)
    listing = unpack_wheels([(w, [data]) for w, data in made], str(tmp_path), str(tmp_path))
    modules = [path for path, _ in listing if path.endswith(".py")]
    assert modules == [f"tiny{number}.py" for number in range(6)]
    sizes = {str(p.relative_to(tmp_path)): p.stat().st_size for p in tmp_path.rglob("*.*")}
    assert all(sizes[path] == size for path, size in listing if path in sizes)
    assert needed_bytes(w for w, _ in made) == 2 * sum(w.unpacked_bytes for w, _ in made)
    assert unpack_wheels([], str(tmp_path), str(tmp_path)) == []


def test_one_bad_wheel_of_several_ends_all_threads(tmp_path: Path) -> None:
    made = several(6)
    bad = (made[3][0], [made[3][1][:-1]])
    wheels = [(w, [data]) for w, data in made]
    with pytest.raises(BundleError) as caught:
        unpack_wheels([*wheels[:3], bad, *wheels[4:]], str(tmp_path), str(tmp_path))
    assert str(caught.value) == (
        "tiny3-1.0.whl.xz: not a sound wheel: its compressed bytes end too early"
    )
    assert threading.active_count() == 1


def test_the_same_file_in_two_wheels_is_refused(tmp_path: Path) -> None:
    wheel = packed(tiny_wheel())
    size = len(stored(tiny_wheel()))
    two = [(entry(size, name=f"{name}.whl"), [wheel]) for name in ("one", "two")]
    with pytest.raises(BundleError, match=r"is in another wheel too$"):
        unpack_wheels(two, str(tmp_path), str(tmp_path))


def test_a_wheel_is_never_whole_in_memory(tmp_path: Path) -> None:
    big = tiny_wheel({"tiny/big.bin": random.Random(1).randbytes(1 << 20) * 24})
    plain = stored(big)
    member = lzma.compress(plain, preset=0)
    blocks: list[int] = []
    decompressed = wheels_module._decompressed([member], len(plain), NAME)
    digest = hashlib.sha256()
    for block in decompressed:
        blocks.append(len(block))
        digest.update(block)
    assert max(blocks) <= 1 << 20
    assert digest.hexdigest() == hashlib.sha256(plain).hexdigest()
