"""How compiled files are linked: small made ones of every kind, damaged ones, and real ones."""

import random
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge.adapters.elf import ElfLinks, elf_links
from edge.errors import BundleError

_BASE = 0x10000


def small_elf(
    *,
    wide: bool = True,
    order: str = "<",
    soname: str | None = None,
    needed: Sequence[str] = (),
    extra: bytes = b"",
) -> bytes:
    """Return a shared object of a header, two segments, a dynamic section and its strings."""
    strings = b"\0"
    tags = []
    for tag, name in [*((1, name) for name in needed), *([(14, soname)] if soname else [])]:
        tags.append((tag, len(strings)))
        strings += name.encode() + b"\0"
    header = struct.Struct(order + ("16sHHIQQQIHHHHHH" if wide else "16sHHIIIIIHHHHHH"))
    segment = struct.Struct(order + ("IIQQQQQQ" if wide else "IIIIIIII"))
    entry = struct.Struct(order + ("qQ" if wide else "iI"))
    dynamic_at = header.size + 2 * segment.size
    strings_at = dynamic_at + entry.size * (len(tags) + 2)
    tags = [(5, _BASE + strings_at), *tags, (0, 0)]
    dynamic = b"".join(entry.pack(*tag) for tag in tags)
    size = strings_at + len(strings) + len(extra)

    def packed(kind: int, at: int, length: int) -> bytes:
        if wide:
            return segment.pack(kind, 4, at, _BASE + at, 0, length, length, 8)
        return segment.pack(kind, at, _BASE + at, 0, length, length, 4, 8)

    identity = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    head = header.pack(
        identity,
        3,
        183 if wide else 40,
        1,
        0,
        header.size,
        0,
        0,
        header.size,
        segment.size,
        2,
        0,
        0,
        0,
    )
    loaded = packed(1, 0, size) + packed(2, dynamic_at, len(dynamic))
    return head + loaded + dynamic + strings + extra


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_names_are_read(order: str, *, wide: bool) -> None:
    made = small_elf(wide=wide, order=order, soname="libx.so.1", needed=["libc.so.6", "liby.so"])
    assert elf_links(made) == ElfLinks(soname="libx.so.1", needed=("libc.so.6", "liby.so"))
    assert elf_links(small_elf(wide=wide, order=order)) == ElfLinks()


def test_what_is_no_elf_file_is_linked_with_nothing() -> None:
    assert elf_links(b"") == ElfLinks()
    assert elf_links(b"GROUP ( libx.so.1 )") == ElfLinks()


def test_a_real_module_names_its_libraries() -> None:
    folder = Path(np.__file__).parent
    (module,) = folder.rglob("_multiarray_umath.*.so")
    links = elf_links(module.read_bytes())
    assert links.soname is None
    assert "libc.so.6" in links.needed
    vendored = {path.name for path in (folder.parent / "numpy.libs").glob("*.so*")}
    assert [name for name in links.needed if "openblas" in name] != []
    assert {name for name in links.needed if "openblas" in name} <= vendored
    for name in vendored:
        inner = elf_links((folder.parent / "numpy.libs" / name).read_bytes())
        assert inner.soname is not None
        assert inner.soname.partition(".so")[0] == name.partition(".so")[0]


@pytest.mark.parametrize("length", [5, 40, 64, 120, 200])
def test_a_cut_file_is_an_error_of_ours(length: int) -> None:
    with pytest.raises(BundleError, match=r"^a damaged ELF file: "):
        elf_links(small_elf(needed=["libc.so.6"])[:length])


def test_damage_is_an_error_of_ours() -> None:
    made = small_elf(needed=["libc.so.6"], soname="libx.so")
    shuffled = random.Random(5)
    refused = 0
    for _ in range(500):
        flipped = bytearray(made)
        flipped[shuffled.randrange(len(made))] ^= 1 << shuffled.randrange(8)
        try:
            elf_links(bytes(flipped))
        except BundleError:
            refused += 1
    assert refused > 50
