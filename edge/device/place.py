"""Where bundles are installed: the folder, and what stands where in it. Device slice: Python 3.8."""

import os
import re
from dataclasses import dataclass
from typing import Optional

from edge.device.durable import PART
from edge.errors import BundleError, HostError, printable

TOOL = "edgekit"
# It becomes the name of a folder, of a program and of a service: nothing hidden, no option, no path.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_SYSTEM_ROOT = "/var/lib/edgekit"


class Unusable(Exception):
    """A folder that code cannot be put into and run from."""


@dataclass(frozen=True)
class Place:
    """A folder that bundles are installed in."""

    root: str

    @property
    def bundles(self) -> str:
        """One folder for each bundle's name."""
        return os.path.join(self.root, "bundles")

    @property
    def lock(self) -> str:
        """Whoever changes anything holds this file."""
        return os.path.join(self.bundles, ".lock")

    @property
    def programs(self) -> str:
        """The launchers."""
        return os.path.join(self.root, "bin")

    @property
    def tool(self) -> str:
        """The resident tool's code."""
        return os.path.join(self.root, "tool")

    @property
    def units(self) -> str:
        """What systemd is given."""
        return os.path.join(self.root, "systemd")

    def bundle(self, name: str) -> str:
        """Return the folder of one bundle, of whatever version."""
        return os.path.join(self.bundles, name)

    def versions(self, name: str) -> str:
        """Return the folder of its versions."""
        return os.path.join(self.bundles, name, "versions")

    def program(self, name: str) -> str:
        """Return a launcher's path."""
        return os.path.join(self.programs, name)


def place_of(chosen: Optional[str]) -> Place:
    """Return the place that is chosen, or the usual one of this user."""
    root = chosen or os.environ.get("EDGEKIT_HOME")
    if not root and os.geteuid() == 0:
        root = _SYSTEM_ROOT
    if not root:
        data = os.environ.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
        root = os.path.join(os.path.expanduser(data), "edgekit")
    return Place(os.path.abspath(root))


def plain_name(name: str) -> str:
    """Return the name if a bundle can be installed under it.

    Raises:
        BundleError: it cannot.
    """
    if not _NAME.fullmatch(name) or name == TOOL or name.endswith(PART):
        what = "not a name to install a bundle under: {}".format(printable(repr(name), 120))
        hint = "letters, digits and _ . + -, a letter or digit first; package it under another name"
        raise BundleError(what, hint=hint)
    return name


def make_usable(place: Place) -> None:
    """Make the folders that every installation needs.

    Raises:
        HostError: files cannot be written there, or code cannot be run from there.
    """
    try:
        for folder in (place.bundles, place.programs):
            require_usable(folder)
    except Unusable as error:
        hint = "choose another folder with --root DIR or EDGEKIT_HOME"
        if os.geteuid() != 0 and place.root == _SYSTEM_ROOT:
            hint += ", or use sudo"
        raise HostError(str(error), where=place.root, hint=hint) from error


def require_usable(folder: str, mode: int = 0o755) -> None:
    """Make a folder that files can be written to and code can be run from.

    Raises:
        Unusable: it is none.
    """
    import tempfile

    try:
        os.makedirs(folder, mode=mode, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        flags = os.statvfs(folder).f_flag
    except OSError as error:
        raise Unusable((error.strerror or str(error)).lower()) from error
    if flags & os.ST_NOEXEC:
        raise Unusable("its file system is mounted noexec, and the runtime's code has to run there")
