"""A bundle's parts as files in a folder: how they get there, and whether all are there.

The folder lists its own files in `unpacked.json`: path and size, and where it was installed for
good also the SHA-256. Device slice: Python 3.8.
"""

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Iterator, List

from edge.errors import HostError
from edge.records.codec import to_dict
from edge.records.manifest import MANIFEST_PATH, MODEL_FOLDER, Manifest

if TYPE_CHECKING:  # What only unpacking needs would take a start longer than all of the rest.
    from edge.device.bundle import Bundle

LISTING = "unpacked.json"
SITE = "site"
_BLOCK_BYTES = 1 << 20
# Blocks, folders, bytecode, and the headers of an optimised model.
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True)
class Unpacked:
    """Where a bundle's parts lie as files: `site` goes onto the import path."""

    folder: str
    site: str

    def path(self, member: str) -> str:
        """Return the file of a member."""
        return os.path.join(self.folder, *member.split("/"))


def parts_in(folder: str) -> Unpacked:
    """Return the parts that lie in a folder."""
    return Unpacked(folder, os.path.join(folder, SITE))


def require_room(bundle: "Bundle", root: str, hint: str) -> None:
    """Require the disk space that the parts take: the model twice, since it is optimised there.

    Raises:
        HostError: there is less.
    """
    import shutil

    from edge.device.wheels import needed_bytes
    from edge.units import format_bytes

    manifest = bundle.manifest
    members = sum(file.size_bytes for file in manifest.files if not _is_wheel(manifest, file.path))
    needed = members + manifest.model.size_bytes + needed_bytes(manifest.wheels) + _SPARE_BYTES
    free = shutil.disk_usage(root).free
    if free < needed:
        what = "unpacking needs {}, and {} are free".format(
            format_bytes(needed), format_bytes(free)
        )
        raise HostError(what, where=root, hint=hint)


def write_parts(bundle: "Bundle", staged: str, wanted: Callable[[str], bool]) -> None:
    """Write the wheels' contents, the manifest, and the members that are `wanted` as files.

    Raises:
        BundleError: a member is not what the manifest says, or a wheel is not sound.
        OSError: the folder cannot be written.
    """
    from edge.device.wheels import unpack_wheels

    manifest = bundle.manifest
    site = os.path.join(staged, SITE)
    os.mkdir(site)
    packed = [(wheel, bundle.blocks(bundle.listed(wheel.path))) for wheel in manifest.wheels]
    unpack_wheels(packed, site, staged)
    for listed in manifest.files:
        if wanted(listed.path) and not _is_wheel(manifest, listed.path):
            place = os.path.join(staged, *listed.path.split("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "xb") as target:
                target.writelines(bundle.blocks(listed))
    with open(os.path.join(staged, MANIFEST_PATH), "x", encoding="ascii") as file:
        json.dump(to_dict(manifest), file)


def is_run_from(manifest: Manifest, path: str) -> bool:
    """Return whether the runtime needs the member as a file."""
    return path == manifest.samples.path or path.startswith(MODEL_FOLDER)


def _is_wheel(manifest: Manifest, path: str) -> bool:
    return any(wheel.path == path for wheel in manifest.wheels)


def write_listing(folder: str, *, digests: bool) -> None:
    """List every file that is in the folder now."""
    rows: List[List[Any]] = []
    for path in sorted(_files(folder)):
        whole = os.path.join(folder, path)
        row: List[Any] = [path, os.lstat(whole).st_size]
        rows.append([*row, file_digest(whole)] if digests else row)
    with open(os.path.join(folder, LISTING), "w", encoding="utf-8") as file:
        json.dump(rows, file)


def _files(folder: str) -> Iterator[str]:
    for inside, _folders, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(inside, name), folder)


def read_listing(folder: str) -> List[List[Any]]:
    """Return the rows of the listing: path, size, perhaps the digest.

    Raises:
        OSError, ValueError: there is none that can be read.
    """
    with open(os.path.join(folder, LISTING), encoding="utf-8") as file:
        rows: List[List[Any]] = json.load(file)
    return rows


def is_complete(folder: str) -> bool:
    """Return whether every file of the listing is there with its size."""
    try:
        return all(
            os.lstat(os.path.join(folder, path)).st_size == size
            for path, size, *_ in read_listing(folder)
        )
    except (OSError, ValueError, TypeError):
        return False


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file."""
    import hashlib

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()
