"""What this machine has to emulate targets: programs, compiler, archive, and so each target."""

import os
import platform
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from edge.adapters.debian import archive_lack, debian_architecture
from edge.adapters.programs import known_program, package_of
from edge.adapters.store import cache_folder
from edge.errors import ConfigError, HostError
from edge.reasoning.stand_in import StandIn, stand_in_for
from edge.records.doctor import CheckState, HostCheck
from edge.records.target import Target

_USER_MODE: Final[Mapping[str, str]] = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}
# About what the first use of each downloads (Debian 12).
_DOWNLOADS: Final = {
    "qemu-aarch64": "21 MB",
    "qemu-arm": "21 MB",
    "qemu-system-aarch64": "36 MB",
    "mke2fs": "4 MB",
}
_COMPILERS: Final = ("cc", "gcc", "clang")
_CONTAINER: Final = "use a machine or a container with Debian 12"
_WORST: Final[tuple[CheckState, ...]] = ("missing", "on-first-use", "ok")


def emulation_checks() -> Iterator[HostCheck]:
    """Yield what emulation needs: the archive first, because it decides over what is not here."""
    lack = archive_lack()
    yield _check(
        "archive",
        "missing" if lack else "ok",
        lack or "apt with Debian's keys and addresses",
        _CONTAINER,
    )
    for name in _DOWNLOADS:
        yield _program_check(name, lack)
    compiler = _compiler()
    yield _check(
        "compiler",
        "ok" if compiler else "missing",
        f"{compiler}, for the counter of instructions" if compiler else "none, so none is counted",
        "apt-get install gcc libc6-dev",
    )
    yield _cached_check("roots", "*.json", lack, "10 MB for each release and architecture")
    yield _cached_check("kernels", "*", lack, "21 MB")


def target_checks(targets: Sequence[Target], emulation: Sequence[HostCheck]) -> Iterator[HostCheck]:
    """Yield how each target that is no GPU can be emulated here."""
    by_name = {check.name: check for check in emulation}
    for target in targets:
        try:
            stand_in = stand_in_for(target)
        except ConfigError:
            continue
        if stand_in.qemu_cpu is None or _runs_here(target):
            yield _native_check(target)
        else:
            yield _emulated_check(target, stand_in, by_name)


def _emulated_check(
    target: Target, stand_in: StandIn, emulation: Mapping[str, HostCheck]
) -> HostCheck:
    emulator = emulation[_USER_MODE[target.cpu.architecture]]
    root = _root_state(stand_in, target, emulation["archive"])
    states = {emulator.state, root}
    state = next(one for one in _WORST if one in states)
    found = f"user mode, {stand_in.qemu_cpu}, on {stand_in.system}"
    if state == "on-first-use":
        found += "; fetched on first use"
    remedy = _CONTAINER if root == "missing" else emulator.remedy
    return HostCheck(
        name=f"target:{target.name}",
        group="targets",
        state=state,
        found=found,
        remedy=remedy if state == "missing" else None,
    )


def _root_state(stand_in: StandIn, target: Target, archive: HostCheck) -> CheckState:
    """Whether a root of the release is there; another one with the same name is as quick to make."""
    architecture = debian_architecture(target.cpu.architecture)
    if cached_files("emulation", "roots", pattern=f"{stand_in.suite}-{architecture}-*.json"):
        return "ok"
    return "on-first-use" if archive.state == "ok" else "missing"


def _native_check(target: Target) -> HostCheck:
    here = _runs_here(target)
    return HostCheck(
        name=f"target:{target.name}",
        group="targets",
        state="ok" if here else "missing",
        found="natively, under its limits" if here else f"it needs {target.cpu.architecture}",
        remedy=None if here else f"emulate it on a machine with {target.cpu.architecture}",
    )


def _runs_here(target: Target) -> bool:
    return target.kind == "cloud-cpu" and target.cpu.architecture == platform.machine()


def _program_check(name: str, lack: str | None) -> HostCheck:
    try:
        program, reason = known_program(name)
    except HostError as error:
        # It is not installed, and the cache cannot be used.
        return _check(name, "missing", error.what, f"apt-get install {package_of(name)}")
    if program is not None:
        plugins = ", loads plugins" if name in _USER_MODE.values() else ""
        return _check(name, "ok", f"{program.version}, {program.origin}{plugins}")
    package = package_of(name)
    remedy = f"apt-get install {package}, or {_CONTAINER}"
    if lack is not None:
        return _check(name, "missing", reason, remedy)
    wait = f"{reason}; Debian's {package} is fetched, {_DOWNLOADS[name]}"
    return _check(name, "on-first-use", wait)


def cached_files(*parts: str, pattern: str) -> list[Path]:
    """Return what a folder of the cache has; of a cache that cannot be used, nothing."""
    try:
        found = list(cache_folder(*parts).glob(pattern))
    except (OSError, HostError):
        return []
    return [path for path in found if not path.name.startswith(".")]


def _cached_check(kind: str, pattern: str, lack: str | None, size: str) -> HostCheck:
    kept = len(cached_files("emulation", kind, pattern=pattern))
    if kept:
        return _check(kind, "ok", f"{kept} in the cache")
    state: CheckState = "on-first-use" if lack is None else "missing"
    return _check(kind, state, f"none in the cache; {size} to fetch", _CONTAINER)


def _compiler() -> str | None:
    chosen = shlex.split(os.environ.get("CC", ""))
    return next((name for name in (*chosen[:1], *_COMPILERS) if shutil.which(name)), None)


def _check(name: str, state: CheckState, found: str, remedy: str = "") -> HostCheck:
    wanted = remedy if state == "missing" else None
    return HostCheck(name=name, group="emulation", state=state, found=found, remedy=wanted)
