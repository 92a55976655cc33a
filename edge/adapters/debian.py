"""Packages of a Debian release for any architecture, each checked against the signed index."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.apt import private_configuration, run_apt
from edge.adapters.debian_sources import KEYRING, Source, machine_sources, sources_text, stanzas
from edge.adapters.debian_unpack import unpack_archive
from edge.adapters.files import host_error, read_json, write_json
from edge.adapters.registry import sha256_of
from edge.adapters.store import cache_folder
from edge.errors import BundleError, ConfigError, HostError

Progress = Callable[[float], None]

_RESOLUTION = "resolution.json"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}
_NO_APT_HINT: Final = "use a machine with Debian's apt, or give a root of your own"
# What a Python of that release imports and links, with the C library, and nothing else.
_PYTHON_ROOTS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("bullseye", "3.9"): ("libffi7", "libssl1.1"),
    ("bookworm", "3.11"): ("libffi8", "libssl3"),
    ("trixie", "3.13"): ("libffi8", "libssl3t64"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """A package in the cache; `sha256` is the one that Debian's signed index gives it."""

    name: str
    version: str
    architecture: str
    sha256: str
    size_bytes: int
    path: Path


def python_root(suite: str, python: str, architecture: str) -> tuple[str, ...]:
    """Return the packages that make a root with that release's Python ("3.11") and C libraries.

    Raises:
        ConfigError: the release has another Python, or Debian no such architecture.
    """
    debian_architecture(architecture)
    own = _PYTHON_ROOTS.get((suite, python))
    if own is None:
        known = ", ".join(f"{name} has {version}" for name, version in _PYTHON_ROOTS)
        raise ConfigError(f"no Python {python} in Debian {suite}", hint=known)
    return (
        f"python{python}-minimal",
        f"libpython{python}-minimal",
        f"libpython{python}-stdlib",
        "libc6",
        "libgcc-s1",
        "libstdc++6",
        "zlib1g",
        "libexpat1",
        "libbz2-1.0",
        "liblzma5",
        *own,
    )


def debian_architecture(machine: str) -> str:
    """Return Debian's word for a machine as the kernel calls it; its own words stay.

    Raises:
        ConfigError: Debian's word for it is not known here.
    """
    if machine in _ARCHITECTURES.values():
        return machine
    try:
        return _ARCHITECTURES[machine]
    except KeyError:
        raise ConfigError("no Debian architecture of that name", where=machine) from None


def fetch_packages(
    names: Sequence[str],
    *,
    suite: str,
    architecture: str,
    progress: Progress = lambda _fraction: None,
    refresh: bool = False,
) -> tuple[DebianPackage, ...]:
    """Return the packages of a release ("bookworm") in the order of `names`, from the cache if there.

    What is in the cache is checked against its digest and needs no network; `refresh` asks the
    archive for newer versions.

    Raises:
        BundleError: the release has no such package, or the archive is not the one that is signed.
        ConfigError: Debian has no such architecture.
        HostError: there is no apt or no network here, or the cache cannot be written.
    """
    wanted = debian_architecture(architecture)
    folder = cache_folder("debian", suite, wanted)
    remembered = {} if refresh else _remembered(folder)
    found = [remembered.get(name) for name in names]
    known = [package for package in found if package is not None and _is_sound(package)]
    if len(known) != len(names):
        known = _download(names, suite, wanted, folder)
    progress(1.0)
    return tuple(known)


def unpack_packages(packages: Sequence[DebianPackage], folder: Path) -> None:
    """Unpack packages over each other into `folder`, which becomes a root; nothing of them is run.

    Raises:
        BundleError: one is damaged, or would write or link out of the folder.
        HostError: the folder cannot be written.
    """
    for package in packages:
        try:
            unpack_archive(package.path, folder)
        except OSError as error:
            raise host_error(error, folder) from error


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


def _remember(folder: Path, packages: Sequence[DebianPackage]) -> None:
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


def _is_sound(package: DebianPackage) -> bool:
    try:
        return sha256_of(package.path) == package.sha256
    except OSError:
        return False


def _download(
    names: Sequence[str], suite: str, architecture: str, folder: Path
) -> list[DebianPackage]:
    if shutil.which("apt-get") is None or not KEYRING.is_file():
        hint = _NO_APT_HINT
        raise HostError("this machine has no apt with Debian's keys", hint=hint)
    sources = machine_sources(suite)
    if not sources:
        raise HostError("apt knows no archive of Debian here", hint=_NO_APT_HINT)
    try:
        with tempfile.TemporaryDirectory(prefix=".apt-", dir=folder) as scratch:
            place = Path(scratch)
            environment = private_configuration(place, architecture)
            rows = _rows_downloaded(names, suite, sources, environment, place)
            packages = [_keep(row, place, folder) for row in rows]
    except OSError as error:
        raise host_error(error, folder) from error
    _remember(folder, packages)
    return packages


def _rows_downloaded(
    names: Sequence[str],
    suite: str,
    sources: Sequence[Source],
    environment: Mapping[str, str],
    place: Path,
) -> list[Mapping[str, str]]:
    """Download the packages to `place` and return what the signed index says of each."""
    what = f"Debian {suite}"
    released = [source for source in sources if source.suite == suite]
    for chosen in (sources, released):
        (place / "sources.list").write_text(sources_text(chosen), encoding="utf-8")
        try:
            run_apt(["apt-get", "update"], what, environment, place)
            rows = _index_rows(names, suite, environment)
            exact = [f"{row['package']}={row['version']}" for row in rows]
            run_apt(["apt-get", "download", *exact], what, environment, place)
            return rows
        except BundleError as error:
            # An old release's updates and security fixes leave the archive before it does.
            problem = error
    raise problem


def _index_rows(
    names: Sequence[str], suite: str, environment: Mapping[str, str]
) -> list[Mapping[str, str]]:
    """Return what the signed index says of each package, in the order of `names`.

    Raises:
        BundleError: it does not know one.
    """
    command = ["apt-cache", "show", "--no-all-versions", *names]
    rows = stanzas(run_apt(command, f"Debian {suite}", environment))
    known = {row["package"]: row for row in rows if "filename" in row}
    for name in names:
        if name not in known:
            raise BundleError(f"Debian {suite} has no package of that name", where=name)
    return [known[name] for name in names]


def _keep(row: Mapping[str, str], place: Path, folder: Path) -> DebianPackage:
    """Move a downloaded package to the cache, if it is what the index says.

    Raises:
        BundleError: it is not.
    """
    name = f"{row['package']}_{row['version'].replace(':', '%3a')}_{row['architecture']}.deb"
    downloaded = place / name
    if not downloaded.is_file() or sha256_of(downloaded) != row["sha256"]:
        hint = "the archive serves another file than the one that Debian signed; do not use it"
        raise BundleError("its digest is not the signed one", where=name, hint=hint)
    downloaded.replace(folder / name)
    return DebianPackage(
        name=row["package"],
        version=row["version"],
        architecture=row["architecture"],
        sha256=row["sha256"],
        size_bytes=int(row["size"]),
        path=folder / name,
    )
