"""Measure how small, and how slow to unpack, a target's slimmed wheels are by each compression.

    python scripts/measure_compression.py rpi4 onnxruntime --mips 3500

prints one table: the sizes, the processor time to compress and to unpack on this machine (one
thread for each wheel, added up), and an estimate of the time to unpack on slow cores. The estimate
is the time here times the ratio of two figures of one benchmark: `7z b` ("Decompressing", R/U
MIPS, of one core), here given by --mips, and of the boards as published. The reasons for what was
chosen are in docs/adr/0008-slim-wheels.md.
"""

import argparse
import bz2
import io
import lzma
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from edge.adapters.slim import xz_filters
from edge.adapters.targets import load_target
from edge.adapters.wheel_set import WheelSet, open_wheels
from edge.adapters.wheelhouse import wheels_for
from edge.backends import load_backend
from edge.records.platform import platform_of
from edge.workflows.slim import decide

# Decompression, MIPS of one core (R/U). Raspberry Pi 4 at 1.5 GHz: a published run of `7z b`
# 16.02, gist.github.com/devopswise/f6e80c1fc84dc6faa45c687d855eee04. Zero 2 W at 1 GHz: the same
# times 3030 / 5111, its total in sbc-bench's Results.md to that run's; its cores are in-order,
# which costs more in compression than here, so it is rather too slow than too fast.
_BOARD_MIPS = MappingProxyType({"Pi 4": 1589, "Zero 2 W": 942})

Pair = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


def xz(**changes: int) -> list[dict[str, int]]:
    """Return one LZMA2 filter."""
    return [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 8 << 20, **changes}]


def xz_pair(filters: list[dict[str, int]]) -> Pair:
    """Return what compresses with xz, and what unpacks that."""

    def compress(data: bytes) -> bytes:
        return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_NONE, filters=filters)

    return compress, lzma.decompress


def variants(architecture: str) -> Mapping[str, Pair]:
    """Return all compressions that are compared, by what the table calls them."""
    words = {"lc": 0, "lp": 2, "pb": 2}
    fast = {"mode": lzma.MODE_FAST, "mf": lzma.MF_HC4}
    normal = {"mode": lzma.MODE_NORMAL, "mf": lzma.MF_BT4}
    found: dict[str, Pair] = {
        "deflate 6": (lambda data: zlib.compress(data, 6), zlib.decompress),
        "deflate 9": (lambda data: zlib.compress(data, 9), zlib.decompress),
        "bzip2 9": (bz2.compress, bz2.decompress),
        "xz, as chosen": xz_pair(xz_filters(architecture)),
        "xz fast, 4 MiB": xz_pair(
            xz(**fast, **words, nice_len=64, depth=2, dict_size=4 << 20),
        ),
        "xz fast, 2 MiB": xz_pair(
            xz(**fast, **words, nice_len=64, depth=2, dict_size=2 << 20),
        ),
        "xz fast, lc3 lp0": xz_pair(xz(**fast, lc=3, lp=0, pb=2, nice_len=64, depth=2)),
        "xz fast, depth 4": xz_pair(xz(**fast, **words, nice_len=64, depth=4)),
        "xz fast, depth 16": xz_pair(xz(**fast, **words, nice_len=128, depth=16)),
        "xz normal, lc0 lp2": xz_pair(xz(**normal, **words, nice_len=64, depth=0)),
        "xz preset 6": xz_pair([{"id": lzma.FILTER_LZMA2, "preset": 6}]),
    }
    if architecture == "x86_64":
        bcj = [{"id": lzma.FILTER_X86}]
        found["xz fast, x86, lc0 lp2"] = xz_pair(bcj + xz(**fast, **words, nice_len=64, depth=2))
        found["xz fast, x86, pb0"] = xz_pair(
            bcj + xz(**fast, lc=3, lp=0, pb=0, nice_len=64, depth=2)
        )
    return found


def measured(work: Callable[[bytes], bytes], data: bytes) -> tuple[bytes, float]:
    """Return the outcome and the processor's time."""
    start = time.process_time()
    return work(data), time.process_time() - start


def stored_zip(wheels: WheelSet, wheel: str, members: Sequence[str]) -> bytes:
    """Return an archive of some members with nothing compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in members:
            archive.writestr(zipfile.ZipInfo(name), wheels.read(wheel, name))
    return buffer.getvalue()


def archives(target: str, distribution: str) -> tuple[list[bytes], int, str]:
    """Return the slimmed wheels as plain zip archives, the bytes of the whole ones, and the CPU."""
    platform = platform_of(load_target(target))
    runtime = next(r for r in platform.runtimes if r.distribution == distribution)
    backend = load_backend(runtime.backend)
    wheels = wheels_for(platform, runtime)
    with open_wheels([path for _, path in wheels]) as opened:
        kept = decide(opened, backend.modules[distribution], backend.unasked)
        plain = [
            stored_zip(opened, wheel, sorted(file.member for file in files))
            for wheel, files in kept.items()
        ]
    return plain, sum(pin.size_bytes for pin, _ in wheels), platform.architecture


def row(name: str, pair: Pair, plain: Sequence[bytes], whole_bytes: int, mips: int) -> str:
    """Measure one compression and return its line of the table."""
    compress, unpack = pair
    size, packing, unpacking = 0, 0.0, 0.0
    for data in plain:
        small, took = measured(compress, data)
        back, took_back = measured(unpack, small)
        if back != data:
            raise SystemExit(f"{name}: unpacking does not give back what was packed")
        size, packing, unpacking = size + len(small), packing + took, unpacking + took_back
    boards = " | ".join(f"{unpacking * mips / board:.1f}" for board in _BOARD_MIPS.values())
    ratio = size / whole_bytes
    return (
        f"| {name} | {size / 1e6:.2f} | {ratio:.2f} | {packing:.1f} | {unpacking:.2f} | {boards} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target")
    parser.add_argument("distribution")
    parser.add_argument(
        "--mips", type=int, required=True, help="of one core here: see `7z b -mmt1`"
    )
    options: Any = parser.parse_args()
    plain, whole_bytes, architecture = archives(options.target, options.distribution)
    kept = sum(map(len, plain))
    print(f"{options.target}, {options.distribution}: {kept / 1e6:.1f} MB are kept; ", end="")
    print(f"the whole wheels are {whole_bytes / 1e6:.1f} MB as they were downloaded")
    boards = " | ".join(f"{name} s (estimate)" for name in _BOARD_MIPS)
    print(f"| | MB | of the wheels | compress s | unpack s | {boards} |")
    print("| --- |" + " --- |" * (4 + len(_BOARD_MIPS)))
    for name, pair in variants(architecture).items():
        print(row(name, pair, plain, whole_bytes, options.mips), flush=True)


if __name__ == "__main__":
    main()
