"""Whether the machine of a measurement plausibly is the target that it was made for."""

import re

from edge.records.host import HostFacts
from edge.records.measurement import Measurement
from edge.records.target import Target

_OLD_ARM = ("armv6l", "armv7l", "aarch64")


def why_another_machine(host: HostFacts, target: Target) -> str | None:
    """Return why the machine cannot be taken for the target, None if it can."""
    wanted = target.cpu.architecture
    if host.machine != wanted and not (wanted == "armv7l" and host.machine in _OLD_ARM):
        return f"its machine is {host.machine}, {target.name} is {wanted}"
    cores = int(target.cpu.cores.value)
    if target.kind != "edge":
        allowed = host.cores_allowed
        if host.cpu_quota is not None and host.cpu_quota < allowed:
            return f"its CPU quota is {host.cpu_quota:g} cores, {target.name} has {cores}"
        if allowed != cores:
            return f"its machine allowed {allowed} cores, {target.name} has {cores}"
        return None
    if host.board is not None:
        if _words(target.title.split(",")[0]) <= _words(host.board):
            return None
        return f"its machine is a {host.board}"
    core = host.cpu_model
    if core is not None and core in target.cpu.model and host.cores_online == cores:
        return None
    return f"its machine ({core or 'unknown CPU'}) is not known to be a {target.title}"


def why_another_processor(measurement: Measurement, target: Target) -> str | None:
    """Return why a measurement did not run on the target's accelerator, None if it did."""
    used_gpu = any("CUDA" in p or "Tensorrt" in p for p in measurement.runtime.providers)
    if target.kind == "cloud-gpu" and not used_gpu:
        return "it ran on the CPU, not on the GPU"
    return None


def _words(text: str) -> set[str]:
    # Linux writes "3 Model B Plus Rev 1.3" where the maker writes "3 Model B+".
    return set(re.findall(r"[a-z0-9]+", text.lower().replace("+", " plus")))
