"""Which wheels a runtime needs on a platform: pip's answer, closed for the platform's own markers.

pip evaluates environment markers for the Python that it runs on, whatever platform it is told; what
only the platform needs is therefore asked for in further rounds, and what only this machine needs is
left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from edge.adapters.platform_tags import pip_options
from edge.adapters.registry import pip_resolve
from edge.errors import BundleError
from edge.records.platform import Platform
from edge.records.target import TargetRuntime

# A requirement that only the platform's markers ask for may bring others: so many times over.
_ROUNDS = 5


def resolve(
    platform: Platform, runtime: TargetRuntime, extra: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the entries of pip's report that the runtime needs on the platform, itself first.

    `extra` are requirements that hold beside its own ("numpy<2").

    Raises:
        NotInRegistry: the registry has no such wheel for the platform.
        BundleError: no set of versions does, or it is not closed.
        HostError: no network, no disk space.
    """
    wanted = [f"{runtime.distribution}=={runtime.version}", *platform.held, *extra]
    options = pip_options(platform)
    given = provided_versions(runtime)
    if given:
        # pip cannot be told that a package is there already.
        options.append("--no-deps")
    for _round in range(_ROUNDS):
        entries = pip_resolve(wanted, options)
        needed, missing = closure(
            entries, runtime.distribution, marker_environment(platform), given
        )
        if not missing:
            return needed
        wanted += missing
    what = f"it needs {', '.join(missing)}, which nothing brings along"
    raise BundleError(what, where=f"{platform.name}: {wanted[0]}")


def provided_versions(runtime: TargetRuntime) -> dict[str, str]:
    """Return the packages that the target's own distribution has, with their versions."""
    pairs = (requirement.partition("==") for requirement in runtime.provided)
    return {canonicalize_name(name): version for name, _, version in pairs}


def marker_environment(platform: Platform) -> dict[str, str]:
    """Return what environment markers see on the platform."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{platform.python}.0",
        "os_name": "posix",
        "platform_machine": platform.architecture,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{platform.python}.0",
        "python_version": platform.python,
        "sys_platform": "linux",
        "extra": "",
    }


def closure(
    entries: Sequence[dict[str, Any]],
    root: str,
    environment: dict[str, str],
    given: Mapping[str, str],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the entries that `root` needs under the environment, and the requirements not met.

    `given` are packages, with their versions, that need no entry.
    """
    by_name = {canonicalize_name(entry["metadata"]["name"]): entry for entry in entries}
    reached: dict[NormalizedName, dict[str, Any]] = {}
    missing: list[str] = []
    waiting = [canonicalize_name(root)]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached[name] = by_name[name]
        for text in by_name[name]["metadata"].get("requires_dist", []):
            requirement = Requirement(text)
            needed = canonicalize_name(requirement.name)
            if requirement.marker is not None and not requirement.marker.evaluate(environment):
                continue
            if needed in given and requirement.specifier.contains(given[needed]):
                continue
            found = by_name.get(needed)
            if found is None or not requirement.specifier.contains(found["metadata"]["version"]):
                missing.append(f"{requirement.name}{requirement.specifier}")
            else:
                waiting.append(needed)
    return list(reached.values()), missing
