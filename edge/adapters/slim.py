"""Writes what is kept of wheels, each as one xz file: the same bytes each time.

Why xz, and why with these filters: docs/adr/0008-slim-wheels.md.
"""

import hashlib
import io
import lzma
import stat
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge.adapters.files import whole_file
from edge.adapters.wheel_set import WheelSet
from edge.records.wheel_files import Slimmed, WheelFile

Progress = Callable[[float], None]
Filters = tuple[Mapping[str, int], ...]

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
    kept: Mapping[str, Sequence[WheelFile]],
    folder: Path,
    architecture: str,
    progress: Progress,
) -> tuple[Slimmed, ...]:
    """Write the kept files of each wheel to `folder`/WHEEL.xz, as many at once as there are cores.

    Raises:
        BundleError: a wheel is damaged, or is not what its RECORD lists.
        HostError: the folder cannot be written.
    """
    sizes = {wheel: sum(file.size_bytes for file in files) for wheel, files in kept.items()}
    meter = _Meter(sum(sizes.values()), progress)
    packer = _Packer(wheels=wheels, folder=folder, filters=xz_filters(architecture), meter=meter)
    with ThreadPoolExecutor() as pool:
        # Biggest first: what ends last should not have begun late.
        running = {
            wheel: pool.submit(packer.pack, wheel, sorted(file.member for file in kept[wheel]))
            for wheel in sorted(kept, key=lambda wheel: -sizes[wheel])
        }
        try:
            return tuple(running[wheel].result() for wheel in kept)
        finally:
            meter.stop()
            for future in running.values():
                future.cancel()


class _Meter:
    """Adds up what all threads have done, and ends them early when nobody waits for them."""

    def __init__(self, total_bytes: int, progress: Progress) -> None:
        self._lock = threading.Lock()
        self._total_bytes = max(1, total_bytes)
        self._done_bytes = 0
        self._progress = progress
        self._stopped = False

    def add(self, count: int) -> None:
        with self._lock:
            if self._stopped:
                raise _Stopped
            self._done_bytes += count
            self._progress(min(1.0, self._done_bytes / self._total_bytes))

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

    def pack(self, wheel: str, members: list[str]) -> Slimmed:
        left_out = self.wheels.recorded(wheel).difference(members)
        plain = stored_zip(self.wheels, wheel, members)
        xz = lzma.LZMACompressor(lzma.FORMAT_XZ, check=_CHECK, filters=self.filters)
        digest, size_bytes = hashlib.sha256(), 0
        with whole_file(self.folder / f"{wheel}.xz") as staged, staged.open("wb") as file:
            for start in range(0, len(plain), _BLOCK_BYTES):
                block = plain[start : start + _BLOCK_BYTES]
                size_bytes += file.write(out := xz.compress(block))
                digest.update(out)
                self.meter.add(len(block))
            size_bytes += file.write(out := xz.flush())
            digest.update(out)
        return Slimmed(
            filename=wheel,
            sha256=digest.hexdigest(),
            size_bytes=size_bytes,
            unpacked_bytes=len(plain),
            left_out_files=len(left_out),
            left_out_bytes=sum(self.wheels.size_bytes(wheel, name) for name in left_out),
            kept=tuple(members),
        )


def stored_zip(wheels: WheelSet, wheel: str, members: Sequence[str]) -> memoryview:
    """Return a zip archive of some members, in the order of their names, with nothing compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = _UNIX
            info.external_attr = _MODE << 16
            archive.writestr(info, wheels.read(wheel, name))
    return buffer.getbuffer()
