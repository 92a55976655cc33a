"""Reads a set of wheels: which files each installs, and what the compiled ones name."""

import csv
import io
import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edge.adapters.elf import elf_links
from edge.errors import BundleError
from edge.records.wheel_files import Names, WheelFile

_SHARED_OBJECT = re.compile(r".*\.so(\.[0-9.]+)?$")
_WORD = re.compile(rb"[A-Za-z0-9_]")
_DOTTED = re.compile(rb"[A-Za-z0-9_.]{1,200}")
# The parts of a .data folder that go onto the import path; scripts, headers and data do not.
_IMPORTED = ("purelib", "platlib")
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
# Cython's modules may hold the names that they import compressed; this stands in each of them.
_CYTHON = b"cython_runtime"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, csv.Error)


class WheelSet:
    """Some wheels, open: `names` are theirs, `files` what they put onto the import path."""

    def __init__(self, archives: Mapping[str, zipfile.ZipFile]) -> None:
        """Read every compiled file, as many at once as there are cores.

        Raises:
            BundleError: a wheel is damaged.
        """
        self.names = tuple(archives)
        self._archives = archives
        self._compiled: dict[tuple[str, str], bytes] = {}
        found = [
            (wheel, info, path)
            for wheel, archive in archives.items()
            for info in archive.infolist()
            if (path := _installed_path(info)) is not None
        ]
        with ThreadPoolExecutor() as pool:
            self.files = tuple(pool.map(lambda one: self._described(*one), found))
        tops = {file.path.partition("/")[0].partition(".")[0] for file in self.files}
        self._tops = sorted(top.encode() for top in tops if top.isidentifier())
        self._library_names = sorted({name for file in self.files for name in file.sonames})

    def read(self, wheel: str, member: str) -> bytes:
        """Return a member's bytes.

        Raises:
            BundleError: the wheel is damaged.
        """
        known = self._compiled.get((wheel, member))
        if known is not None:
            return known
        try:
            return self._archives[wheel].read(member)
        except _DAMAGE as error:
            raise BundleError(f"a damaged wheel: {member}: {error}", where=wheel) from error

    def compiled(self, wheel: str) -> Iterator[bytes]:
        """Yield the bytes of a wheel's compiled files."""
        return (data for (name, _), data in self._compiled.items() if name == wheel)

    def size_bytes(self, wheel: str, member: str) -> int:
        """Return how large a member is."""
        return self._archives[wheel].getinfo(member).file_size

    def recorded(self, wheel: str) -> frozenset[str]:
        """Return the members that RECORD lists, all of which are there, and no others.

        Raises:
            BundleError: it is no wheel, or others are there.
        """
        archive = self._archives[wheel]
        there = {info.filename for info in archive.infolist() if not info.is_dir()}
        records = [n for n in there if n.count("/") == 1 and n.endswith(".dist-info/RECORD")]
        if len(records) != 1:
            raise BundleError("not a wheel: it has no RECORD", where=wheel)
        free = {records[0][: -len("RECORD")] + name for name in _UNRECORDED}
        try:
            text = self.read(wheel, records[0]).decode("utf-8")
            listed = {row[0] for row in csv.reader(io.StringIO(text)) if len(row) == 3} - free
        except _DAMAGE as error:
            raise BundleError(f"a damaged wheel: RECORD: {error}", where=wheel) from error
        odd = sorted(listed.symmetric_difference(there - free))
        if odd:
            where = "in RECORD only" if odd[0] in listed else "not in RECORD"
            raise BundleError(f"a damaged wheel: {odd[0]} is {where}", where=wheel)
        return frozenset(listed)

    def compiled_names(self, file: WheelFile) -> Names:
        """Return what a compiled file names: what it is linked with, and what its bytes spell.

        Code that imports may build the name from a package's and another part, so every module
        directly below a package that is spelled out counts.
        """
        data = self.read(file.wheel, file.member)
        spelled = {name for top in self._tops for name in _dotted(data, top)}
        if _CYTHON in data:
            spelled.add(file.path.rpartition("/")[0].replace("/", "."))
        named = {name for name in self._library_names if name.encode() in data}
        needed = {name.rpartition("/")[2] for name in elf_links(data).needed}
        return Names(children=frozenset(spelled), libraries=frozenset(named | needed))

    def _described(self, wheel: str, info: zipfile.ZipInfo, path: str) -> WheelFile:
        member, size_bytes = info.filename, info.file_size
        plain = WheelFile(wheel=wheel, member=member, path=path, size_bytes=size_bytes)
        if not _SHARED_OBJECT.match(member):
            return plain
        data = self.read(wheel, member)
        if data[:4] != b"\x7fELF":
            # A linker script is read by linkers alone.
            return plain
        # It is looked at twice and compressed once; decompressing it again would take longer.
        self._compiled[wheel, member] = data
        name = path.rpartition("/")[2]
        stem = name.partition(".")[0]
        importable = name.endswith(".so") and b"PyInit_" + stem.encode() in data
        try:
            soname = elf_links(data).soname or name
        except BundleError as error:
            raise BundleError(f"a damaged wheel: {member}: {error.what}", where=wheel) from error
        names = {name, name.partition(".so")[0] + ".so", soname}
        return WheelFile(
            wheel=wheel,
            member=member,
            path=path,
            size_bytes=size_bytes,
            compiled=True,
            importable=importable,
            sonames=frozenset(() if importable else names),
        )


@contextmanager
def open_wheels(paths: Sequence[Path]) -> Iterator[WheelSet]:
    """Open some wheels; they are called by their file names.

    Raises:
        BundleError: one is no wheel, or is damaged.
        HostError: one cannot be read.
    """
    with ExitStack() as opened:
        archives = {}
        for path in paths:
            try:
                archives[path.name] = opened.enter_context(zipfile.ZipFile(path))
            except _DAMAGE as error:
                raise BundleError(f"a damaged wheel: {error}", where=path.name) from error
        yield WheelSet(archives)


@contextmanager
def opened_once(paths: Sequence[Path]) -> Iterator[Callable[[], WheelSet]]:
    """Give a function that opens some wheels when it is called first; any thread may call it."""
    lock = threading.Lock()
    found: list[WheelSet] = []
    with ExitStack() as stack:

        def opened() -> WheelSet:
            with lock:
                if not found:
                    found.append(stack.enter_context(open_wheels(paths)))
                return found[0]

        yield opened


def _installed_path(info: zipfile.ZipInfo) -> str | None:
    """Return where a member goes below the import path; None if it does not."""
    top, _, rest = info.filename.partition("/")
    if info.is_dir():
        return None
    if not top.endswith(".data"):
        return info.filename
    kind, _, inner = rest.partition("/")
    return inner if kind in _IMPORTED and inner else None


def _dotted(data: bytes, top: bytes) -> Iterator[str]:
    """Yield the dotted names in some bytes that begin with the name of an outermost package."""
    at = data.find(top)
    while at >= 0:
        end = at + len(top)
        if data[end : end + 1] == b"." or not _WORD.match(data, end):
            match = _DOTTED.match(data, at)
            yield (match[0] if match else top).decode("ascii").strip(".")
        at = data.find(top, end)
