"""The wheels of a runtime for a platform: pinned, checked against the platform, cached.

A cached wheel is used by its digest alone; a platform whose wheels were had once needs no network.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from edge.adapters.elf import SystemNeeds, all_needs, version_key, wheel_needs
from edge.adapters.files import host_error, read_json, write_json
from edge.adapters.registry import PackagePin, pip_download, pip_resolve, sha256_of
from edge.adapters.store import cache_folder
from edge.errors import BundleError, ConfigError
from edge.records.codec import from_dict, to_dict
from edge.records.platform import Platform
from edge.records.target import TargetRuntime, WheelPin

# The oldest glibc of a manylinux tag, and the names that tags had before PEP 600.
_OLDEST_MINOR = {"x86_64": 5, "i686": 5}
_OLDEST_MINOR_ELSEWHERE = 17
# tflite-runtime fails with numpy 2 when an interpreter is made, and does not say so.
_UNDECLARED = {"tflite-runtime": ("numpy<2",)}
_OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


def wheels_for(platform: Platform, runtime: TargetRuntime) -> tuple[tuple[WheelPin, Path], ...]:
    """Return every wheel that `runtime` needs on `platform`, as files of the cache.

    What the target does not pin is resolved once and remembered.

    Raises:
        BundleError: the registry has no such wheel, another file under its name, or one that
            does not run on the platform.
        HostError: no network, no disk space.
    """
    pins = runtime.wheels or _locked(platform, runtime)
    tags = frozenset(platform_tags(platform))
    for pin in pins:
        _require_fitting(pin, platform, tags)
    _fetch([pin for pin in pins if not _is_cached(pin)], platform)
    return tuple((pin, _place(pin)) for pin in sorted(pins, key=lambda pin: pin.filename))


def platform_tags(platform: Platform) -> list[Tag]:
    """Return the tags of the wheels that run there, best first."""
    version = python_version(platform)
    names = platform_names(platform)
    interpreter = "cp{}{}".format(*version)
    return [
        *cpython_tags(version, [interpreter], names),
        *compatible_tags(version, interpreter, names),
    ]


def platform_names(platform: Platform) -> list[str]:
    """Return the platform parts of those tags: pip has to be told each one."""
    architecture = platform.architecture
    major, _, minor = platform.glibc.partition(".")
    if major != "2" or not minor.isdigit():
        raise BundleError(f"no wheels are made for its C library: {platform.glibc or 'none'}")
    names = []
    for version in range(
        int(minor), _OLDEST_MINOR.get(architecture, _OLDEST_MINOR_ELSEWHERE) - 1, -1
    ):
        names.append(f"manylinux_2_{version}_{architecture}")
        if version in _OLD_NAMES:
            names.append(f"{_OLD_NAMES[version]}_{architecture}")
    return names


def python_version(platform: Platform) -> tuple[int, int]:
    """Return the platform's Python as numbers."""
    major, _, minor = platform.python.partition(".")
    return int(major), int(minor)


def pip_options(platform: Platform) -> list[str]:
    """Return pip's options for this platform in place of the one that it runs on."""
    version = python_version(platform)
    options = ["--python-version={}.{}".format(*version), "--implementation=cp"]
    options += [f"--abi={abi}" for abi in ("cp{}{}".format(*version), "abi3", "none")]
    return options + [f"--platform={name}" for name in platform_names(platform)]


def _require_fitting(pin: WheelPin, platform: Platform, tags: frozenset[Tag]) -> None:
    try:
        wheel_tags = parse_wheel_filename(pin.filename)[3]
    except InvalidWheelFilename as error:
        raise BundleError(f"not a wheel's file name: {error}", where=platform.name) from error
    if tags.isdisjoint(wheel_tags):
        what = (
            f"{pin.filename} is not for {platform.architecture}, Python {platform.python}, "
            f"glibc {platform.glibc}"
        )
        raise BundleError(what, where=platform.name, hint="correct the pins of the target's file")


def _place(pin: WheelPin) -> Path:
    return cache_folder("wheels") / pin.sha256 / pin.filename


def _is_cached(pin: WheelPin) -> bool:
    path = _place(pin)
    return path.is_file() and sha256_of(path) == pin.sha256


def _fetch(pins: Sequence[WheelPin], platform: Platform) -> None:
    """Download wheels beside the cache, check them and rename each into it."""
    if not pins:
        return
    wanted = [PackagePin(name=pin.name, version=pin.version, sha256=pin.sha256) for pin in pins]
    with _downloaded(wanted, platform) as folder:
        for pin in pins:
            _keep(folder / pin.filename, pin)


@contextmanager
def _downloaded(wanted: Sequence[PackagePin], platform: Platform) -> Iterator[Path]:
    cache = cache_folder("wheels")
    try:
        with tempfile.TemporaryDirectory(prefix=".new-", dir=cache) as scratch:
            pip_download(wanted, Path(scratch), pip_options(platform))
            yield Path(scratch)
    except OSError as error:
        raise host_error(error, cache) from error


def _keep(downloaded: Path, pin: WheelPin) -> None:
    if not downloaded.is_file() or sha256_of(downloaded) != pin.sha256:
        what = f"the registry gave another file for {pin.filename}"
        raise BundleError(what, where=f"{pin.name} {pin.version}")
    place = _place(pin)
    place.parent.mkdir(exist_ok=True)
    downloaded.replace(place)


def _locked(platform: Platform, runtime: TargetRuntime) -> tuple[WheelPin, ...]:
    """Return the closure of a runtime that the target does not pin: remembered, or resolved now."""
    requirements = [f"{runtime.distribution}=={runtime.version}", *platform.held]
    requirements += _UNDECLARED.get(runtime.distribution, ())
    options = pip_options(platform)
    key = json.dumps([requirements, options])
    lock = cache_folder("locks") / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
    pins = _read_lock(lock)
    if pins is None:
        pins = _resolve(requirements, platform)
        write_json(lock, [asdict(pin) for pin in pins])
    return pins


def _resolve(requirements: Sequence[str], platform: Platform) -> tuple[WheelPin, ...]:
    """Resolve requirements and download what they come to; where it was found is not kept."""
    found: dict[str, PackagePin] = {}
    for entry in pip_resolve(requirements, pip_options(platform)):
        name, version = entry["metadata"]["name"], entry["metadata"]["version"]
        source = entry["download_info"]
        sha256 = source.get("archive_info", {}).get("hashes", {}).get("sha256")
        filename = unquote(urlsplit(source["url"]).path.rpartition("/")[2])
        if sha256 is None or not filename.endswith(".whl"):
            raise BundleError("the registry has no wheel with a digest", where=f"{name} {version}")
        found[filename] = PackagePin(name=name, version=version, sha256=sha256)
    pins = []
    with _downloaded(list(found.values()), platform) as folder:
        for filename, wanted in found.items():
            path = folder / filename
            size_bytes = path.stat().st_size
            pins.append(WheelPin(**asdict(wanted), filename=filename, size_bytes=size_bytes))
            _keep(path, pins[-1])
    return tuple(pins)


def _read_lock(path: Path) -> tuple[WheelPin, ...] | None:
    if not path.is_file():
        return None
    try:
        return tuple(from_dict(WheelPin, entry, path) for entry in read_json(path))
    except (ConfigError, TypeError):
        # A damaged lock is resolved again, as if it were not there.
        return None


def audit_wheels(wheels: Sequence[tuple[WheelPin, Path]], platform: Platform) -> SystemNeeds:
    """Return what the wheels' compiled files need, once the platform is found to have it.

    Raises:
        BundleError: it does not have it, whatever the wheels' names say.
    """
    found = []
    for pin, path in wheels:
        needs = _audited(pin, path)
        for name, needed, there in (
            ("GLIBC", needs.glibc, platform.glibc),
            ("GLIBCXX", needs.libstdcxx, platform.libstdcxx),
        ):
            if needed and there and version_key(needed) > version_key(there):
                what = f"{pin.filename} needs {name}_{needed}, and {platform.name} has {there}"
                raise BundleError(what, hint="take an older version of it, or a newer system")
        foreign = [name for name in needs.architectures if name != platform.architecture]
        if foreign:
            what = f"{pin.filename} holds code for {', '.join(foreign)}"
            raise BundleError(what, where=platform.name)
        found.append(needs)
    return all_needs(found)


def _audited(pin: WheelPin, path: Path) -> SystemNeeds:
    """Return what a wheel needs; reading 50 MB of compressed code once is enough."""
    remembered = cache_folder("audits") / f"{pin.sha256}.json"
    try:
        return from_dict(SystemNeeds, read_json(remembered), remembered)
    except ConfigError:
        needs = wheel_needs(path)
        write_json(remembered, to_dict(needs))
        return needs
