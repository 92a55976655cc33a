"""The installed versions of a bundle, and which of them is current. Device slice: Python 3.8.

NAME/versions/DIGEST/ is a version, and never changes. NAME/pair/ holds the two links `current` and
`previous`; `pair` itself is a link, and all that ever changes: one rename switches both, so that
a power cut cannot leave one new and one old. NAME/current and NAME/previous lead through it.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

from edge.device.durable import (
    PART,
    flush_folder,
    put_link,
    remove_folder,
    remove_leftovers,
    unused,
)
from edge.device.parts import is_complete, read_listing
from edge.device.place import Place
from edge.errors import BundleError, printable
from edge.records.codec import from_dict
from edge.records.manifest import MANIFEST_PATH, Manifest

_PAIR = "pair"
_CURRENT = "current"
_PREVIOUS = "previous"
_DIGEST_LENGTH = 64


@dataclass(frozen=True)
class Version:
    """An installed version; `digest` is that of the bundle that it came from."""

    name: str
    folder: str
    digest: str

    def is_whole(self) -> bool:
        """Return whether every file is there with its size."""
        return is_complete(self.folder)

    def size_bytes(self) -> int:
        """Return what its files take, as listed when it was installed."""
        try:
            return sum(row[1] for row in read_listing(self.folder))
        except (OSError, ValueError, LookupError, TypeError):
            return 0

    def manifest(self) -> Manifest:
        """Return its manifest.

        Raises:
            BundleError: it cannot be read.
        """
        path = os.path.join(self.folder, MANIFEST_PATH)
        try:
            with open(path, encoding="ascii") as file:
                document: Dict[str, Any] = json.load(file)
        except (OSError, ValueError) as error:
            what = "the installed bundle is damaged: {}".format(error)
            raise BundleError(what, where=path, hint="install it again") from error
        return from_dict(Manifest, document, path)


def version_in(name: str, folder: str) -> Version:
    """Return the version that lies in a folder, which is named by its digest."""
    return Version(name, folder, os.path.basename(folder)[:_DIGEST_LENGTH])


def current_version(place: Place, name: str) -> Optional[Version]:
    """Return the version that runs, or None if the bundle is not installed."""
    return _linked(place, name, _CURRENT)


def previous_version(place: Place, name: str) -> Optional[Version]:
    """Return the version that ran before it, or None."""
    return _linked(place, name, _PREVIOUS)


def _linked(place: Place, name: str, which: str) -> Optional[Version]:
    folder = os.path.realpath(os.path.join(place.bundle(name), _PAIR, which))
    inside = os.path.dirname(folder) == os.path.realpath(place.versions(name))
    return version_in(name, folder) if inside and os.path.isdir(folder) else None


def require_current(place: Place, name: str) -> Version:
    """Return the version that runs.

    Raises:
        BundleError: the bundle is not installed.
    """
    version = current_version(place, name)
    if version is None:
        names = ", ".join(installed_names(place)) or "nothing"
        what = "{} is not installed".format(printable(name))
        raise BundleError(what, where=place.root, hint="installed: {}".format(names))
    return version


def installed_names(place: Place) -> List[str]:
    """Return the names of the bundles that are installed."""
    try:
        names = sorted(os.listdir(place.bundles))
    except OSError:
        return []
    return [name for name in names if current_version(place, name) is not None]


def switch(place: Place, name: str, current: Version, previous: Optional[Version]) -> None:
    """Make two versions the current and the previous one, in one step and durably."""
    import tempfile

    home = place.bundle(name)
    for which in (_CURRENT, _PREVIOUS):
        through = os.path.join(_PAIR, which)
        if _target(os.path.join(home, which)) != through:
            put_link(os.path.join(home, which), through)
    pair = tempfile.mkdtemp(prefix=_PAIR + "-", dir=home)
    os.chmod(pair, os.stat(home).st_mode & 0o777)
    for which, version in ((_CURRENT, current), (_PREVIOUS, previous)):
        if version is not None:
            target = os.path.join("..", "versions", os.path.basename(version.folder))
            os.symlink(target, os.path.join(pair, which))
    flush_folder(pair)
    flush_folder(home)
    put_link(os.path.join(home, _PAIR), os.path.basename(pair))
    _remove_old_pairs(home)


def _target(link: str) -> Optional[str]:
    try:
        return os.readlink(link)
    except OSError:
        return None


def _remove_old_pairs(home: str) -> None:
    import shutil

    kept = _target(os.path.join(home, _PAIR))
    for entry in os.listdir(home):
        if entry.startswith(_PAIR + "-") and entry != kept:
            shutil.rmtree(os.path.join(home, entry), ignore_errors=True)


def whole_version(place: Place, name: str, digest: str) -> Optional[Version]:
    """Return a version that is whole already: the previous one, or one that was never switched to."""
    try:
        entries = sorted(os.listdir(place.versions(name)))
    except FileNotFoundError:
        return None
    for entry in entries:
        version = version_in(name, os.path.join(place.versions(name), entry))
        if version.digest == digest and not entry.endswith(PART) and version.is_whole():
            return version
    return None


def prune(place: Place, name: str) -> None:
    """Remove the versions that are neither current nor previous, unless one of them still runs."""
    kept = {
        version.folder
        for version in (current_version(place, name), previous_version(place, name))
        if version is not None
    }
    versions = os.path.realpath(place.versions(name))
    for entry in os.listdir(versions):
        folder = os.path.join(versions, entry)
        if folder not in kept and os.path.isdir(folder):
            with unused(folder) as free:
                if free:
                    remove_folder(folder)


def tidy(place: Place) -> None:
    """Remove what interrupted commands left; the caller holds the lock."""
    for folder in (place.bundles, place.programs, place.units, place.tool):
        remove_leftovers(folder)
    for name in os.listdir(place.bundles):
        home = place.bundle(name)
        if os.path.isdir(home):
            remove_leftovers(home)
            remove_leftovers(place.versions(name))
            _remove_old_pairs(home)
            _remove_empty(place.versions(name), home)


def _remove_empty(*folders: str) -> None:
    """Remove what a first installation that was refused has left."""
    for folder in folders:
        try:
            os.rmdir(folder)
        except OSError:
            return


def remove_bundle(place: Place, name: str) -> None:
    """Remove every version of a bundle, in one step and durably."""
    remove_folder(place.bundle(name))
