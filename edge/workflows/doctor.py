"""Looks at what this machine has for what edgekit does; nothing is fetched or made."""

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import edge
from edge.adapters.store import cache_folder
from edge.adapters.targets import load_targets
from edge.backends import backend_names, load_backend
from edge.device.facts import read_host_facts
from edge.device.parent import Limits, run_child
from edge.errors import EdgekitError, HostError, UsageError
from edge.records.doctor import CheckGroup, CheckState, HostCheck, HostReport
from edge.units import format_bytes
from edge.workflows.doctor_emulation import cached_files, emulation_checks, target_checks

# Below it, a first emulation of a target runs out of space: a root, qemu and two sets of wheels.
_LEAST_FREE_BYTES: Final = 2 << 30
_LEAST_MEMORY_BYTES: Final = 1 << 30
# A cache of more files than this is only said to be larger: doctor is to answer at once.
_MOST_FILES: Final = 100_000
_OK: Final[CheckState] = "ok"
_MISSING: Final[CheckState] = "missing"
_IMPORT_LIMITS: Final = Limits(wall_s=60.0, cpu_s=60, memory_bytes=None)


def examine_host() -> HostReport:
    """Return what this machine has; runtimes are imported in a limited child only."""
    emulation = tuple(emulation_checks())
    checks = (
        *_host_checks(),
        *_runtime_checks(),
        *_packaging_checks(),
        *emulation,
        *target_checks(load_targets(), emulation),
        _ssh_check(),
    )
    return HostReport(checks=checks, edgekit_version=edge.__version__)


def require(report: HostReport, names: Sequence[str]) -> None:
    """Refuse a machine that lacks one of the named checks; what can be fetched is not lacking.

    Raises:
        UsageError: there is no check of that name.
        HostError: something is missing.
    """
    missing = []
    for name in names:
        check = report.named(name)
        if check is None:
            known = ", ".join(one.name for one in report.checks)
            raise UsageError("no check of that name", where=name, hint=f"one of {known}")
        if check.state == "missing":
            missing.append(check)
    if missing:
        listed = ", ".join(check.name for check in missing)
        remedy = "; ".join(dict.fromkeys(check.remedy or "" for check in missing))
        raise HostError(f"missing: {listed}", hint=remedy)


def import_runtime(request: dict[str, Any]) -> None:
    """Import a backend's runtime; runs in the limited child."""
    load_backend(request["backend"]).import_runtime()


def _check(
    group: CheckGroup, name: str, state: CheckState, found: str, remedy: str | None = None
) -> HostCheck:
    remedy = remedy if state == "missing" else None
    return HostCheck(group=group, name=name, state=state, found=found, remedy=remedy)


def _host_checks() -> Iterator[HostCheck]:
    facts = read_host_facts()
    yield _check("host", "python", "ok", platform.python_version())
    cores = f"{facts.cores_allowed} cores of {facts.cpu_model or facts.machine}"
    yield _check("host", "processor", "ok", f"{cores}, {facts.machine}, {facts.system}")
    sizes = (facts.memory_bytes, facts.memory_limit_bytes)
    memory = min((size for size in sizes if size is not None), default=None)
    free = facts.memory_available_bytes
    few = memory is not None and memory < _LEAST_MEMORY_BYTES
    yield _check(
        "host",
        "memory",
        "missing" if few else "ok",
        f"{format_bytes(memory)}, {format_bytes(free)} of it free",
        f"models are parsed with {format_bytes(_LEAST_MEMORY_BYTES)} or more: use a larger machine",
    )
    yield from _cache_checks()


def _cache_checks() -> Iterator[HostCheck]:
    remedy = f"have {format_bytes(_LEAST_FREE_BYTES)} free, or set EDGEKIT_CACHE to another folder"
    try:
        folder = cache_folder()
        free = shutil.disk_usage(folder).free
        if not os.access(folder, os.W_OK):
            raise HostError("it cannot be written", where=folder)
    except (OSError, HostError) as error:
        yield _check("host", "disk", "missing", str(error), "set EDGEKIT_CACHE to another folder")
        return
    state: CheckState = "ok" if free >= _LEAST_FREE_BYTES else "missing"
    yield _check("host", "disk", state, f"{format_bytes(free)} free for the cache", remedy)
    size, whole = _size_bytes(folder)
    yield _check("host", "cache", "ok", f"{'' if whole else 'more than '}{format_bytes(size)}")


def _size_bytes(folder: Path) -> tuple[int, bool]:
    """Return the size of the files in a folder, and whether all of them were counted."""
    size = files = 0
    for place, _, names in os.walk(folder):
        for name in names:
            files += 1
            if files > _MOST_FILES:
                return size, False
            try:
                size += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
            except OSError:
                continue
    return size, True


def _runtime_checks() -> Iterator[HostCheck]:
    for name in backend_names():
        backend = load_backend(name)
        remedy = f"pip install {' or '.join(backend.distributions)}"
        try:
            distribution, version = backend.version()
        except EdgekitError:
            yield _check("runtimes", name, "missing", "it is not installed", remedy)
            continue
        found = f"{distribution} {version}"
        try:
            task = f"{__name__}:import_runtime"
            run_child(task, {"backend": name}, limits=_IMPORT_LIMITS, what=distribution)
        except EdgekitError as error:
            remedy = error.hint or f"pip install --force-reinstall {distribution}"
            yield _check("runtimes", name, "missing", f"{found}: {error.what}", remedy)
        else:
            yield _check("runtimes", name, "ok", f"{found}, imports")


def _packaging_checks() -> Iterator[HostCheck]:
    try:
        found, state = f"pip {metadata.version('pip')}", _OK
    except metadata.PackageNotFoundError:
        found, state = "it is not installed", _MISSING
    yield _check("packaging", "pip", state, found, "python -m ensurepip")
    wheels = cached_files("wheels", pattern="*/*.whl")
    size = format_bytes(sum(wheel.stat().st_size for wheel in wheels))
    yield _check(
        "packaging",
        "wheels",
        "ok" if wheels else "on-first-use",
        f"{len(wheels)} in the cache, {size}" if wheels else "none in the cache",
        "the first package of a target downloads its wheels",
    )


def _ssh_check() -> HostCheck:
    found = shutil.which("ssh") is not None
    remedy = "apt-get install openssh-client"
    said = "the client is installed" if found else "it is not installed"
    return _check("remote", "ssh", "ok" if found else "missing", said, remedy)
