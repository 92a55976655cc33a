"""What compiled files need of a system (the tags of wheels are known to lie) and of each other.

Reads the version needs (.gnu.version_r) of ELF files, as the Linux Standard Base Core
specification (generic part, chapter 10.7) lays them out, and their dynamic section, as the System V
ABI (chapter 5) does.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edge.errors import BundleError

_MACHINES = {183: "aarch64", 62: "x86_64", 40: "armv7l", 3: "i686"}
_SECTION_NEEDS = 0x6FFFFFFE
_SEGMENT_LOAD, _SEGMENT_DYNAMIC = 1, 2
_TAG_END, _TAG_NEEDED, _TAG_STRINGS, _TAG_SONAME = 0, 1, 5, 14
_SHARED_OBJECT = re.compile(r".*\.so(\.[0-9.]+)?$")
_VERSION = re.compile(r"(GLIBC|GLIBCXX)_([0-9.]+)$")
_LARGEST_FILE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemNeeds:
    """The architectures, and the newest symbol versions of the C and C++ libraries; None: none."""

    architectures: tuple[str, ...] = ()
    glibc: str | None = None
    libstdcxx: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfLinks:
    """The name that others load a file by (None: none of its own), and those that it loads."""

    soname: str | None = None
    needed: tuple[str, ...] = ()


def elf_links(data: bytes) -> ElfLinks:
    """Return how a compiled file is linked; nothing at all if it is none, or a static one.

    Raises:
        BundleError: it is damaged.
    """
    if data[:4] != b"\x7fELF":
        return ElfLinks()
    try:
        tags = _dynamic_tags(data)
    except (struct.error, ValueError, IndexError) as error:
        raise BundleError(f"a damaged ELF file: {error}") from error
    sonames = [name for tag, name in tags if tag == _TAG_SONAME]
    needed = tuple(name for tag, name in tags if tag == _TAG_NEEDED)
    return ElfLinks(soname=sonames[0] if sonames else None, needed=needed)


def _dynamic_tags(data: bytes) -> list[tuple[int, str]]:
    """Return the dynamic section's entries that name a library."""
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    segments = _segments(data, order, wide=wide)
    entry = struct.Struct(order + ("qQ" if wide else "iI"))
    found = []
    for kind, offset, _, size in segments:
        if kind == _SEGMENT_DYNAMIC:
            for tag, value in entry.iter_unpack(
                data[offset : offset + size // entry.size * entry.size]
            ):
                if tag == _TAG_END:
                    break
                found.append((tag, value))
    tables = [value for tag, value in found if tag == _TAG_STRINGS]
    named = [(tag, value) for tag, value in found if tag in (_TAG_NEEDED, _TAG_SONAME)]
    if not named:
        return []
    strings = _file_offset(tables[0], segments)
    texts = []
    for tag, value in named:
        end = data.index(b"\0", strings + value)
        texts.append((tag, data[strings + value : end].decode("utf-8", "replace")))
    return texts


def _segments(data: bytes, order: str, *, wide: bool) -> list[tuple[int, int, int, int]]:
    """Return type, offset, address and size in the file of every segment."""
    at = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    layout = order + ("IIQQQQQQ" if wide else "IIIIIIII")
    headers = [struct.unpack_from(layout, data, at + size * index) for index in range(count)]
    if wide:
        return [(header[0], header[2], header[3], header[5]) for header in headers]
    return [(header[0], header[1], header[2], header[4]) for header in headers]


def _file_offset(address: int, segments: list[tuple[int, int, int, int]]) -> int:
    """Return where in the file lies what is loaded at an address."""
    for kind, offset, start, size in segments:
        if kind == _SEGMENT_LOAD and start <= address < start + size:
            return offset + address - start
    raise ValueError(f"nothing is loaded at {address:#x}")


def all_needs(needs: list[SystemNeeds]) -> SystemNeeds:
    """Return what several files need together."""
    return SystemNeeds(
        architectures=tuple(sorted({name for need in needs for name in need.architectures})),
        glibc=newest(need.glibc for need in needs),
        libstdcxx=newest(need.libstdcxx for need in needs),
    )


def newest(versions: Iterator[str | None]) -> str | None:
    """Return the newest of some versions, ignoring those that are not there."""
    known = [version for version in versions if version is not None]
    return max(known, key=version_key, default=None)


def version_key(version: str) -> tuple[int, ...]:
    """Return a version as numbers that compare as versions do."""
    return tuple(int(part) for part in version.split("."))


def elf_needs(data: bytes) -> SystemNeeds:
    """Return what one ELF file needs; nothing at all if it is none (a linker script)."""
    if data[:4] != b"\x7fELF":
        return SystemNeeds()
    wide = data[4] == 2
    order = "<" if data[5] == 1 else ">"
    machine = struct.unpack_from(order + "H", data, 18)[0]
    names = list(_needed_names(data, order, wide=wide))
    matches = [match for match in map(_VERSION.match, names) if match is not None]
    return SystemNeeds(
        architectures=(_MACHINES.get(machine, f"ELF machine {machine}"),),
        glibc=newest(m[2] for m in matches if m[1] == "GLIBC"),
        libstdcxx=newest(m[2] for m in matches if m[1] == "GLIBCXX"),
    )


def _needed_names(data: bytes, order: str, *, wide: bool) -> Iterator[str]:
    """Yield the names of the symbol versions that the file needs, such as GLIBC_2.34."""
    sections = _sections(data, order, wide=wide)
    for kind, start, link, count in sections:
        if kind != _SECTION_NEEDS:
            continue
        strings, need = sections[link][1], start
        for _ in range(count):
            _, entries, _, first, following = struct.unpack_from(order + "HHIII", data, need)
            entry = need + first
            for _ in range(entries):
                _, _, _, name, after = struct.unpack_from(order + "IHHII", data, entry)
                end = data.index(b"\0", strings + name)
                yield data[strings + name : end].decode("ascii", "replace")
                entry += after
            need += following


def _sections(data: bytes, order: str, *, wide: bool) -> list[tuple[int, int, int, int]]:
    """Return type, offset, link and info of every section."""
    at = struct.unpack_from(order + ("Q" if wide else "I"), data, 40 if wide else 32)[0]
    size, count = struct.unpack_from(order + "HH", data, 58 if wide else 46)
    layout = order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII")
    headers = (struct.unpack_from(layout, data, at + size * index) for index in range(count))
    return [(header[1], header[4], header[6], header[7]) for header in headers]
