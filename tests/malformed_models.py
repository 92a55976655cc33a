"""A thousand models that are not what they should be, the same ones each time.

`write_all` puts them into a folder: damaged copies of the small real models, graphs that no tool
makes, references to files outside, and things that are no file. Nothing of it is large on the disk.
"""

import gzip
import io
import os
import pickle
import random
import socket
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from made_onnx import empty, model, node, numbers, value
from made_tflite import Graph, Operator, Tensor, tflite_bytes
from malformed_graphs import HUGE, Case, Write, external, onnx_graphs, tflite_graphs, written

COUNT = 1000
SEED = 20261125
REAL = Path(__file__).parent.parent / "models" / "digits-cnn"
_WORDS = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4), b"\x00\x00\x00\x80", b"\x10\0\0\0")


@dataclass(frozen=True)
class Malformed:
    """One case: its kind, and its model file in a folder of its own."""

    name: str
    path: Path

    @property
    def kind(self) -> str:
        return self.name.partition("-")[2].partition(":")[0]


def write_all(folder: Path, count: int = COUNT) -> list[Malformed]:
    """Write `count` cases, each into a folder of its own."""
    made = [*_odd_paths(), *external(), *onnx_graphs(), *tflite_graphs(), *_lookalikes()]
    chance = random.Random(SEED)
    made += _damaged(chance, count - len(made))
    found = []
    for number, (name, write) in enumerate(made):
        place = folder / f"{number:04}"
        place.mkdir(parents=True)
        found.append(Malformed(f"{number:04}-{name}", write(place)))
    return found


def _bases() -> list[tuple[str, bytes]]:
    made = [(path.name, path.read_bytes()) for path in sorted(REAL.glob("*.onnx"))]
    made += [(path.name, path.read_bytes()) for path in sorted(REAL.glob("*.tflite"))]
    nodes = [
        node("Conv", ["x", "k"], "c", pads=[1, 1, 1, 1]),
        node("Shape", ["c"], "s"),
        node("Reshape", ["c", "target"], "y"),
    ]
    weights = [empty("k", [2, 1, 3, 3]), numbers("target", [3, 4])]
    small = model(nodes, [value("x", [1, 1, 2, 3])], weights)
    return [*made, ("small.onnx", small.SerializeToString()), ("small.tflite", _small_tflite())]


def _small_tflite() -> bytes:
    tensors = [
        Tensor("x", [1, 4, 4, 3]), Tensor("w", [2, 3, 3, 3], stored=True), Tensor("y", [1, 2, 2, 2])
    ]  # fmt: skip
    return tflite_bytes(Graph(tensors, [Operator("CONV_2D", [0, 1, -1], [2])], [0], [2]))


def _damaged(chance: random.Random, count: int) -> Iterator[Case]:
    """Give copies of real models with bytes that are gone, changed, moved or of another file."""
    bases = _bases()
    for number in range(count):
        name, content = bases[number % len(bases)]
        place = chance.randrange(len(content) - 8)
        changed = bytearray(content)
        way = number // len(bases) % 8
        if way == 0:
            kind, changed = "cut off", changed[:place]
        elif way in (1, 2):
            kind = "flipped"
            for _ in range(1 << chance.randrange(5)):
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        elif way == 3:
            # The structure of a small file is at one of its ends.
            kind, place = "flipped at an end", chance.choice((0, len(content) - 200))
            changed[max(0, place) + chance.randrange(200)] ^= 1 << chance.randrange(8)
        elif way == 4:
            kind, place = "overwritten", place & ~3
            changed[place : place + 4] = chance.choice(_WORDS)
        elif way == 5:
            kind = "inserted"
            changed[place:place] = chance.randbytes(1 + chance.randrange(9))
        elif way == 6:
            kind = "bytes gone"
            del changed[place : place + 1 + chance.randrange(9)]
        else:
            kind = "lying lengths"
            _lie(changed, chance, is_tflite=name.endswith("tflite"))
        yield f"{kind}: {name}", written(bytes(changed), f"m.{name.rpartition('.')[2]}")


def _lie(content: bytearray, chance: random.Random, *, is_tflite: bool) -> None:
    """Change a length: of a message that ONNX's bytes begin, or of a vector of a flatbuffer."""
    if is_tflite:
        places = [
            at
            for at in range(0, len(content) - 4, 4)
            if 0 < struct.unpack_from("<I", content, at)[0] < 4096
        ]
        struct.pack_into(
            "<I", content, chance.choice(places), chance.choice(HUGE[2:4]) & 0xFFFFFFFF
        )
        return
    # A tag of wire type 2, and a length of one byte after it.
    places = [at for at in range(len(content) - 1) if content[at] in b"\x0a\x12\x1a\x22\x2a\x3a"]
    content[chance.choice(places) + 1] ^= chance.choice((0x80, 0x40, 0x01, 0x7F))


def _odd_paths() -> Iterator[Case]:
    def missing(folder: Path) -> Path:
        return folder / "m.onnx"

    def directory(folder: Path) -> Path:
        (folder / "m.onnx").mkdir()
        return folder / "m.onnx"

    def pipe(folder: Path) -> Path:
        os.mkfifo(folder / "m.onnx")
        return folder / "m.onnx"

    def link_to(target: str) -> Write:
        def write(folder: Path) -> Path:
            (folder / "m.onnx").symlink_to(target)
            return folder / "m.onnx"

        return write

    def door(folder: Path) -> Path:
        here = Path.cwd()
        # The name of a socket is short; its folder's may not be.
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("m.onnx")
        os.chdir(here)
        return folder / "m.onnx"

    def holes(folder: Path) -> Path:
        path = written(b"\x08\x08")(folder)
        os.truncate(path, 1 << 40)
        return path

    yield "path: missing", missing
    yield "path: a folder", directory
    yield "path: a pipe", pipe
    yield "path: a socket", door
    yield "path: a terabyte of zeros", holes
    for target in (
        "m.onnx",
        "nobody",
        "/etc/passwd",
        "/dev/zero",
        "..",
        str(REAL / "digits-cnn-fp32.onnx"),
    ):
        yield f"path: a link to {target[-20:]}", link_to(target)
    for device in (
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/proc/self/mem",
        "/proc/self/environ",
        "/proc/kmsg",
    ):
        yield f"path: {device}", lambda _folder, device=device: Path(device)  # type: ignore[misc]
    yield "path: a NUL", lambda folder: folder / "m\0.onnx"
    yield "path: a long name", lambda folder: folder / ("m" * 300 + ".onnx")
    yield "path: through a file", lambda folder: written(b"x")(folder) / "m.onnx"
    yield "path: control characters", written(b"x", "m\x1b[31m\n.onnx")


def _lookalikes() -> Iterator[Case]:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.onnx", bytes(32 << 20))
        archive.writestr("../../etc/passwd", "x")
    for name, content in {
        "nothing": b"", "one byte": b"\x08", "text": b"hello, world\n" * 99, "zip bomb": bomb.getvalue(),
        "gzip bomb": gzip.compress(bytes(32 << 20)), "half a zip": bomb.getvalue()[:40],
        "pickle": pickle.dumps({"a": [1]}), "JSON": b'{"a": 1}', "HTML": b"<!DOCTYPE html>", "XML": b"<?xml?>",
        "PNG": b"\x89PNG\r\n\x1a\n" + bytes(99), "ELF": b"\x7fELF" + bytes(99), "HDF5": b"\x89HDF\r\n\x1a\n",
        "GGUF": b"GGUF" + bytes(99), "LFS": b"version https://git-lfs.github.com/spec/v1\n", "zeros": bytes(9999),
        "ones": b"\xff" * 9999, "TFL3 alone": b"\x1c\0\0\0TFL3", "TFL3 and zeros": b"\x1c\0\0\0TFL3" + bytes(99),
        "TFL3 far": b"\xff\xff\xff\x7fTFL3" + bytes(99), "TFL3 and ones": b"\x08\0\0\0TFL3" + b"\xff" * 99,
        "a graph of 2^63": b"\x08\x08\x3a" + b"\xff" * 8 + b"\x7f", "an endless integer": b"\x08" + b"\xff" * 99,
        "field 0": b"\x00" * 8 + b"\x3a\x00", "groups": b"\x3b" * 999, "many fields": b"\x42\x00" * 200_000,
    }.items():  # fmt: skip
        yield f"lookalike: {name}", written(content)
