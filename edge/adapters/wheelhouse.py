"""The wheels of a runtime for a platform: pinned, checked against the platform, cached.

A cached wheel is used by its digest alone; a platform whose wheels were had once needs no network.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from edge.adapters.elf import SystemNeeds, all_needs, version_key
from edge.adapters.files import host_error, read_json, write_json
from edge.adapters.numpy_abi import NumpyNeeds, numpy_misfit
from edge.adapters.platform_tags import pip_options, platform_tags
from edge.adapters.registry import NotInRegistry, PackagePin, pip_download, sha256_of
from edge.adapters.resolution import provided_versions, resolve
from edge.adapters.store import cache_folder
from edge.adapters.wheel_audit import WheelAudit, audited
from edge.adapters.wheel_search import known_to_run, missing_wheel
from edge.adapters.wheel_set import WheelSet
from edge.errors import BundleError, ConfigError
from edge.records.codec import from_dict
from edge.records.platform import Platform
from edge.records.target import TargetRuntime, WheelPin

_NUMPY = "numpy"


def wheels_for(platform: Platform, runtime: TargetRuntime) -> tuple[tuple[WheelPin, Path], ...]:
    """Return every wheel that `runtime` needs on `platform`, as files of the cache.

    What the target does not pin is resolved once and remembered.

    Raises:
        BundleError: the registry has no such wheel, another file under its name, or one that
            does not run on the platform.
        HostError: no network, no disk space.
    """
    pins = runtime.wheels or _locked(platform, runtime)
    _require_fitting(pins, platform)
    _fetch([pin for pin in pins if not _is_cached(pin)], platform)
    return _placed(pins)


def cached_wheels(
    platform: Platform, runtime: TargetRuntime
) -> tuple[tuple[WheelPin, Path], ...] | None:
    """Return what `wheels_for` does if all of it is cached; otherwise None.

    Raises:
        BundleError: a wheel does not run on the platform.
    """
    pins = runtime.wheels or _read_lock(_lock_path(platform, runtime))
    if pins is None or not all(map(_is_cached, pins)):
        return None
    _require_fitting(pins, platform)
    return _placed(pins)


def _require_fitting(pins: Sequence[WheelPin], platform: Platform) -> None:
    tags = frozenset(platform_tags(platform))
    for pin in pins:
        try:
            wheel_tags = parse_wheel_filename(pin.filename)[3]
        except InvalidWheelFilename as error:
            raise BundleError(f"not a wheel's file name: {error}", where=platform.name) from error
        if tags.isdisjoint(wheel_tags):
            what = (
                f"{pin.filename} is not for {platform.architecture}, Python {platform.python}, "
                f"glibc {platform.glibc}"
            )
            hint = "correct the pins of the target's file"
            raise BundleError(what, where=platform.name, hint=hint)


def _placed(pins: Sequence[WheelPin]) -> tuple[tuple[WheelPin, Path], ...]:
    return tuple((pin, _place(pin)) for pin in sorted(pins, key=lambda pin: pin.filename))


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
    lock = _lock_path(platform, runtime)
    pins = _read_lock(lock)
    if pins is None:
        pins = lock_wheels(platform, runtime)
        write_json(lock, [asdict(pin) for pin in pins])
    return pins


def _lock_path(platform: Platform, runtime: TargetRuntime) -> Path:
    asked = [f"{runtime.distribution}=={runtime.version}", *platform.held, *runtime.provided]
    key = json.dumps([asked, pip_options(platform)])
    return cache_folder("locks") / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def lock_wheels(platform: Platform, runtime: TargetRuntime) -> tuple[WheelPin, ...]:
    """Resolve the closure of a runtime anew and download it; the runtime's own wheel comes first.

    Runtimes do not say that they are compiled for numpy 1, so what is resolved is looked into: if
    one is, the closure is resolved again with numpy below 2.

    Raises:
        BundleError: the registry has no such wheels for the platform, with what it has instead.
        HostError: no network, no disk space.
    """
    try:
        pins = _resolved(platform, runtime)
        numpy = next((pin.version for pin in pins if pin.name == _NUMPY), None)
        if numpy is not None and any(
            audited(pin, _place(pin)).numpy.below_2
            and numpy_misfit(NumpyNeeds(below_2=True), numpy)
            for pin in pins
        ):
            pins = _resolved(platform, runtime, ["numpy<2"])
    except NotInRegistry as error:
        raise missing_wheel(error, platform, runtime) from error
    return pins


def _resolved(
    platform: Platform, runtime: TargetRuntime, extra: Sequence[str] = ()
) -> tuple[WheelPin, ...]:
    """Resolve requirements and download what they come to; where it was found is not kept."""
    found: dict[str, PackagePin] = {}
    for entry in resolve(platform, runtime, extra):
        name, version = canonicalize_name(entry["metadata"]["name"]), entry["metadata"]["version"]
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


def audit_wheels(
    wheels: Sequence[tuple[WheelPin, Path]],
    platform: Platform,
    runtime: TargetRuntime | None = None,
    opened: Callable[[], WheelSet] | None = None,
) -> SystemNeeds:
    """Return what the wheels' compiled files need, once the platform is found to have it.

    `runtime` is the one that they are for; what it has from the target's own distribution counts.
    `opened` opens them, where somebody reads them anyway.

    Raises:
        BundleError: the platform does not have it, whatever the wheels' names say, or the wheels
            do not fit each other.
    """
    audits = [(pin, audited(pin, path, opened)) for pin, path in wheels]
    for pin, audit in audits:
        is_runtime = runtime is not None and pin.name == canonicalize_name(runtime.distribution)
        for name, needed, there in (
            ("GLIBC", audit.system.glibc, platform.glibc),
            ("GLIBCXX", audit.system.libstdcxx, platform.libstdcxx),
        ):
            if needed and there and version_key(needed) > version_key(there):
                what = f"{pin.filename} needs {name}_{needed}, and {platform.name} has {there}"
                hint = known_to_run(pin, platform, is_runtime=is_runtime)
                raise BundleError(what, hint=hint)
        foreign = [name for name in audit.system.architectures if name != platform.architecture]
        if foreign:
            what = f"{pin.filename} holds code for {', '.join(foreign)}"
            hint = f"take another version of it: this one is no wheel for {platform.architecture}"
            raise BundleError(what, where=platform.name, hint=hint)
    _require_one_numpy(audits, platform, {} if runtime is None else provided_versions(runtime))
    return all_needs([audit.system for _, audit in audits])


def _require_one_numpy(
    audits: Sequence[tuple[WheelPin, WheelAudit]], platform: Platform, provided: Mapping[str, str]
) -> None:
    """Refuse wheels whose compiled files are made for another numpy than the one that is there.

    Raises:
        BundleError: with the wheel and the numpy.
    """
    pinned = next((pin.version for pin, _ in audits if pin.name == _NUMPY), None)
    version = pinned or provided.get(_NUMPY)
    if version is None:
        return
    origin = "from its own archive" if pinned is None else "beside it"
    for pin, audit in audits:
        misfit = numpy_misfit(audit.numpy, version)
        if misfit is not None:
            what = f"{pin.filename} {misfit}, and numpy {version} comes {origin}"
            below = "below 2 (numpy<2)" if audit.numpy.below_2 else f"{audit.numpy.oldest} or newer"
            hint = f"pin a numpy {below}, or take another version of {pin.name}"
            raise BundleError(what, where=platform.name, hint=hint)
