"""The machine that edgekit runs on as a target: what packaging must know of it."""

import sys
from dataclasses import replace
from importlib import metadata
from typing import Final

from edge.backends import backend_names, load_backend
from edge.device.facts import default_threads, read_host_facts
from edge.device.fit import userland
from edge.errors import RuntimeFailure
from edge.records.platform import Platform, host_platform
from edge.records.target import TargetRuntime

HOST: Final = "host"
# The one package beside the runtime that the device slice itself imports.
_NUMPY: Final = "numpy"


def this_platform() -> Platform:
    """Return this machine's platform, with the runtimes that are installed beside edgekit."""
    facts = read_host_facts()
    machine = userland(facts.machine, is_64_bit=sys.maxsize > 2**32)
    return host_platform(
        replace(facts, machine=machine),
        installed_runtimes(),
        held=(f"{_NUMPY}=={metadata.version(_NUMPY)}",),
        cores=default_threads(facts),
    )


def installed_runtimes() -> tuple[TargetRuntime, ...]:
    """Return a runtime for every backend whose runtime is installed here, none imported."""
    found = []
    for name in backend_names():
        try:
            distribution, version = load_backend(name).version()
        except RuntimeFailure:
            continue
        found.append(TargetRuntime(backend=name, distribution=distribution, version=version))
    return tuple(found)
