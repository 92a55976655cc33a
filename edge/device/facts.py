"""What the machine is and how it is doing, from /proc and /sys. Device slice: Python 3.8.

Everything is read under a root, so that recorded machines can be read too; what is missing or
cannot be understood is None.
"""

import os
import platform
import re
from dataclasses import dataclass
from typing import List, Optional, Tuple

from edge.device.boards import power_mode, read_throttling, throttle_events
from edge.device.cgroups import cpu_quota, memory_limit_bytes
from edge.device.tree import names_in, number_of, text_of
from edge.records.host import HostFacts, HostState

# Arm's part numbers (MIDR_EL1); cpuinfo has no other name there.
_ARM_PARTS = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xc0f": "Cortex-A15",
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
    cpuinfo = text_of(root, "proc/cpuinfo") or ""
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
        swap_bytes=_meminfo(root, "SwapTotal"),
        clock_most_hz=_clock_most_hz(root, cores_online(root)),
        power_mode=power_mode(root),
        boost=_boost(root),
    )


def read_host_state(root: str = "/") -> HostState:
    """Read what changes while one measures."""
    load = (text_of(root, "proc/loadavg") or "").split()
    clocks, held = _clocks_hz(root), read_throttling(root)
    return HostState(
        clock_hz=clocks[0] if clocks else _clock_hz(root),
        governor=text_of(root, _CPU + "cpu0/cpufreq/scaling_governor"),
        temperature_celsius=_temperature(root),
        load_1min=number_of(load[0] if load else None),
        memory_available_bytes=_meminfo(root, "MemAvailable"),
        clocks_hz=clocks,
        swap_used_bytes=_swap_used(root),
        throttled=held.now,
        throttled_before=held.before,
        throttle_events=throttle_events(root),
    )


def read_cpu_time(root: str = "/") -> Optional[CpuTime]:
    """Read how long all cores have been busy, idle, and taken by a hypervisor (proc(5))."""
    first = (text_of(root, "proc/stat") or "").splitlines()[:1]
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


def cores_online(root: str = "/") -> Tuple[int, ...]:
    """Return the numbers of the cores that are online, none where the kernel does not tell."""
    return _listed(text_of(root, _CPU + "online"))


def free_bytes(root: str = "/") -> Optional[int]:
    """Return the memory that a process may still take: of the machine, and of its container."""
    facts = read_host_facts(root)
    known = [n for n in (facts.memory_available_bytes, facts.memory_limit_bytes) if n is not None]
    return min(known, default=None)


def default_threads(facts: HostFacts) -> int:
    """Return the threads to use when none are asked for: the cores that may really be used."""
    quota = facts.cores_allowed if facts.cpu_quota is None else int(facts.cpu_quota)
    return max(1, min(facts.cores_allowed, quota))


def _values(text: str, key: str) -> List[str]:
    return re.findall(r"^" + key + r"[ \t]*:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)


def _system(root: str) -> str:
    release = text_of(root, "etc/os-release") or text_of(root, "usr/lib/os-release") or ""
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
    return len(cores_online(root)) or len(_values(cpuinfo, "processor")) or os.cpu_count() or 1


def _allowed(root: str) -> int:
    """Count the cores that this process may run on: affinity and cpuset together (proc(5))."""
    status = text_of(root, "proc/self/status") or ""
    return len(_listed(next(iter(_values(status, "Cpus_allowed_list")), None)))


def _listed(text: Optional[str]) -> Tuple[int, ...]:
    """Return the CPUs of a list such as 0-3,6; none where it is damaged."""
    found: List[int] = []
    try:
        for part in (text or "").split(","):
            first, _, last = part.partition("-")
            found.extend(range(int(first), int(last or first) + 1))
    except ValueError:
        return ()
    return tuple(found)


def _meminfo(root: str, key: str) -> Optional[int]:
    found = re.search(key + r":\s+(\d+) kB", text_of(root, "proc/meminfo") or "")
    return int(found.group(1)) << 10 if found else None


def _board(root: str) -> Optional[str]:
    tree = text_of(root, "proc/device-tree/model")
    if tree is not None:
        return tree
    names = [text_of(root, "sys/class/dmi/id/" + key) for key in ("sys_vendor", "product_name")]
    return " ".join(name for name in names if name is not None) or None


def _swap_used(root: str) -> Optional[int]:
    total, free = _meminfo(root, "SwapTotal"), _meminfo(root, "SwapFree")
    return None if total is None or free is None else total - free


def _clocks_hz(root: str) -> Tuple[int, ...]:
    """Return the clock of each core that is online; none where one of them does not tell.

    A Raspberry Pi's is the one that the kernel asked for, not the one that its firmware allows
    (raspberrypi/linux issue 2986): there only the throttle bits tell.
    """
    paths = [_CPU + "cpu{}/cpufreq/scaling_cur_freq".format(n) for n in cores_online(root)]
    khz = [number_of(text_of(root, path)) for path in paths]
    known = [value for value in khz if value is not None]
    if known and len(known) == len(khz):
        return tuple(int(value * 1000) for value in known)
    told = _values(text_of(root, "proc/cpuinfo") or "", "cpu MHz")
    mhz = [value for value in map(number_of, told) if value is not None]
    return tuple(int(value * 1e6) for value in mhz) if len(mhz) == len(told) else ()


def _clock_hz(root: str) -> Optional[int]:
    khz = number_of(text_of(root, _CPU + "cpu0/cpufreq/scaling_cur_freq"))
    return None if khz is None else int(khz * 1000)


def _clock_most_hz(root: str, cores: Tuple[int, ...]) -> Optional[int]:
    """Return the highest clock of the fastest core."""
    paths = [_CPU + "cpu{}/cpufreq/cpuinfo_max_freq".format(core) for core in cores]
    khz = [number_of(text_of(root, path)) for path in paths]
    return max((int(value * 1000) for value in khz if value is not None), default=None)


def _boost(root: str) -> Optional[bool]:
    """Tell whether clocks above the nominal one are allowed (Documentation/admin-guide/pm)."""
    allowed = text_of(root, _CPU + "cpufreq/boost")
    forbidden = text_of(root, _CPU + "intel_pstate/no_turbo")
    if forbidden in ("0", "1"):
        return forbidden == "0"
    return allowed == "1" if allowed in ("0", "1") else None


def _temperature(root: str) -> Optional[float]:
    path = temperature_file(root)
    value = None if path is None else number_of(text_of(root, path))
    return None if value is None else value / 1000


def temperature_file(root: str) -> Optional[str]:
    """Return where the processor's temperature stands, in thousandths of a degree Celsius.

    It is the zone that says it is a CPU's or an x86 package's, else a sensor of the core, else the
    first zone. Others lie: a Jetson's PMIC zone always says 100 degrees.
    """
    zones = [
        (text_of(root, folder + "/type") or "", folder + "/temp")
        for folder in names_in(root, "sys/class/thermal", r"thermal_zone\d+")
        if text_of(root, folder + "/temp") is not None
    ]
    ours = [path for kind, path in zones if "cpu" in kind.lower() or kind == "x86_pkg_temp"]
    sensors = [
        folder + "/temp1_input"
        for folder in names_in(root, "sys/class/hwmon", r"hwmon\d+")
        if text_of(root, folder + "/name") in ("coretemp", "k10temp")
    ]
    return next(iter([*ours, *sensors, *(path for _, path in zones)]), None)
