"""What the machine is and how it is doing, from /proc and /sys. Device slice: Python 3.8.

Everything is read under a root, so that recorded machines can be read too; what is missing or
cannot be understood is None.
"""

import os
import platform
import re
from dataclasses import dataclass
from typing import List, Optional, Tuple

from edge.device.cgroups import cpu_quota, memory_limit_bytes
from edge.records.measurement import HostFacts, HostState

# Arm's part numbers (MIDR_EL1); cpuinfo has no other name there.
_ARM_PARTS = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd42": "Cortex-A78AE",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
}
_ARM_IMPLEMENTER = "0x41"
_CPU = "sys/devices/system/cpu/"


@dataclass(frozen=True)
class CpuTime:
    """What all cores did since the machine started, in seconds."""

    busy_s: float
    idle_s: float
    stolen_s: float


def read_host_facts(root: str = "/") -> HostFacts:
    """Read what the machine is; `root` stands for / in a recorded tree."""
    cpuinfo = _text(root, "proc/cpuinfo") or ""
    online = _online(root, cpuinfo)
    return HostFacts(
        machine=os.uname().machine,
        system=_system(root),
        libc=_libc(),
        python=platform.python_version(),
        cpu_model=_cpu_model(cpuinfo),
        cpu_features=_cpu_features(cpuinfo),
        cores_online=online,
        cores_allowed=_allowed(root) or online,
        cpu_quota=cpu_quota(root),
        memory_bytes=_meminfo(root, "MemTotal"),
        memory_available_bytes=_meminfo(root, "MemAvailable"),
        memory_limit_bytes=memory_limit_bytes(root),
        board=_board(root),
    )


def read_host_state(root: str = "/") -> HostState:
    """Read what changes while one measures."""
    load = (_text(root, "proc/loadavg") or "").split()
    return HostState(
        clock_hz=_clock_hz(root),
        governor=_text(root, _CPU + "cpu0/cpufreq/scaling_governor"),
        temperature_celsius=_temperature(root),
        load_1min=_number(load[0] if load else None),
        memory_available_bytes=_meminfo(root, "MemAvailable"),
    )


def read_cpu_time(root: str = "/") -> Optional[CpuTime]:
    """Read how long all cores have been busy, idle, and taken by a hypervisor (proc(5))."""
    first = (_text(root, "proc/stat") or "").splitlines()[:1]
    try:
        ticks = [int(word) for line in first for word in line.split()[1:9]]
        user, nice, system, idle, iowait, irq, softirq, steal = ticks
    except ValueError:
        return None
    second = os.sysconf("SC_CLK_TCK")
    return CpuTime(
        busy_s=(user + nice + system + irq + softirq) / second,
        idle_s=(idle + iowait) / second,
        stolen_s=steal / second,
    )


def default_threads(facts: HostFacts) -> int:
    """Return the threads to use when none are asked for: the cores that may really be used."""
    quota = facts.cores_allowed if facts.cpu_quota is None else int(facts.cpu_quota)
    return max(1, min(facts.cores_allowed, quota))


def _text(root: str, path: str) -> Optional[str]:
    """Return a file's text without NULs and surrounding blanks, None where there is none."""
    try:
        with open(os.path.join(root, path), "rb") as file:
            text = file.read().replace(b"\0", b"").decode("utf-8", "replace").strip()
    except OSError:
        return None
    return text or None


def _number(text: Optional[str]) -> Optional[float]:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _values(text: str, key: str) -> List[str]:
    return re.findall(r"^" + key + r"[ \t]*:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)


def _system(root: str) -> str:
    release = _text(root, "etc/os-release") or _text(root, "usr/lib/os-release") or ""
    named = re.search(r'^PRETTY_NAME="?(.*?)"?$', release, re.MULTILINE)
    return named.group(1) if named else platform.system()


def _libc() -> Optional[str]:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None


def _cpu_model(cpuinfo: str) -> Optional[str]:
    parts = zip(_values(cpuinfo, "CPU implementer"), _values(cpuinfo, "CPU part"))
    # A dictionary, because a set would lose the order of the clusters.
    arm = {
        _ARM_PARTS.get(part, "Arm part " + part): 0
        for who, part in parts
        if who == _ARM_IMPLEMENTER
    }
    if arm:
        return " + ".join(arm)
    return next(iter(_values(cpuinfo, "model name")), None) or None


def _cpu_features(cpuinfo: str) -> Tuple[str, ...]:
    found = _values(cpuinfo, "flags") or _values(cpuinfo, "Features")
    return tuple(found[0].split()) if found else ()


def _online(root: str, cpuinfo: str) -> int:
    counted = _count_list(_text(root, _CPU + "online"))
    return counted or len(_values(cpuinfo, "processor")) or os.cpu_count() or 1


def _allowed(root: str) -> Optional[int]:
    """Count the cores that this process may run on: affinity and cpuset together (proc(5))."""
    status = _text(root, "proc/self/status") or ""
    return _count_list(next(iter(_values(status, "Cpus_allowed_list")), None))


def _count_list(text: Optional[str]) -> Optional[int]:
    """Count a list of CPUs such as 0-3,6."""
    total = 0
    try:
        for part in (text or "").split(","):
            first, _, last = part.partition("-")
            total += int(last or first) - int(first) + 1
    except ValueError:
        return None
    return total


def _meminfo(root: str, key: str) -> Optional[int]:
    found = re.search(key + r":\s+(\d+) kB", _text(root, "proc/meminfo") or "")
    return int(found.group(1)) << 10 if found else None


def _board(root: str) -> Optional[str]:
    tree = _text(root, "proc/device-tree/model")
    if tree is not None:
        return tree
    names = [_text(root, "sys/class/dmi/id/" + key) for key in ("sys_vendor", "product_name")]
    return " ".join(name for name in names if name is not None) or None


def _clock_hz(root: str) -> Optional[int]:
    current = _number(_text(root, _CPU + "cpu0/cpufreq/scaling_cur_freq"))
    if current is not None:
        return int(current * 1000)
    told = _number(next(iter(_values(_text(root, "proc/cpuinfo") or "", "cpu MHz")), None))
    return None if told is None else int(told * 1e6)


def _temperature(root: str) -> Optional[float]:
    """Return the processor's temperature: the zone that says it is a CPU's, else the first one."""
    zones = [
        "sys/class/thermal/thermal_zone{}/".format(number)
        for number in range(16)
        if _text(root, "sys/class/thermal/thermal_zone{}/temp".format(number)) is not None
    ]
    # Others lie: a Jetson's PMIC zone always says 100 degrees.
    ours = [zone for zone in zones if "cpu" in (_text(root, zone + "type") or "").lower()]
    for zone in (ours or zones)[:1]:
        value = _number(_text(root, zone + "temp"))
        return None if value is None else value / 1000
    return None
