"""Debian packages with everything that they depend on, resolved by apt and remembered.

apt resolves for an empty system, so it names all of it. What it names is then walked from the
wanted packages, and not through what is left out: what only that would need is left out as well.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from edge.adapters.apt import run_apt
from edge.adapters.debian import debian_architecture, fetch_chosen
from edge.adapters.debian_cache import DebianPackage, cached_packages
from edge.adapters.debian_sources import stanzas
from edge.adapters.files import read_json, write_json
from edge.adapters.store import cache_folder
from edge.errors import BundleError, ConfigError

Progress = Callable[[float], None]

_CLOSURES: Final = "closures.json"
_INSTALLED: Final = re.compile(r"^Inst (\S+) ", re.MULTILINE)
_UNKNOWN: Final = re.compile(r"Unable to locate package (\S+)|Package '?([^\s']+)'? has no install")
# As Debian's policy manual, chapter 7.1, writes a dependency: a name, with :any, with a version.
_DEPENDENCY: Final = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")


def fetch_closure(
    names: Sequence[str],
    *,
    suite: str,
    architecture: str,
    progress: Progress = lambda _fraction: None,
    without: Collection[str] = (),
) -> tuple[DebianPackage, ...]:
    """Return packages of a release and all that they depend on, what is depended on first.

    Not in it are `without`, and what Debian has only to be administered: packages that are
    essential, and those of the section admin that are required or important (debconf, dpkg, PAM,
    adduser), which nothing needs that is unpacked and not installed. A package that is in `names`
    stays. From the cache if it is there; then neither apt nor the network is needed.

    Raises:
        BundleError: the release has no such package, or the archive is not the one that is signed.
        ConfigError: Debian has no such architecture.
        HostError: there is no apt or no network here, or the cache cannot be written.
    """
    folder = cache_folder("debian", suite, debian_architecture(architecture))
    key = " ".join([*sorted(set(names)), *(f"-{name}" for name in sorted(set(without)))])
    known = _remembered(folder).get(key)
    packages = known and cached_packages(known, folder)
    if not packages:
        progress(0.0)

        def choose(environment: Mapping[str, str]) -> list[str]:
            chosen = _resolved(names, without, f"Debian {suite}", environment)
            progress(0.2)
            return chosen

        packages = fetch_chosen(choose, suite=suite, architecture=architecture)
        remembered = {**_remembered(folder), key: [package.name for package in packages]}
        write_json(folder / _CLOSURES, remembered)
    progress(1.0)
    return packages


def closure(
    names: Sequence[str], without: Collection[str], rows: Sequence[Mapping[str, str]]
) -> list[str]:
    """Return what of `rows`, stanzas of an index, the packages need, in the order of `rows`."""
    known = {row["package"]: row for row in rows}
    providers: dict[str, list[str]] = {}
    for name, row in known.items():
        for provided in (name, *_named(row.get("provides", ""))):
            providers.setdefault(provided, []).append(name)
    kept = {name for name, row in known.items() if name in names or not _administers(row)}
    kept -= set(without)
    found: set[str] = set()
    waiting = [name for name in names if name in kept]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            for field in ("depends", "pre-depends"):
                for needed in _named(known[name].get(field, "")):
                    waiting += [one for one in providers.get(needed, ()) if one in kept]
    return [name for name in known if name in found]


def _administers(row: Mapping[str, str]) -> bool:
    needed = row.get("essential") == "yes" or row.get("priority") in ("required", "important")
    return needed and (row.get("essential") == "yes" or row.get("section") == "admin")


def _named(field: str) -> Iterator[str]:
    """Yield the names in a field of relations; of alternatives, each."""
    for relation in re.split(r"[,|]", field):
        told = _DEPENDENCY.match(relation)
        if told is not None:
            yield told[1]


def _resolved(
    names: Sequence[str], without: Collection[str], what: str, environment: Mapping[str, str]
) -> list[str]:
    # Simulated, so it neither locks nor writes; recommended packages are not asked for.
    command = ["apt-get", "--simulate", "--no-install-recommends", "install", *names]
    try:
        listed = _INSTALLED.findall(run_apt(command, what, environment))
    except BundleError as error:
        unknown = _UNKNOWN.search(error.what)
        if unknown is None:
            raise
        where = unknown[1] or unknown[2]
        raise BundleError(f"{what} has no package of that name", where=where) from error
    shown = ["apt-cache", "show", "--no-all-versions", *listed]
    rows = {row["package"]: row for row in stanzas(run_apt(shown, what, environment))}
    return closure(names, without, [rows[name] for name in listed if name in rows])


def _remembered(folder: Path) -> dict[str, list[str]]:
    """Return what earlier resolutions named; a listing that cannot be read is none."""
    try:
        document = read_json(folder / _CLOSURES)
    except ConfigError:
        return {}
    if not isinstance(document, dict):
        return {}
    return {key: names for key, names in document.items() if isinstance(names, list)}
