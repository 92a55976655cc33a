"""The base layer of an image: a root with Debian's Python and C libraries, and nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.adapters.debian import DebianPackage, unpack_packages
from edge.adapters.image_layers import Entry, Layer, folder_entries, write_layer

USER: Final = 65534
_USERS: Final = (
    "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:{0}:{0}:nobody:/tmp:/usr/sbin/nologin\n"
)
_GROUPS: Final = "root:x:0:\nnogroup:x:{0}:\n"
_OS_RELEASE: Final = """\
PRETTY_NAME="Debian GNU/Linux {number} ({suite})"
NAME="Debian GNU/Linux"
ID=debian
VERSION_ID="{number}"
VERSION_CODENAME={suite}
"""
_NUMBERS: Final = {"bullseye": "11", "bookworm": "12", "trixie": "13"}
# GCC's libraries keep their licence in a package of its own.
_LICENCES: Final = {
    "bullseye": "gcc-10-base",
    "bookworm": "gcc-12-base",
    "trixie": "gcc-14-base",
}
# A container runtime mounts there, and cannot make them in a root that is read-only.
_MOUNT_POINTS: Final = ("dev", "proc", "run", "sys")
# For people at a shell, which the image has none of. Licences are kept.
_UNUSED: Final = ("usr/share/man/", "usr/share/lintian/", "usr/share/bug/", "usr/share/doc-base/")


def licence_packages(suite: str) -> tuple[str, ...]:
    """Return the packages that bring only the licences of others."""
    return (_LICENCES[suite],)


def write_root_layer(
    packages: Sequence[DebianPackage], suite: str, python: str, scratch: Path
) -> Layer:
    """Write the base layer of these packages; `scratch` is an empty folder to work in.

    Raises:
        BundleError: a package is damaged.
        HostError: `scratch` cannot be written.
    """
    root = scratch / "root"
    root.mkdir()
    unpack_packages(packages, root)
    entries = [entry for entry in folder_entries(root) if _is_used(entry)]
    entries += [
        *(Entry(name=name) for name in _MOUNT_POINTS),
        Entry(name="etc/group", content=_GROUPS.format(USER).encode(), mode=0o644),
        Entry(name="etc/os-release", content=os_release(suite), mode=0o644),
        Entry(name="etc/passwd", content=_USERS.format(USER).encode(), mode=0o644),
        Entry(name="tmp", mode=0o1777),
        Entry(name="usr/bin/python3", link=f"python{python}", mode=0o777),
        # Scanners look there for what is installed.
        Entry(name="var/lib/dpkg/status", content=_status(packages), mode=0o644),
    ]
    return write_layer(scratch / "root.tar", entries)


def _is_used(entry: Entry) -> bool:
    name = entry.name + "/" if entry.content is None and entry.link is None else entry.name
    if name.startswith("usr/share/doc/") and entry.content is not None:
        return name.endswith("/copyright")
    return not name.startswith(_UNUSED)


def os_release(suite: str) -> bytes:
    """Return the /etc/os-release of a root of a release, whose packages bring none."""
    return _OS_RELEASE.format(suite=suite, number=_NUMBERS[suite]).encode()


def _status(packages: Sequence[DebianPackage]) -> bytes:
    stanzas = [
        f"Package: {package.name}\nStatus: install ok installed\n"
        f"Architecture: {package.architecture}\nVersion: {package.version}\n"
        for package in sorted(packages, key=lambda package: package.name)
    ]
    return "\n".join(stanzas).encode()
