"""What to do about a wheel that does not exist for a platform, or does not run on it."""

from collections.abc import Iterator
from dataclasses import replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from edge.adapters.elf import version_key
from edge.adapters.platform_tags import described, pip_options, python_version
from edge.adapters.registry import NotInRegistry, pip_versions
from edge.adapters.targets import load_targets
from edge.errors import BundleError
from edge.records.platform import Platform, platform_of
from edge.records.target import Target, TargetRuntime, WheelPin

# Each Python is one question to the registry: so many, the nearest first.
_OTHER_PYTHONS = (1, -1, 2, -2, 3, -3)


def missing_wheel(error: NotInRegistry, platform: Platform, runtime: TargetRuntime) -> BundleError:
    """Return the error that says which wheel is missing, and what there is instead.

    Raises:
        HostError: no network.
    """
    lacking = _name(error.requirement)
    if lacking is not None and lacking != canonicalize_name(runtime.distribution):
        what = (
            f"{runtime.distribution} {runtime.version} needs {error.requirement}, and that has no "
            f"wheel for {described(platform)}"
        )
        hint = "take another version with --runtime-version, or another target"
        return BundleError(what, where=platform.name, hint=hint)
    what = f"{runtime.distribution} {runtime.version} has no wheel for {described(platform)}"
    return BundleError(what, where=platform.name, hint="; ".join(_instead(platform, runtime)))


def _name(requirement: str | None) -> str | None:
    try:
        return None if requirement is None else canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return None


def _instead(platform: Platform, runtime: TargetRuntime) -> Iterator[str]:
    """Yield what there is: the newest version, another Python, other targets."""
    versions = pip_versions(runtime.distribution, pip_options(platform))
    if versions:
        yield f"the newest that has one is {versions[0]}: --runtime-version {versions[0]}"
    python = next((other for other in _neighbours(platform) if _exists(runtime, other)), None)
    if python is not None:
        yield f"there is one for Python {python.python}"
    targets = [platform_of(target) for target in load_targets() if target.kind != "cloud-gpu"]
    asked = {_environment(other): other for other in targets}
    having = {key for key, other in asked.items() if _exists(runtime, other)}
    names = [other.name for other in targets if _environment(other) in having]
    if names:
        yield f"targets that it has one for: {', '.join(names)}"
    if not versions and python is None and not names:
        yield f"the registry has no {runtime.distribution} {runtime.version} for any target"


def _neighbours(platform: Platform) -> Iterator[Platform]:
    """Yield the platform with other Pythons, the nearest first."""
    major, minor = python_version(platform)
    for step in _OTHER_PYTHONS:
        yield replace(platform, python=f"{major}.{minor + step}")


def _environment(platform: Platform) -> tuple[str, str, str]:
    return platform.architecture, platform.python, platform.glibc


def _exists(runtime: TargetRuntime, platform: Platform) -> bool:
    found = pip_versions(runtime.distribution, pip_options(platform))
    return _same(runtime.version) in map(_same, found)


def _same(version: str) -> object:
    try:
        return Version(version)
    except InvalidVersion:
        return version


def known_to_run(pin: WheelPin, platform: Platform, *, is_runtime: bool) -> str:
    """Return the remedy for a wheel that the platform cannot load, from what the targets pin."""
    targets = load_targets()
    older = {
        wheel.version
        for target in targets
        if _not_newer(target, platform)
        for wheel in _pins(target, pin.name)
        if wheel.version != pin.version
    }
    having = [t.name for t in targets if any(w.version == pin.version for w in _pins(t, pin.name))]
    remedies = []
    if older:
        best = max(older, key=version_key)
        option = f" (--runtime-version {best})" if is_runtime else ""
        remedies.append(f"take {pin.name} {best}{option}, which runs on such a system")
    if having:
        remedies.append(f"take a target that has it: {', '.join(having)}")
    return ", or ".join(remedies) or "take an older version of it, or a newer system"


def _not_newer(target: Target, platform: Platform) -> bool:
    """Whether what runs on a target runs on the platform as well."""
    other = platform_of(target)
    return (
        other.architecture == platform.architecture
        and python_version(other) == python_version(platform)
        and version_key(other.glibc) <= version_key(platform.glibc)
    )


def _pins(target: Target, name: str) -> Iterator[WheelPin]:
    return (wheel for runtime in target.runtimes for wheel in runtime.wheels if wheel.name == name)
