"""Writes what is kept of wheels, each as one xz file: the same bytes each time.

Why xz, and why with these filters: docs/adr/0008-slim-wheels.md.
"""

import hashlib
import io
import lzma
import stat
import threading
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, Self

from edge.adapters.files import whole_file
from edge.adapters.wheel_set import WheelSet
from edge.records.wheel_files import Slimmed, WheelFile

Progress = Callable[[float], None]
Filters = tuple[Mapping[str, int], ...]
_Decision = Future[dict[str, list[str]]]

# Every parameter is spelled out, since what a preset means is the library's to change. A
# dictionary of 8 MiB is what a board of 512 MB can spare for each wheel that it unpacks at once.
_LZMA2: Final[Mapping[str, int]] = MappingProxyType(
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 1,
        "dict_size": 8 << 20,
        "mode": lzma.MODE_FAST,
        "mf": lzma.MF_HC4,
        "nice_len": 64,
        "depth": 2,
    }
)
# Arm's instructions are words of four bytes: literals are told apart by their place in the word.
_WORDS: Final[Filters] = ({**_LZMA2, "lc": 0, "lp": 2, "pb": 2},)
_BYTES: Final[Filters] = ({**_LZMA2, "lc": 3, "lp": 0, "pb": 2},)
_FILTERS: Final[Mapping[str, Filters]] = MappingProxyType(
    {"aarch64": _WORDS, "armv7l": _WORDS, "x86_64": ({"id": lzma.FILTER_X86}, *_BYTES)}
)
# The bundle's manifest has the member's SHA-256, and RECORD that of every file in it.
_CHECK: Final = lzma.CHECK_NONE
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = stat.S_IFREG | 0o644
_UNIX: Final = 3
_BLOCK_BYTES = 1 << 20


def xz_filters(architecture: str) -> list[dict[str, int]]:
    """Return the chain of xz filters for the wheels of an architecture."""
    return [dict(one) for one in _FILTERS.get(architecture, _BYTES)]


def pack_wheels(
    wheels: WheelSet,
    decide: Callable[[], Mapping[str, Sequence[WheelFile]]],
    folder: Path,
    architecture: str,
    progress: Progress,
    *,
    likely: Collection[WheelFile] = (),
) -> tuple[Slimmed, ...]:
    """Write the files of each wheel that `decide` keeps to `folder`/WHEEL.xz.

    Those that are `likely` to be kept come first, and are compressed while `decide` runs; if it
    leaves one of them out, the wheel is compressed anew.

    Raises:
        BundleError: a wheel is damaged, or is not what its RECORD lists.
        HostError: the folder cannot be written.
    """
    meter = _Meter(progress)
    decision: _Decision = Future()
    packer = _Packer(wheels=wheels, folder=folder, filters=xz_filters(architecture), meter=meter)
    first = _members(wheels, likely)
    sizes = {wheel: sum(wheels.size_bytes(wheel, name) for name in first[wheel]) for wheel in first}
    with ThreadPoolExecutor() as pool:
        # Biggest first: what ends last should not have begun late.
        running = {
            wheel: pool.submit(packer.pack, wheel, first[wheel], decision)
            for wheel in sorted(first, key=lambda wheel: -sizes[wheel])
        }
        try:
            kept = [file for files in decide().values() for file in files]
            meter.expect(sum(file.size_bytes for file in kept))
            decision.set_result(_members(wheels, kept))
            return tuple(running[wheel].result() for wheel in wheels.names)
        finally:
            meter.stop()
            # Whoever still waits for it is told so.
            if not decision.done():
                decision.set_exception(_Stopped())
            for future in running.values():
                future.cancel()


def _members(wheels: WheelSet, files: Collection[WheelFile]) -> dict[str, list[str]]:
    return {wheel: sorted(f.member for f in files if f.wheel == wheel) for wheel in wheels.names}


class _Meter:
    """Adds up what all threads have done, and ends them early when nobody waits for them."""

    def __init__(self, progress: Progress) -> None:
        self._lock = threading.Lock()
        self._total_bytes: int | None = None
        self._done_bytes = 0
        self._progress = progress
        self._stopped = False

    def expect(self, total_bytes: int) -> None:
        """Say how much there is to do; before, it is as if nothing had been done."""
        with self._lock:
            self._total_bytes = max(1, total_bytes)

    def add(self, count: int) -> None:
        """Count what was done, or with a negative number what was done in vain."""
        with self._lock:
            if self._stopped:
                raise _Stopped
            self._done_bytes += count
            total_bytes = self._total_bytes
            done = 0.0 if total_bytes is None else self._done_bytes / total_bytes
            self._progress(min(1.0, done))

    def stop(self) -> None:
        with self._lock:
            self._stopped = True


class _Stopped(Exception):
    """Another wheel failed, or the user wants no more; nobody reads this result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packer:
    """Writes the wheels of a set to a folder."""

    wheels: WheelSet
    folder: Path
    filters: list[dict[str, int]]
    meter: _Meter

    def pack(self, wheel: str, likely: list[str], decision: _Decision) -> Slimmed:
        recorded = self.wheels.recorded(wheel)
        with (
            whole_file(self.folder / f"{wheel}.xz") as staged,
            staged.open("wb") as file,
            ExitStack() as opened,
        ):
            written = opened.enter_context(_Written(file, self.filters, self.meter))
            written.add(self.wheels, wheel, likely)
            members = decision.result()[wheel]
            there = frozenset(members)
            first = [name for name in likely if name in there]
            if first != likely:
                self.meter.add(-written.unpacked_bytes)
                file.seek(0)
                file.truncate()
                written = opened.enter_context(_Written(file, self.filters, self.meter))
                written.add(self.wheels, wheel, first)
            written.add(self.wheels, wheel, sorted(there.difference(first)))
            written.finish()
        left_out = recorded.difference(members)
        return Slimmed(
            filename=wheel,
            sha256=written.digest.hexdigest(),
            size_bytes=written.size_bytes,
            unpacked_bytes=written.unpacked_bytes,
            left_out_files=len(left_out),
            left_out_bytes=sum(self.wheels.size_bytes(wheel, name) for name in left_out),
            kept=tuple(members),
        )


class _Written:
    """A zip archive with nothing compressed, compressed as a whole into a file as it grows."""

    def __init__(self, file: BinaryIO, filters: list[dict[str, int]], meter: _Meter) -> None:
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self.unpacked_bytes = 0
        self._file = file
        self._meter = meter
        self._xz = lzma.LZMACompressor(lzma.FORMAT_XZ, check=_CHECK, filters=filters)
        self._plain = io.BytesIO()
        self._zip = zipfile.ZipFile(self._plain, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, wheels: WheelSet, wheel: str, members: Sequence[str]) -> None:
        """Append members, in the order given."""
        for name in members:
            self._zip.writestr(_entry(name), wheels.read(wheel, name))
            # What lies before the end of a written member does not change any more.
            self._compress()

    def finish(self) -> None:
        """Append the archive's directory and the end of the compressed stream."""
        self._zip.close()
        self._compress()
        self._write(self._xz.flush())

    def _compress(self) -> None:
        self._plain.seek(self.unpacked_bytes)
        while block := self._plain.read(_BLOCK_BYTES):
            self._meter.add(len(block))
            self.unpacked_bytes += len(block)
            self._write(self._xz.compress(block))

    def _write(self, data: bytes) -> None:
        self.size_bytes += self._file.write(data)
        self.digest.update(data)


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = _UNIX
    info.external_attr = _MODE << 16
    return info
