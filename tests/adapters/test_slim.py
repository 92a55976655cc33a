"""Sets of wheels: what they hold, what their compiled files name, and how they are packed."""

import hashlib
import io
import lzma
import stat
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from made_packages import made_wheel
from test_elf import small_elf

from edge.adapters.slim import pack_wheels, xz_filters
from edge.adapters.wheel_set import WheelSet, open_wheels
from edge.errors import BundleError, HostError
from edge.records.wheel_files import WheelFile

ONE = "one-1.0-py3-none-any.whl"
TWO = "two-1.0-py3-none-any.whl"
MODULE = "one/m.cpython-311-aarch64-linux-gnu.so"


def compiled(text: bytes, needed: tuple[str, ...] = (), soname: str | None = None) -> bytes:
    return small_elf(needed=needed, soname=soname, extra=b"\0" + text + b"\0")


def files_of(wheels: WheelSet) -> dict[str, WheelFile]:
    return {file.path: file for file in wheels.files}


def made_set(folder: Path, one: Mapping[str, bytes], two: Mapping[str, bytes]) -> list[Path]:
    return [made_wheel(folder, "one", one), made_wheel(folder, "two", two)]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    one = {
        "one/__init__.py": b"A = 1\n" * 5000,
        MODULE: compiled(b"PyInit_m\0two.inner\0onety\0xone.sub.deep", ("libz-1f.so.1",)),
        "one/fast.so": compiled(b"PyInit_fast\0cython_runtime"),
        "one/script.so": b"GROUP ( libz.so )",
        "one.libs/libz-1f.so.1.2": compiled(b"PyInit_libz", soname="libz-1f.so.1"),
        "one/libplug.so": compiled(b"libz-1f.so.1 is loaded"),
        "one-1.0.data/platlib/one/extra.py": b"",
        "one-1.0.data/scripts/one": b"#!python\n",
    }
    return made_set(tmp_path, one, {"two/__init__.py": b"", "two/inner.py": b"B = 2\n"})


def test_what_a_set_holds(paths: list[Path]) -> None:
    with open_wheels(paths) as wheels:
        assert wheels.names == (ONE, TWO)
        files = files_of(wheels)
    assert files["one/extra.py"].member == "one-1.0.data/platlib/one/extra.py"
    assert not [path for path in files if "scripts" in path]
    assert {path for path, one in files.items() if one.importable} == {MODULE, "one/fast.so"}
    libraries = {path: one.sonames for path, one in files.items() if one.sonames}
    assert libraries == {
        "one.libs/libz-1f.so.1.2": {"libz-1f.so.1.2", "libz-1f.so", "libz-1f.so.1"},
        "one/libplug.so": {"libplug.so"},
    }
    # What only a linker reads is an ordinary file.
    assert not files["one/script.so"].compiled
    assert files["one/__init__.py"].size_bytes == 30_000


def test_what_compiled_files_name(paths: list[Path]) -> None:
    with open_wheels(paths) as wheels:
        files = files_of(wheels)
        module = wheels.compiled_names(files[MODULE])
        fast = wheels.compiled_names(files["one/fast.so"])
        plug = wheels.compiled_names(files["one/libplug.so"])
    # Linkers let one string be the end of another one, so what stands before a name is no matter;
    # what follows it is.
    assert module.children == {"two.inner", "one.sub.deep"}
    assert module.libraries == {"libz-1f.so", "libz-1f.so.1"}
    # Of a module of Cython's, which may hold names compressed, all of its folder counts.
    assert fast.children == {"one"}
    assert plug.libraries == {"libz-1f.so.1", "libz-1f.so"}


def kept_of(wheels: WheelSet) -> dict[str, list[WheelFile]]:
    return {
        name: [f for f in wheels.files if f.wheel == name and f.path != "one/__init__.py"]
        for name in wheels.names
    }


def pack(paths: list[Path], folder: Path, fractions: list[float] | None = None) -> list[Path]:
    folder.mkdir(exist_ok=True)
    progress = (fractions if fractions is not None else []).append
    with open_wheels(paths) as wheels:
        slimmed = pack_wheels(wheels, lambda: kept_of(wheels), folder, "aarch64", progress)
    for one in slimmed:
        data = (folder / f"{one.filename}.xz").read_bytes()
        assert one.sha256 == hashlib.sha256(data).hexdigest()
        assert one.size_bytes == len(data)
        assert one.unpacked_bytes == len(lzma.decompress(data))
    assert [one.filename for one in slimmed] == [path.name for path in paths]
    # Left out are a module and a script, which an installation puts elsewhere.
    assert (slimmed[0].left_out_files, slimmed[0].left_out_bytes) == (2, 30_000 + 9)
    assert (slimmed[1].left_out_files, slimmed[1].left_out_bytes) == (0, 0)
    return sorted(folder.iterdir())


def test_what_is_packed(paths: list[Path], tmp_path: Path) -> None:
    fractions: list[float] = []
    packed = pack(paths, tmp_path / "out", fractions)
    assert [path.name for path in packed] == [f"{ONE}.xz", f"{TWO}.xz"]
    assert fractions == sorted(fractions)
    with zipfile.ZipFile(io.BytesIO(lzma.decompress(packed[0].read_bytes()))) as archive:
        infos = archive.infolist()
        assert archive.testzip() is None
        with zipfile.ZipFile(paths[0]) as whole:
            assert all(whole.read(i.filename) == archive.read(i) for i in infos)
    assert [i.filename for i in infos] == sorted(i.filename for i in infos)
    assert {i.compress_type for i in infos} == {zipfile.ZIP_STORED}
    assert {i.date_time for i in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {i.external_attr >> 16 for i in infos} == {stat.S_IFREG | 0o644}


@pytest.mark.parametrize(
    ("likely", "first"),
    [
        # All of them are kept: they come first, in the order of their names.
        ([MODULE, "one-1.0.dist-info/RECORD"], [MODULE, "one-1.0.dist-info/RECORD"]),
        # One of them is not, which was compressed in vain.
        (["one/__init__.py", "one/fast.so"], ["one/fast.so"]),
    ],
)
def test_what_is_likely_is_packed_first(
    paths: list[Path], tmp_path: Path, likely: list[str], first: list[str]
) -> None:
    with open_wheels(paths) as wheels:
        guessed = [f for f in wheels.files if f.wheel == ONE and f.member in likely]
        slimmed, _ = pack_wheels(
            wheels,
            lambda: kept_of(wheels),
            tmp_path,
            "aarch64",
            lambda _f: None,
            likely=guessed,
        )
        data = (tmp_path / f"{ONE}.xz").read_bytes()
        with zipfile.ZipFile(io.BytesIO(lzma.decompress(data))) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == sorted(first) + sorted(set(slimmed.kept) - set(first))
            assert all(wheels.read(ONE, n) == archive.read(n) for n in archive.namelist())
    assert slimmed.sha256 == hashlib.sha256(data).hexdigest()
    assert slimmed.size_bytes == len(data)
    assert slimmed.unpacked_bytes == len(lzma.decompress(data))


def test_a_decision_that_fails_ends_all_threads(paths: list[Path], tmp_path: Path) -> None:
    def fail() -> dict[str, list[WheelFile]]:
        raise BundleError("it is damaged")

    with open_wheels(paths) as wheels, pytest.raises(BundleError, match="it is damaged"):
        pack_wheels(wheels, fail, tmp_path, "aarch64", lambda _f: None, likely=wheels.files)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert threading.active_count() == 1


def test_the_same_wheels_give_the_same_bytes(paths: list[Path], tmp_path: Path) -> None:
    first = [path.read_bytes() for path in pack(paths, tmp_path / "first")]
    for path in paths:
        # Members in another order, with other dates, and compressed otherwise.
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name in reversed(members):
                archive.writestr(zipfile.ZipInfo(name, (2001, 2, 3, 4, 5, 6)), members[name])
    assert [path.read_bytes() for path in pack(paths, tmp_path / "second")] == first


def test_these_filters_give_these_bytes() -> None:
    """An xz library that compresses otherwise would give the same wheels other bytes."""
    words = b"".join(number.to_bytes(4, "little") for number in range(0, 400_000, 7))
    text = b"".join(b"def function_%d(): return %d\n" % (n, n * n) for n in range(2000))
    digests = {}
    for architecture in ("aarch64", "armv7l", "x86_64", "riscv64"):
        data = lzma.compress(
            words + text,
            lzma.FORMAT_XZ,
            lzma.CHECK_NONE,
            filters=xz_filters(architecture),
        )
        digests[architecture] = hashlib.sha256(data).hexdigest()[:16]
    assert digests == {
        "aarch64": "f9efbf3b4bf0eb10",
        "armv7l": "f9efbf3b4bf0eb10",
        "x86_64": "21e548caa80192bb",
        "riscv64": "4a9d98ec65558b51",
    }


@pytest.mark.parametrize("architecture", ["aarch64", "armv7l", "x86_64", "riscv64"])
def test_a_small_board_can_unpack_it(architecture: str) -> None:
    data = lzma.compress(bytes(100), check=lzma.CHECK_NONE, filters=xz_filters(architecture))
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=10 << 20)
    assert decoder.decompress(data) == bytes(100)


def test_an_interruption_ends_all_threads(paths: list[Path], tmp_path: Path) -> None:
    def interrupt(_fraction: float) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "out"
    folder.mkdir()
    with open_wheels(paths) as wheels, pytest.raises(KeyboardInterrupt):
        pack_wheels(wheels, lambda: kept_of(wheels), folder, "aarch64", interrupt)
    assert list(folder.glob(".*.part")) == []
    assert threading.active_count() == 1


def test_a_folder_that_is_not_there_is_named(paths: list[Path], tmp_path: Path) -> None:
    with open_wheels(paths) as wheels, pytest.raises(HostError, match="no such file"):
        pack_wheels(wheels, lambda: kept_of(wheels), tmp_path / "gone", "aarch64", lambda _f: None)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"one/more.py": b""}, "a damaged wheel: one/more.py is not in RECORD"),
        ({"two-1.0.dist-info/RECORD": b""}, "not a wheel: it has no RECORD"),
    ],
)
def test_a_wheel_that_is_not_as_it_says_is_refused(
    paths: list[Path], tmp_path: Path, change: dict[str, bytes], what: str
) -> None:
    with zipfile.ZipFile(paths[0], "a") as archive:
        for name, data in change.items():
            archive.writestr(name, data)
    with pytest.raises(BundleError) as caught:
        pack(paths, tmp_path / "out")
    assert str(caught.value) == f"{ONE}: {what}"


def test_a_damaged_member_is_named(paths: list[Path]) -> None:
    data = bytearray(paths[0].read_bytes())
    with zipfile.ZipFile(paths[0]) as archive:
        info = archive.getinfo(MODULE)
    data[info.header_offset + 30 + len(MODULE) + 10] ^= 0xFF
    paths[0].write_bytes(data)
    with pytest.raises(BundleError) as caught, open_wheels(paths):
        pass
    assert str(caught.value).startswith(f"{ONE}: a damaged wheel: {MODULE}: ")
