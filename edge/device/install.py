"""Installs a bundle: afterwards there is the new version, whole, or all is as it was.

The order of the steps, and why: docs/adr/0009-life-on-the-device.md. Device slice: Python 3.8.
"""

import errno
import os
import sys
from dataclasses import dataclass
from typing import Optional, Tuple

from edge.device.accept import require_accepted
from edge.device.bundle import Bundle
from edge.device.bytecode import compile_tree
from edge.device.durable import flush_file_system, flush_folder, free_folder, locked, staging
from edge.device.inference import self_test
from edge.device.launcher import write_interpreter, write_launcher
from edge.device.parts import SITE, parts_in, require_room, write_listing, write_parts
from edge.device.place import Place, make_usable, plain_name
from edge.device.ready import make_ready
from edge.device.tool import write_tool
from edge.device.versions import (
    Version,
    current_version,
    previous_version,
    prune,
    switch,
    tidy,
    version_in,
    whole_version,
)
from edge.errors import BundleError, HostError

_HEAD = "bundle.head"
_ENTRY = "__main__.py"
_MORE = "free some disk space, or choose another folder with --root DIR or EDGEKIT_HOME"


@dataclass(frozen=True)
class Installation:
    """What was installed: `samples` is how many agreed, None where nothing had to be unpacked.

    `was` says what was current before: nothing, another version, this one, or this one, damaged.
    """

    version: Version
    previous: Optional[Version]
    launcher: str
    tool: str
    was: str
    samples: Optional[int]


def install(bundle: Bundle, place: Place, *, allow_older: bool = False) -> Installation:
    """Install the bundle, make it current, and keep the version before it.

    Raises:
        BundleError: it is damaged, not accepted here, or older than the current version.
        RuntimeFailure: it does not do here what it did where it was packaged.
        HostError: there is no place for it.
    """
    name = plain_name(bundle.manifest.name)
    make_usable(place)
    try:
        with locked(place.lock, lambda: _say_waiting(place)):
            tidy(place)
            bundle.verify_members()
            require_accepted(bundle, place.root)
            current = current_version(place, name)
            _refuse_older(bundle, current, allow_older=allow_older)
            return _install(bundle, place, name, current)
    except OSError as error:
        hint = "choose another folder with --root DIR or EDGEKIT_HOME"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = _MORE
        what = (error.strerror or str(error)).lower()
        raise HostError(what, where=error.filename or place.root, hint=hint) from error


def _say_waiting(place: Place) -> None:
    sys.stderr.write("waiting: another command is at work in {}\n".format(place.root))
    sys.stderr.flush()


def _refuse_older(bundle: Bundle, current: Optional[Version], *, allow_older: bool) -> None:
    if current is None or allow_older or current.digest == bundle.digest:
        return
    try:
        newest = current.manifest().sequence
    except BundleError:
        # A damaged version does not keep anybody from replacing it.
        return
    if bundle.manifest.sequence < newest:
        what = "it is older than the installed version: sequence {}, installed {}"
        hint = "--allow-older installs it all the same; rollback goes back to the version before"
        raise BundleError(
            what.format(bundle.manifest.sequence, newest), where=bundle.path, hint=hint
        )


def _install(bundle: Bundle, place: Place, name: str, current: Optional[Version]) -> Installation:
    samples = None
    version = whole_version(place, name, bundle.digest)
    if version is None:
        require_room(bundle, place.root, _MORE)
        os.makedirs(place.versions(name), exist_ok=True)
        version, samples = _put(bundle, place, name)
    previous = previous_version(place, name)
    was = "nothing" if current is None else "another version"
    if current is not None and current.digest == bundle.digest:
        was = "this version" if version.folder == current.folder else "this version, damaged"
    elif current is not None and (current.is_whole() or previous is None):
        previous = current
    if was != "this version":
        switch(place, name, version, previous)
    launcher = write_launcher(place, name)
    tool = write_tool(place, bundle)
    prune(place, name)
    return Installation(version, previous, launcher, tool, was, samples)


def _put(bundle: Bundle, place: Place, name: str) -> Tuple[Version, int]:
    """Stage the version, test it where it stands, and rename it into its place."""
    versions = os.path.realpath(place.versions(name))
    folder = free_folder(versions, bundle.digest)
    with staging(versions, bundle.digest[:16]) as staged:
        # Everything but the wheels, which are unpacked, and the zip's own entry: the licence and
        # the lists of what is inside belong to what is installed.
        write_parts(bundle, staged, lambda path: path != _ENTRY)
        _write_head(bundle, staged)
        write_interpreter(staged)
        for part in ("edge", SITE):
            compile_tree(os.path.join(staged, part), os.path.join(folder, part))
        parts = parts_in(staged)
        make_ready(staged, bundle.manifest, parts.site)
        samples = self_test(bundle.manifest, parts)
        write_listing(staged, digests=True)
        os.chmod(staged, os.stat(versions).st_mode & 0o777)
        flush_file_system(staged)
        os.rename(staged, folder)
    flush_folder(versions)
    flush_folder(place.bundle(name))
    flush_folder(place.bundles)
    return version_in(name, folder), samples


def _write_head(bundle: Bundle, staged: str) -> None:
    """Keep the file's first lines: its digest, and who signed it."""
    bundle.file.seek(0)
    with open(os.path.join(staged, _HEAD), "xb") as file:
        file.write(bundle.file.read(bundle.archive_at))
