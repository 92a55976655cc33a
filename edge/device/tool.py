"""The resident tool: edgekit's own code on the device, which reads bundles as data.

It comes from the first bundle that was accepted, and later from accepted bundles of a newer
edgekit. Device slice: Python 3.8.
"""

import hashlib
import os
import re
from typing import List, Optional, Tuple

from edge.device.bundle import Bundle
from edge.device.bytecode import compile_tree
from edge.device.durable import (
    flush_file_system,
    flush_folder,
    free_folder,
    put_link,
    remove_folder,
    remove_leftovers,
    staging,
    unused,
)
from edge.device.launcher import write_interpreter, write_tool_launcher
from edge.device.parts import is_complete, write_listing
from edge.device.place import TOOL, Place
from edge.records.manifest import BundleFile

_CODE = "edge/"
_VERSION = "edgekit-version"


def write_tool(place: Place, bundle: Bundle) -> str:
    """Install the tool from an accepted bundle, unless one as new is there; return its launcher.

    The caller holds the lock.

    Raises:
        BundleError: a member is not what the manifest says.
        OSError: it cannot be written.
    """
    there = _current(place)
    if there is None or _number(there[1]) < _number(bundle.manifest.edgekit_version):
        _install(place, bundle)
    return write_tool_launcher(place, TOOL)


def _current(place: Place) -> Optional[Tuple[str, str]]:
    """Return the folder and the version of the tool that is there, if it is whole."""
    folder = os.path.realpath(os.path.join(place.tool, "current"))
    if not is_complete(folder):
        return None
    with open(os.path.join(folder, _VERSION), encoding="utf-8") as file:
        return folder, file.read().strip()


def _number(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _install(place: Place, bundle: Bundle) -> None:
    files = code_files(bundle)
    listed = "".join("{} {}\n".format(file.sha256, file.path) for file in files)
    digest = hashlib.sha256(listed.encode("ascii")).hexdigest()
    os.makedirs(place.tool, exist_ok=True)
    remove_leftovers(place.tool)
    folder = free_folder(place.tool, digest)
    with staging(place.tool, digest[:16]) as staged:
        for file in files:
            path = os.path.join(staged, *file.path.split("/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as target:
                target.writelines(bundle.blocks(file))
        compile_tree(staged, folder)
        write_interpreter(staged)
        with open(os.path.join(staged, _VERSION), "w", encoding="utf-8") as told:
            told.write(bundle.manifest.edgekit_version + "\n")
        write_listing(staged, digests=True)
        os.chmod(staged, os.stat(place.tool).st_mode & 0o777)
        flush_file_system(staged)
        os.rename(staged, folder)
    flush_folder(place.tool)
    put_link(os.path.join(place.tool, "current"), os.path.basename(folder))
    _prune(place, folder)


def code_files(bundle: Bundle) -> List[BundleFile]:
    """Return what the manifest says of edgekit's own code in the bundle."""
    return [file for file in bundle.manifest.files if file.path.startswith(_CODE)]


def _prune(place: Place, kept: str) -> None:
    for entry in os.listdir(place.tool):
        folder = os.path.join(place.tool, entry)
        if folder != kept and os.path.isdir(folder) and not os.path.islink(folder):
            with unused(folder) as free:
                if free:
                    remove_folder(folder)
