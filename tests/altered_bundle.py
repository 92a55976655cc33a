"""Copies of a bundle with one fault in them, consistent again: only that fault is to be found."""

import base64
import hashlib
import io
import lzma
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from small_bundle import stored

from edge.adapters.bundle import Content, WrittenBundle, write_bundle
from edge.device.bundle import open_bundle
from edge.records.manifest import MANIFEST_PATH, BundleFile, Manifest

Change = Callable[[bytes], bytes]


def altered(
    bundle: Path, output: Path, members: Mapping[str, Change] | None = None, **changes: Any
) -> WrittenBundle:
    """Write a bundle anew with these members changed; `changes` are fields of its manifest.

    Sizes and digests are those of what is in it afterwards, wherever they stand.
    """
    contents = dict(_members(bundle))
    for name, change in (members or {}).items():
        contents[name] = change(contents[name])
    old = _manifest(bundle)
    plain = {
        wheel.path: len(lzma.decompress(contents[wheel.path])) if wheel.path in contents else 0
        for wheel in old.wheels
    }

    def manifest(files: tuple[BundleFile, ...]) -> Manifest:
        listed = {file.path: file for file in files}
        model = replace(old.model, sha256=listed[old.model.path].sha256)
        wheels = tuple(replace(w, unpacked_bytes=plain[w.path]) for w in old.wheels)
        return replace(old, files=files, **{"model": model, "wheels": wheels, **changes})

    given: dict[str, Content] = {**contents}
    return write_bundle(output, given, manifest, lambda _fraction: None)


def in_wheel(changes: Mapping[str, Change | None]) -> Change:
    """Return a change of a packed wheel: of the files that end so, None leaves them out."""

    def change(packed: bytes) -> bytes:
        files = {}
        with zipfile.ZipFile(io.BytesIO(lzma.decompress(packed))) as wheel:
            for info in wheel.infolist():
                files[info.filename] = wheel.read(info)
        for ending, change_file in changes.items():
            (name,) = [name for name in files if name.endswith(ending)]
            if change_file is None:
                del files[name]
            else:
                files[name] = change_file(files[name])
        _record(files)
        plain = io.BytesIO()
        with zipfile.ZipFile(plain, "w") as wheel:
            for name, data in files.items():
                wheel.writestr(zipfile.ZipInfo(name), data)
        return lzma.compress(stored(plain.getvalue()), check=lzma.CHECK_NONE, preset=0)

    return change


def wheel_path(bundle: Path, name: str) -> str:
    """Return the member of a bundle that holds the wheel of a distribution."""
    (path,) = [wheel.path for wheel in _manifest(bundle).wheels if wheel.name == name]
    return path


def other_output(packed: bytes) -> bytes:
    """Change one number of the first output that samples must give, as by hand."""
    with np.load(io.BytesIO(packed)) as file:
        arrays = dict(file)
    name = next(name for name in arrays if name.startswith("output."))
    first = arrays[name][0]
    # Whatever the comparison: another entry is the largest, by far.
    loser = np.unravel_index(int(first.argmin()), first.shape)
    first[loser] = first.max() + 10
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


def flipped(bundle: Path, output: Path) -> Path:
    """Write a bundle with one bit of its last quarter changed, and nothing made good."""
    data = bytearray(bundle.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    output.write_bytes(data)
    return output


def newer_glibc(old: str, new: str) -> Change:
    """Return a change of a compiled file: a symbol version that it needs becomes another.

    Both are as long ("GLIBC_2.17", "GLIBC_2.94"); .gnu.version_r also has the version's ELF hash
    (System V ABI, chapter 5, "Hash Table"), which the loader compares first.
    """
    before, after = old.encode() + b"\0", new.encode() + b"\0"
    hashes = [_elf_hash(name.encode()).to_bytes(4, "little") for name in (old, new)]

    def change(data: bytes) -> bytes:
        assert data.count(before) == 1, (old, data.count(before))
        # vna_hash, vna_flags (0) and vna_other stand together.
        assert data.count(hashes[0] + b"\0\0") >= 1
        return data.replace(before, after).replace(hashes[0] + b"\0\0", hashes[1] + b"\0\0")

    return change


def forced_dot_products(data: bytes) -> bytes:
    """Make a build of LiteRT take dot products for granted, whatever the kernel says of the CPU.

    cpuinfo tests bit 20 of the hardware capabilities (HWCAP_ASIMDDP) by `tbnz w0, #20` before a
    plain branch; ruy by `getauxval(AT_HWCAP)` and `ubfx x0, x0, #20, #1`.
    """
    words = np.frombuffer(data[: len(data) // 4 * 4], dtype="<u4").copy()
    branches = np.flatnonzero((words[:-1] & 0xFFF8001F == 0x37A00000) & (words[1:] >> 26 == 5))
    assert len(branches) == 1
    for at in branches:
        # `b` to where `tbnz` jumps: 14 signed bits of words become 26.
        offset = int(words[at]) >> 5 & 0x3FFF
        offset -= (offset & 0x2000) << 1
        words[at] = 0x14000000 | offset & 0x03FFFFFF
    takes = (words[:-2] == 0x52800200) & (words[1:-1] >> 26 == 0x25) & (words[2:] == 0xD3545000)
    assert takes.sum() == 1
    words[np.flatnonzero(takes) + 2] = 0xD2800020  # mov x0, #1
    return words.tobytes() + data[len(data) // 4 * 4 :]


def _record(files: dict[str, bytes]) -> None:
    """Make a wheel's RECORD say what its files are; those that are left out stay listed."""
    (name,) = [name for name in files if name.endswith(".dist-info/RECORD")]
    rows = []
    for row in files[name].decode().splitlines():
        path, _, rest = row.partition(",")
        if path in files and rest.strip(","):
            rest = f"sha256={_recorded(files[path])},{len(files[path])}"
        rows.append(f"{path},{rest}")
    files[name] = "\n".join(rows).encode() + b"\n"


def _recorded(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _elf_hash(name: bytes) -> int:
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high & 0xFFFFFFFF
    return value


def _members(bundle: Path) -> Mapping[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        names = [name for name in archive.namelist() if name != MANIFEST_PATH]
        return {name: archive.read(name) for name in names}


def _manifest(bundle: Path) -> Manifest:
    with open_bundle(str(bundle)) as opened:
        return opened.manifest
