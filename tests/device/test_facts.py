import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from edge.device.facts import (
    CpuTime,
    default_threads,
    read_cpu_time,
    read_host_facts,
    read_host_state,
)
from edge.records.measurement import HostFacts, HostState

# Written by hand in the form that such machines have; only the files that are read.
TREES = Path(__file__).parent / "trees"
XEON = "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"
XEON_FEATURES = "fpu sse sse2 ssse3 fma sse4_1 sse4_2 avx avx2 avx512f avx512_vnni"
# What is asked of the running system and not of the tree.
HERE = HostFacts(
    machine=platform.machine(),
    system="",
    libc=os.confstr("CS_GNU_LIBC_VERSION"),
    python=platform.python_version(),
    cpu_model=None,
    cpu_features=(),
    cores_online=4,
    cores_allowed=4,
    cpu_quota=None,
    memory_bytes=None,
    memory_available_bytes=None,
    memory_limit_bytes=None,
    board=None,
)

FACTS = {
    "raspberry-pi-4": replace(
        HERE,
        system="Debian GNU/Linux 12 (bookworm)",
        cpu_model="Cortex-A72",
        cpu_features=("fp", "asimd", "evtstrm", "crc32", "cpuid"),
        memory_bytes=3882372 << 10,
        memory_available_bytes=3386712 << 10,
        board="Raspberry Pi 4 Model B Rev 1.5",
    ),
    "jetson-nano": replace(
        HERE,
        system="Ubuntu 18.04.6 LTS",
        cpu_model="Cortex-A57",
        cpu_features=("fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32"),
        memory_bytes=4059280 << 10,
        memory_available_bytes=2711044 << 10,
        board="NVIDIA Jetson Nano Developer Kit",
    ),
    "cloud-container": replace(
        HERE,
        system="Debian GNU/Linux 13 (trixie)",
        cpu_model=XEON,
        cpu_features=tuple(XEON_FEATURES.split()),
        cpu_quota=1.5,
        memory_bytes=15993212 << 10,
        memory_available_bytes=12000000 << 10,
        memory_limit_bytes=2 << 30,
        board="Amazon EC2 m5.xlarge",
    ),
    "cgroup-v1-container": replace(
        HERE,
        system="Linux",
        cpu_model=XEON,
        cpu_features=tuple(XEON_FEATURES.split()),
        cores_allowed=3,
        cpu_quota=0.5,
        memory_bytes=15993212 << 10,
        memory_available_bytes=12000000 << 10,
        memory_limit_bytes=1 << 30,
    ),
}

STATES = {
    "raspberry-pi-4": HostState(
        clock_hz=1_800_000_000,
        governor="ondemand",
        temperature_celsius=48.312,
        load_1min=0.31,
        memory_available_bytes=3386712 << 10,
    ),
    # Its power chip's sensor always says 100 degrees.
    "jetson-nano": HostState(
        clock_hz=1_479_000_000,
        governor="schedutil",
        temperature_celsius=37.25,
        load_1min=1.02,
        memory_available_bytes=2711044 << 10,
    ),
    "cloud-container": HostState(
        clock_hz=2_499_998_000,
        governor=None,
        temperature_celsius=None,
        load_1min=0.0,
        memory_available_bytes=12000000 << 10,
    ),
    "cgroup-v1-container": HostState(
        clock_hz=2_499_998_000,
        governor=None,
        temperature_celsius=None,
        load_1min=None,
        memory_available_bytes=12000000 << 10,
    ),
}


@pytest.mark.parametrize("tree", FACTS)
def test_facts_of_a_machine_like_this(tree: str) -> None:
    assert read_host_facts(str(TREES / tree)) == FACTS[tree]


@pytest.mark.parametrize("tree", STATES)
def test_state_of_a_machine_like_this(tree: str) -> None:
    assert read_host_state(str(TREES / tree)) == STATES[tree]


def test_every_tree_is_expected() -> None:
    assert sorted(p.name for p in TREES.iterdir()) == sorted(FACTS) == sorted(STATES)


def test_an_empty_machine_is_unknown(tmp_path: Path) -> None:
    facts = read_host_facts(str(tmp_path))
    cores = os.cpu_count() or 1
    assert facts == replace(HERE, system="Linux", cores_online=cores, cores_allowed=cores)
    assert read_host_state(str(tmp_path)) == HostState(None, None, None, None, None)
    assert read_cpu_time(str(tmp_path)) is None


def test_damaged_files_are_unknown(tmp_path: Path) -> None:
    for name, text in {
        "proc/meminfo": "MemTotal: much\n",
        "proc/loadavg": "high\n",
        "proc/stat": "cpu 1 2\n",
        "proc/self/status": "Cpus_allowed_list:\t0-x\n",
        "proc/self/cgroup": "nonsense\n0::/a\n",
        "proc/cpuinfo": "\xff\x00\n",
        "sys/fs/cgroup/a/cpu.max": "150000\n",
        "sys/fs/cgroup/a/memory.max": "\n",
        "sys/class/thermal/thermal_zone0/temp": "warm\n",
        "sys/devices/system/cpu/online": "\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="latin-1")
    facts = read_host_facts(str(tmp_path))
    cores = os.cpu_count() or 1
    assert facts == replace(HERE, system="Linux", cores_online=cores, cores_allowed=cores)
    assert read_host_state(str(tmp_path)) == HostState(None, None, None, None, None)
    assert read_cpu_time(str(tmp_path)) is None


def test_the_least_limit_of_all_cgroups_above_holds(tmp_path: Path) -> None:
    for name, text in {
        "proc/self/cgroup": "0::/pods/pod7/container\n",
        "sys/fs/cgroup/pods/cpu.max": "400000 100000\n",
        "sys/fs/cgroup/pods/pod7/cpu.max": "200000 100000\n",
        "sys/fs/cgroup/pods/pod7/container/cpu.max": "max 100000\n",
        "sys/fs/cgroup/pods/pod7/memory.max": "1000\n",
        "sys/fs/cgroup/pods/pod7/container/memory.max": "2000\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    facts = read_host_facts(str(tmp_path))
    assert (facts.cpu_quota, facts.memory_limit_bytes) == (2.0, 1000)


def test_cores_of_two_kinds_are_both_named(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    core = "CPU implementer\t: {}\nCPU part\t: {}\n\n"
    cores = (("0x41", "0xd05"), ("0x41", "0xd05"), ("0x41", "0xd0b"), ("0x51", "0x800"))
    text = "".join(core.format(*pair) for pair in cores)
    (tmp_path / "proc/cpuinfo").write_text(text, encoding="utf-8")
    assert read_host_facts(str(tmp_path)).cpu_model == "Cortex-A55 + Cortex-A76"


def test_cpu_time_is_in_seconds_of_all_cores() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    expected = CpuTime(
        busy_s=(41200 + 120 + 9800 + 340) / ticks, idle_s=(812000 + 2100) / ticks, stolen_s=0
    )
    assert read_cpu_time(str(TREES / "raspberry-pi-4")) == expected


@pytest.mark.parametrize(
    ("allowed", "quota", "threads"),
    [(4, None, 4), (4, 1.5, 1), (4, 2.0, 2), (2, 8.0, 2), (4, 0.5, 1)],
)
def test_default_threads_fit_into_cores_and_quota(
    allowed: int, quota: float | None, threads: int
) -> None:
    assert default_threads(replace(HERE, cores_allowed=allowed, cpu_quota=quota)) == threads


def test_this_machine_can_be_read() -> None:
    facts = read_host_facts()
    assert facts.cores_allowed == len(os.sched_getaffinity(0))
    assert facts.memory_bytes is not None
    assert facts.memory_bytes > facts.cores_online
    assert facts.system != ""
