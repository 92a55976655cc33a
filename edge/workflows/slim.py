"""Keeps of a set of wheels what can be used at run time, compressed for a bundle, and cached."""

import gc
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from edge.adapters.files import read_json, write_json
from edge.adapters.registry import sha256_of
from edge.adapters.slim import pack_wheels, xz_filters
from edge.adapters.store import cache_folder
from edge.adapters.wheel_set import WheelSet, open_wheels
from edge.errors import ConfigError
from edge.reasoning.imports import python_names
from edge.reasoning.slimming import RULES, is_package, kept_files, likely_files, module_name
from edge.records.codec import from_dict, to_dict
from edge.records.target import WheelPin
from edge.records.wheel_files import Names, Slimmed, WheelFile

_INDEX = "slimmed.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimWheel:
    """A wheel's pin, and the file that a bundle takes of it; the rest as in Slimmed."""

    pin: WheelPin
    path: Path
    sha256: str
    size_bytes: int
    unpacked_bytes: int
    left_out_files: int
    left_out_bytes: int
    kept: tuple[str, ...]


def slim_wheels(
    wheels: Sequence[tuple[WheelPin, Path]],
    roots: Sequence[str],
    architecture: str,
    progress: Callable[[float], None],
    *,
    unasked: Sequence[str] = (),
    opened: Callable[[], WheelSet] | None = None,
) -> tuple[SlimWheel, ...]:
    """Return what is kept of each wheel, as files of the cache, in the order of `wheels`.

    `roots` are the modules that the runtime's users import, `unasked` the shared libraries that
    are loaded only for somebody who asks for them, which nobody does. `opened` opens the wheels,
    where somebody else reads them, too. Their digests are taken to be those of their pins.

    Raises:
        BundleError: a wheel is damaged.
        HostError: the cache cannot be written.
    """
    key = json.dumps(
        [
            RULES,
            xz_filters(architecture),
            sorted(roots),
            sorted(unasked),
            sorted((pin.filename, pin.sha256) for pin, _ in wheels),
        ]
    )
    folder = cache_folder("slim", hashlib.sha256(key.encode()).hexdigest())
    found = _cached(folder)
    if found is None:
        paths = [path for _, path in wheels]
        with open_wheels(paths) if opened is None else nullcontext(opened()) as read:
            deciding = partial(decide, read, roots, unasked, lambda: progress(0.0))
            likely = likely_files(read.files)
            found = pack_wheels(read, deciding, folder, architecture, progress, likely=likely)
        write_json(folder / _INDEX, [to_dict(slimmed) for slimmed in found])
    progress(1.0)
    by_name = {slimmed.filename: slimmed for slimmed in found}
    return tuple(_slim_wheel(pin, folder, by_name[path.name]) for pin, path in wheels)


def decide(
    wheels: WheelSet,
    roots: Sequence[str],
    unasked: Sequence[str] = (),
    looked: Callable[[], None] = lambda: None,
) -> dict[str, list[WheelFile]]:
    """Return the files that are kept of each wheel; `looked` is called before each look into one.

    Raises:
        BundleError: a wheel is damaged.
    """

    def names_of(file: WheelFile) -> Names:
        looked()
        if file.compiled:
            return wheels.compiled_names(file)
        source = wheels.read(file.wheel, file.member)
        return python_names(source, module_name(file) or "", is_package=is_package(file))

    with _no_collection():
        chosen = kept_files(wheels.files, roots, names_of, unasked=unasked)
    return {
        wheel: [file for file in wheels.files if file.wheel == wheel and file in chosen]
        for wheel in wheels.names
    }


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: here, syntax trees are read beside other threads.

    Python 3.11 counts how deep a tree is in one place for all threads, and numpy reads trees, too,
    in the heads of arrays. Nothing but a collection lets another thread run in the middle of one.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _cached(folder: Path) -> tuple[Slimmed, ...] | None:
    """Return what an earlier run wrote, if every file of it is as it was written."""
    index = folder / _INDEX
    try:
        found = tuple(from_dict(Slimmed, entry, index) for entry in read_json(index))
    except (ConfigError, TypeError):
        return None
    for slimmed in found:
        path = folder / f"{slimmed.filename}.xz"
        if not path.is_file() or sha256_of(path) != slimmed.sha256:
            return None
    return found


def _slim_wheel(pin: WheelPin, folder: Path, slimmed: Slimmed) -> SlimWheel:
    fields = asdict(slimmed)
    return SlimWheel(pin=pin, path=folder / f"{fields.pop('filename')}.xz", **fields)
