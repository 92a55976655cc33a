"""Writes a bundle's wheels as a standard lock file (pylock.toml, PEP 751).

https://packaging.python.org/en/latest/specifications/pylock-toml/.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from packaging.markers import Marker
from packaging.pylock import Package, PackageWheel, Pylock, PylockValidationError
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from edge.errors import BundleError
from edge.records.platform import Platform
from edge.records.target import TargetRuntime, WheelPin

_LOCK_VERSION: Final = Version("1.0")
_CREATED_BY: Final = "edgekit"
_HEAD: Final = """\
# The wheels of this bundle as the registry has them, by name and digest; the bundle itself carries
# what of each is used at run time. No index is named: put the wheels into wheels/ beside this file.

"""
# A 32-bit system may run on a 64-bit kernel, whose name is what Python tells.
_MACHINES: Final = {"armv7l": ("aarch64", "armv7l", "armv8l")}


def lock_text(pins: Sequence[WheelPin], platform: Platform, runtime: TargetRuntime) -> bytes:
    """Return the lock file of `pins` for the platform.

    Raises:
        BundleError: the pins are not what a lock file can hold.
    """
    # Only packaging writes TOML.
    import tomli_w

    try:
        lock = Pylock(
            lock_version=_LOCK_VERSION,
            environments=[_environment(platform)],
            requires_python=SpecifierSet(f"=={platform.python}.*"),
            created_by=_CREATED_BY,
            packages=[_package(pin) for pin in sorted(pins, key=lambda pin: pin.filename)],
            tool={"edgekit": _facts(platform, runtime)},
        )
        lock.validate()
    except (PylockValidationError, InvalidVersion) as error:
        what = f"its wheels cannot be locked: {error}"
        raise BundleError(what, where=platform.name) from error
    return (_HEAD + tomli_w.dumps(dict(lock.to_dict()))).encode("utf-8")


def _environment(platform: Platform) -> Marker:
    architecture = platform.architecture
    machines = _MACHINES.get(architecture, (architecture,))
    machine = " or ".join(f"platform_machine == '{name}'" for name in machines)
    return Marker(f"implementation_name == 'cpython' and sys_platform == 'linux' and ({machine})")


def _package(pin: WheelPin) -> Package:
    wheel = PackageWheel(
        name=pin.filename,
        path=f"wheels/{pin.filename}",
        size=pin.size_bytes,
        hashes={"sha256": pin.sha256},
    )
    return Package(name=canonicalize_name(pin.name), version=Version(pin.version), wheels=[wheel])


def _facts(platform: Platform, runtime: TargetRuntime) -> Mapping[str, Any]:
    """Return what the standard has no key for."""
    return {
        "target": platform.name,
        "architecture": platform.architecture,
        "glibc": platform.glibc,
        "runtime": runtime.distribution,
        "runtime-version": runtime.version,
        "apt-packages": list(runtime.apt_packages),
    }
