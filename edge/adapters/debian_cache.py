"""The Debian packages in the cache: a folder for each release and architecture, with a listing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.files import read_json, write_json
from edge.adapters.registry import sha256_of
from edge.errors import BundleError, ConfigError

_RESOLUTION: Final = "resolution.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """A package in the cache; `sha256` is the one that Debian's signed index gives it."""

    name: str
    version: str
    architecture: str
    sha256: str
    size_bytes: int
    path: Path


def cached_packages(names: Sequence[str], folder: Path) -> tuple[DebianPackage, ...] | None:
    """Return the packages if the folder has every one, and whole; else None."""
    remembered = _remembered(folder)
    found = [remembered.get(name) for name in names]
    known = [package for package in found if package is not None and is_sound(package)]
    return tuple(known) if len(known) == len(names) else None


def _remembered(folder: Path) -> dict[str, DebianPackage]:
    """Return what earlier resolutions brought; a listing that cannot be read is none."""
    try:
        rows = read_json(folder / _RESOLUTION)
        return {
            row["name"]: DebianPackage(
                name=row["name"],
                version=row["version"],
                architecture=row["architecture"],
                sha256=row["sha256"],
                size_bytes=row["size_bytes"],
                path=folder / Path(row["file"]).name,
            )
            for row in rows
        }
    except (ConfigError, TypeError, KeyError):
        return {}


def remember(folder: Path, packages: Sequence[DebianPackage]) -> None:
    """Add packages to the listing of the folder.

    Raises:
        HostError: it cannot be written.
    """
    rows = {**_remembered(folder), **{package.name: package for package in packages}}
    document = [
        {
            "name": package.name,
            "version": package.version,
            "architecture": package.architecture,
            "sha256": package.sha256,
            "size_bytes": package.size_bytes,
            "file": package.path.name,
        }
        for package in sorted(rows.values(), key=lambda row: row.name)
    ]
    write_json(folder / _RESOLUTION, document)


def is_sound(package: DebianPackage) -> bool:
    """Whether the package's file is there, with the digest that it is signed with."""
    try:
        return sha256_of(package.path) == package.sha256
    except OSError:
        return False


def keep_package(row: Mapping[str, str], place: Path, folder: Path) -> DebianPackage:
    """Move a package to the cache, if it was downloaded and is what the index says.

    Raises:
        BundleError: it is not.
    """
    package = described(row, folder)
    downloaded = place / package.path.name
    if downloaded.is_file() and sha256_of(downloaded) == package.sha256:
        downloaded.replace(package.path)
    elif not is_sound(package):
        hint = "the archive serves another file than the one that Debian signed; do not use it"
        where = package.path.name
        raise BundleError("its digest is not the signed one", where=where, hint=hint)
    return package


def described(row: Mapping[str, str], folder: Path) -> DebianPackage:
    """Return the package that a stanza of the signed index is about, as it is in the folder."""
    name = f"{row['package']}_{row['version'].replace(':', '%3a')}_{row['architecture']}.deb"
    return DebianPackage(
        name=row["package"],
        version=row["version"],
        architecture=row["architecture"],
        sha256=row["sha256"],
        size_bytes=int(row["size"]),
        path=folder / name,
    )
