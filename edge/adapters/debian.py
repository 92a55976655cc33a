"""Packages of a Debian release for any architecture, each checked against the signed index."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from edge.adapters.apt import private_configuration, run_apt
from edge.adapters.debian_cache import (
    DebianPackage,
    cached_packages,
    described,
    is_sound,
    keep_package,
    remember,
)
from edge.adapters.debian_sources import KEYRING, machine_sources, sources_text, stanzas
from edge.adapters.debian_unpack import unpack_archive
from edge.adapters.files import host_error
from edge.adapters.store import cache_folder
from edge.errors import BundleError, ConfigError, HostError

__all__ = [
    "Choose",
    "DebianPackage",
    "Progress",
    "archive_lack",
    "debian_architecture",
    "fetch_chosen",
    "fetch_packages",
    "python_root",
    "unpack_packages",
]

Progress = Callable[[float], None]
# Says which packages are wanted, from what apt's index knows in the environment that it gets.
Choose = Callable[[Mapping[str, str]], Sequence[str]]

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}
_NO_APT_HINT: Final = "use a machine with Debian's apt, or give a root of your own"
# What a Python of that release imports and links, with the C library, and nothing else.
_PYTHON_ROOTS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("bullseye", "3.9"): ("libffi7", "libssl1.1"),
    ("bookworm", "3.11"): ("libffi8", "libssl3"),
    ("trixie", "3.13"): ("libffi8", "libssl3t64"),
}


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
    folder = cache_folder("debian", suite, debian_architecture(architecture))
    known = None if refresh else cached_packages(names, folder)
    if known is None:
        known = fetch_chosen(lambda _index: names, suite=suite, architecture=architecture)
    progress(1.0)
    return known


def fetch_chosen(choose: Choose, *, suite: str, architecture: str) -> tuple[DebianPackage, ...]:
    """Ask the archive, and return the packages that `choose` names, in their newest versions.

    Raises:
        BundleError: the release has no such package, or the archive is not the one that is signed.
        ConfigError: Debian has no such architecture.
        HostError: there is no apt or no network here, or the cache cannot be written.
    """
    wanted = debian_architecture(architecture)
    return _download(choose, suite, wanted, cache_folder("debian", suite, wanted))


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


def archive_lack() -> str | None:
    """Say what this machine lacks to fetch packages of Debian, the network aside; None: nothing."""
    if shutil.which("apt-get") is None or not KEYRING.is_file():
        return "this machine has no apt with Debian's keys"
    if not machine_sources("stable"):
        return "apt knows no archive of Debian here"
    return None


def _download(
    choose: Choose, suite: str, architecture: str, folder: Path
) -> tuple[DebianPackage, ...]:
    lack = archive_lack()
    if lack is not None:
        raise HostError(lack, hint=_NO_APT_HINT)
    try:
        with tempfile.TemporaryDirectory(prefix=".apt-", dir=folder) as scratch:
            place = Path(scratch)
            rows = _rows_downloaded(choose, suite, architecture, place, folder)
            packages = tuple(keep_package(row, place, folder) for row in rows)
    except OSError as error:
        raise host_error(error, folder) from error
    remember(folder, packages)
    return packages


def _rows_downloaded(
    choose: Choose, suite: str, architecture: str, place: Path, folder: Path
) -> list[Mapping[str, str]]:
    """Download what `folder` lacks to `place`; return what the signed index says of each."""
    sources = machine_sources(suite)
    environment = private_configuration(place, architecture)
    what = f"Debian {suite}"
    released = [source for source in sources if source.suite == suite]
    for chosen in (sources, released):
        (place / "sources.list").write_text(sources_text(chosen), encoding="utf-8")
        try:
            run_apt(["apt-get", "update"], what, environment, place)
            rows = _index_rows(choose(environment), suite, environment)
            lacking = [row for row in rows if not is_sound(described(row, folder))]
            exact = [f"{row['package']}={row['version']}" for row in lacking]
            if exact:
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
