"""What stands in for a target: the release of Debian that is nearest to it, and the differences."""

from dataclasses import dataclass, replace
from typing import Final

from edge.errors import ConfigError
from edge.reasoning.arm_cores import arm_core, common_features, is_own_core, own_core
from edge.records.target import OperatingSystem, Target, TargetRuntime

_DEBIAN_NAMES: Final = {"aarch64": "arm64", "armv7l": "armhf", "x86_64": "amd64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    suite: str
    number: str
    python: str
    glibc: str
    libstdcxx: str


# Python and libraries of Debian's python3, libc6 and libstdc++6 packages of these releases.
_RELEASES: Final = (
    _Release(suite="bullseye", number="11", python="3.9", glibc="2.31", libstdcxx="3.4.28"),
    _Release(suite="bookworm", number="12", python="3.11", glibc="2.36", libstdcxx="3.4.30"),
    _Release(suite="trixie", number="13", python="3.13", glibc="2.41", libstdcxx="3.4.33"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A release of Debian in place of a target's system, and an emulated core in place of its own.

    `qemu_cpu` is None where programs run natively. `exact`: what is made for the target runs here;
    otherwise a bundle for it has to be made with `stand_in_target`. `differences` are sentences.
    """

    suite: str
    architecture: str
    python: str
    glibc: str
    libstdcxx: str
    system: str
    qemu_cpu: str | None
    exact: bool
    differences: tuple[str, ...]


def stand_in_for(target: Target) -> StandIn:
    """Return what stands in for a target.

    The release is the one with the target's Python; else, of those whose C and C++ libraries are
    not older than the target's (an older one would refuse what the board takes), the one with
    the nearest Python, and of two at the same distance the one with the nearest C library. Where
    all are older it is the newest.

    Raises:
        ConfigError: it is a GPU in a cloud, or its file does not say which core to emulate.
    """
    if target.kind == "cloud-gpu":
        hint = "emulate cloud-cpu for the same system without a GPU, and measure on the GPU itself"
        raise ConfigError("a GPU cannot be emulated", where=target.name, hint=hint)
    native = target.cpu.architecture == "x86_64"
    if not native:
        arm_core(target)
    release = _release_for(target.os)
    system = f"Debian {release.number} ({release.suite}), {_DEBIAN_NAMES[target.cpu.architecture]}"
    exact = release.python == target.os.python and not _older(release, target.os)
    return StandIn(
        suite=release.suite,
        architecture=target.cpu.architecture,
        python=release.python,
        glibc=release.glibc,
        libstdcxx=release.libstdcxx,
        system=system,
        qemu_cpu=None if native or target.emulation is None else target.emulation.qemu_cpu,
        exact=exact,
        differences=(
            *_system_differences(target.os, release, system),
            *_processor_differences(target, native=native),
            *_missing_parts(target),
        ),
    )


def system_packages(target: Target) -> tuple[str, ...]:
    """Return what a bundle for the target finds in its system beside Python itself."""
    names = {name for runtime in target.runtimes for name in runtime.apt_packages}
    return tuple(sorted(name for name in names if name != f"python{target.os.python}"))


def stand_in_target(target: Target, stand_in: StandIn) -> Target:
    """Return the target that a bundle has to be made for to run in the stand-in.

    Where it is exact that is the target itself; else one with the Python of the stand-in and the
    older libraries of both, whose runtimes have the same versions and are resolved anew.
    """
    if stand_in.exact:
        return target
    system = replace(
        target.os,
        python=stand_in.python,
        glibc=min(target.os.glibc, stand_in.glibc, key=_numbers),
        libstdcxx=min(target.os.libstdcxx, stand_in.libstdcxx, key=_numbers),
    )
    return replace(
        target,
        name=f"{target.name}-stand-in",
        aliases=(),
        os=system,
        runtimes=tuple(_runtime(runtime, target.os.python) for runtime in target.runtimes),
    )


def _runtime(runtime: TargetRuntime, python: str) -> TargetRuntime:
    packages = tuple(name for name in runtime.apt_packages if name != f"python{python}")
    # What the system provides comes with its packages, and goes with them.
    provided = runtime.provided if packages else ()
    return replace(runtime, wheels=(), apt_packages=packages, provided=provided)


def _release_for(system: OperatingSystem) -> _Release:
    same = [release for release in _RELEASES if release.python == system.python]
    able = [release for release in _RELEASES if not _older(release, system)]
    candidates = same or able or _RELEASES[-1:]
    return min(
        candidates,
        key=lambda release: (
            abs(_minor(release.python) - _minor(system.python)),
            abs(_minor(release.glibc) - _minor(system.glibc)),
        ),
    )


def _older(release: _Release, system: OperatingSystem) -> bool:
    return _numbers(release.glibc) < _numbers(system.glibc) or (
        _numbers(release.libstdcxx) < _numbers(system.libstdcxx)
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _minor(version: str) -> int:
    major, minor = _numbers(version)
    return 1000 * major + minor


def _system_differences(system: OperatingSystem, release: _Release, name: str) -> tuple[str, ...]:
    found = []
    if not name.startswith(system.name):
        found.append(f"The system is {name} and not {system.name}.")
    if release.python != system.python:
        found.append(
            f"Python is {release.python} and not {system.python}: every compiled package is "
            "another file of the same project."
        )
    found += _library_difference("C library", "glibc ", release.glibc, system.glibc)
    found += _library_difference("C++ library", "GLIBCXX_", release.libstdcxx, system.libstdcxx)
    return tuple(found)


def _library_difference(what: str, word: str, here: str, there: str) -> list[str]:
    if here == there:
        return []
    said = f"The {what} has {word}{here} and not {word}{there}"
    if _numbers(here) > _numbers(there):
        return [f"{said}: what needs more than the board has is found by looking at the files."]
    return [f"{said}: what needs more than {word}{here} fails here, and may work on the board."]


def _processor_differences(target: Target, *, native: bool) -> tuple[str, ...]:
    if native:
        return (f"It runs on this machine's processor and kernel, not on {target.cpu.model}.",)
    if target.emulation is None or is_own_core(target):
        return ()
    common = common_features(target)
    missing = [name for name in target.cpu.features if name not in common]
    lacking = f": it lacks {', '.join(missing)}" if missing else ""
    core = target.emulation.qemu_cpu
    return (f"The emulated core is {core} and not {own_core(target)}{lacking}.",)


def _missing_parts(target: Target) -> tuple[str, ...]:
    return (f"There is no {target.accelerator.name}.",) if target.accelerator is not None else ()
