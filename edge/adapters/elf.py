"""What the compiled files of a wheel need of a system: the tags of its name are known to lie.

Reads the version needs (.gnu.version_r) of ELF files, as the Linux Standard Base Core
specification (generic part, chapter 10.7) lays them out.
"""

import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.errors import BundleError

_MACHINES = {183: "aarch64", 62: "x86_64", 40: "armv7l", 3: "i686"}
_SECTION_NEEDS = 0x6FFFFFFE
_SHARED_OBJECT = re.compile(r".*\.so(\.[0-9.]+)?$")
_VERSION = re.compile(r"(GLIBC|GLIBCXX)_([0-9.]+)$")
_LARGEST_FILE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemNeeds:
    """The architectures, and the newest symbol versions of the C and C++ libraries; None: none."""

    architectures: tuple[str, ...] = ()
    glibc: str | None = None
    libstdcxx: str | None = None


def wheel_needs(path: Path) -> SystemNeeds:
    """Return what all compiled files of a wheel need together.

    Raises:
        BundleError: it is no wheel, or a compiled file in it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = [
                elf_needs(archive.read(info))
                for info in archive.infolist()
                if _SHARED_OBJECT.match(info.filename) and info.file_size <= _LARGEST_FILE_BYTES
            ]
    except (zipfile.BadZipFile, struct.error, ValueError, IndexError) as error:
        raise BundleError(f"a damaged wheel: {error}", where=path.name) from error
    return all_needs(found)


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
