import os
import platform
import shutil
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
from edge.records.host import HostFacts, HostState

# Written by hand in the form that such machines have; only the files that are read.
TREES = Path(__file__).parent / "trees"
XEON = "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"
XEON_FEATURES = "fpu sse sse2 ssse3 fma sse4_1 sse4_2 avx avx2 avx512f avx512_vnni"
PI5_FEATURES = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
    "dcpop asimddp"
)
ZERO_FEATURES = (
    "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32"
)
ORIN_FEATURES = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
    "dcpop asimddp uscat ilrcpc flagm paca pacg"
)
LAPTOP_FEATURES = "fpu sse sse2 ssse3 fma sse4_1 sse4_2 avx avx2 avx_vnni"
EPYC_FEATURES = "fpu sse sse2 ssse3 fma avx avx2"
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
        clock_most_hz=1_800_000_000,
    ),
    "jetson-nano": replace(
        HERE,
        system="Ubuntu 18.04.6 LTS",
        cpu_model="Cortex-A57",
        cpu_features=("fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32"),
        memory_bytes=4059280 << 10,
        memory_available_bytes=2711044 << 10,
        board="NVIDIA Jetson Nano Developer Kit",
        clock_most_hz=1_479_000_000,
        power_mode="MAXN",
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
    "raspberry-pi-5": replace(
        HERE,
        system="Debian GNU/Linux 12 (bookworm)",
        cpu_model="Cortex-A76",
        cpu_features=tuple(PI5_FEATURES.split()),
        memory_bytes=8256784 << 10,
        memory_available_bytes=7425360 << 10,
        board="Raspberry Pi 5 Model B Rev 1.0",
        swap_bytes=204784 << 10,
        clock_most_hz=2_400_000_000,
    ),
    "raspberry-pi-zero-2-w": replace(
        HERE,
        system="Raspbian GNU/Linux 11 (bullseye)",
        cpu_model="Cortex-A53",
        cpu_features=tuple(ZERO_FEATURES.split()),
        memory_bytes=438680 << 10,
        memory_available_bytes=231904 << 10,
        board="Raspberry Pi Zero 2 W Rev 1.0",
        swap_bytes=102396 << 10,
        clock_most_hz=1_000_000_000,
    ),
    "jetson-orin-nano": replace(
        HERE,
        system="Ubuntu 22.04.5 LTS",
        cpu_model="Cortex-A78AE",
        cpu_features=tuple(ORIN_FEATURES.split()),
        cores_online=6,
        cores_allowed=6,
        memory_bytes=7802128 << 10,
        memory_available_bytes=5604112 << 10,
        board="NVIDIA Jetson Orin Nano Developer Kit",
        swap_bytes=3901056 << 10,
        clock_most_hz=1_510_400_000,
        power_mode="7W",
    ),
    "laptop": replace(
        HERE,
        system="Fedora Linux 41 (Workstation Edition)",
        cpu_model="12th Gen Intel(R) Core(TM) i7-1255U",
        cpu_features=tuple(LAPTOP_FEATURES.split()),
        memory_bytes=16087560 << 10,
        memory_available_bytes=9212004 << 10,
        board="LENOVO 21AHCTO1WW",
        swap_bytes=8388604 << 10,
        clock_most_hz=4_700_000_000,
        power_mode="balanced",
        boost=True,
    ),
    "cpuset-container": replace(
        HERE,
        system="Alpine Linux v3.20",
        cpu_model="AMD EPYC 7R13 Processor",
        cpu_features=tuple(EPYC_FEATURES.split()),
        cores_online=8,
        cores_allowed=3,
        cpu_quota=2.5,
        memory_bytes=32513000 << 10,
        memory_available_bytes=21000000 << 10,
        memory_limit_bytes=4 << 30,
        swap_bytes=0,
        boost=True,
    ),
}

STATES = {
    "raspberry-pi-4": HostState(
        clock_hz=1_800_000_000,
        governor="ondemand",
        temperature_celsius=48.312,
        load_1min=0.31,
        memory_available_bytes=3386712 << 10,
        clocks_hz=(1_800_000_000,) * 4,
        throttled=(),
        throttled_before=("under-voltage", "throttled"),
    ),
    # Its power chip's sensor always says 100 degrees; its fan runs, and its GPU is held back.
    "jetson-nano": HostState(
        clock_hz=1_479_000_000,
        governor="schedutil",
        temperature_celsius=37.25,
        load_1min=1.02,
        memory_available_bytes=2711044 << 10,
        clocks_hz=(1_479_000_000,) * 4,
        throttled=(),
    ),
    "cloud-container": HostState(
        clock_hz=2_499_998_000,
        governor=None,
        temperature_celsius=None,
        load_1min=0.0,
        memory_available_bytes=12000000 << 10,
        clocks_hz=(2_499_998_000,) * 4,
    ),
    "cgroup-v1-container": HostState(
        clock_hz=2_499_998_000,
        governor=None,
        temperature_celsius=None,
        load_1min=None,
        memory_available_bytes=12000000 << 10,
        clocks_hz=(2_499_998_000,) * 4,
    ),
    # Without the firmware's file and with no right to its mailbox: the driver's alarm alone.
    "raspberry-pi-5": HostState(
        clock_hz=1_500_000_000,
        governor="ondemand",
        temperature_celsius=52.35,
        load_1min=0.12,
        memory_available_bytes=7425360 << 10,
        clocks_hz=(1_500_000_000,) * 4,
        swap_used_bytes=0,
        throttled=("under-voltage",),
    ),
    "raspberry-pi-zero-2-w": HostState(
        clock_hz=1_000_000_000,
        governor="ondemand",
        temperature_celsius=80.6,
        load_1min=1.9,
        memory_available_bytes=231904 << 10,
        clocks_hz=(1_000_000_000,) * 4,
        swap_used_bytes=(102396 - 61180) << 10,
        throttled=("clock capped", "throttled"),
        throttled_before=("clock capped", "throttled", "soft temperature limit"),
    ),
    "jetson-orin-nano": HostState(
        clock_hz=729_600_000,
        governor="schedutil",
        temperature_celsius=46.718,
        load_1min=0.5,
        memory_available_bytes=5604112 << 10,
        clocks_hz=(729_600_000,) * 6,
        swap_used_bytes=1 << 20,
        throttled=("cooling by cpufreq-cpu0", "cooling by cpu-throttle-alert"),
    ),
    # The package, not the case that ACPI tells of.
    "laptop": HostState(
        clock_hz=2_100_000_000,
        governor="powersave",
        temperature_celsius=61.0,
        load_1min=0.8,
        memory_available_bytes=9212004 << 10,
        clocks_hz=(2_100_000_000,) * 4,
        swap_used_bytes=1 << 30,
        throttled=(),
        throttle_events=27,
    ),
    "cpuset-container": HostState(
        clock_hz=2_650_000_000,
        governor=None,
        temperature_celsius=None,
        load_1min=3.1,
        memory_available_bytes=21000000 << 10,
        clocks_hz=(2_650_000_000,) * 8,
        swap_used_bytes=0,
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


def test_threads_follow_quota_and_cpuset() -> None:
    trees = ("cpuset-container", "cgroup-v1-container", "cloud-container", "jetson-orin-nano")
    threads = [default_threads(read_host_facts(str(TREES / tree))) for tree in trees]
    assert threads == [2, 1, 1, 6]


def test_the_clock_of_an_unknown_core_is_not_made_up(tmp_path: Path) -> None:
    tree = tmp_path / "laptop"
    shutil.copytree(TREES / "laptop", tree)
    (tree / "sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq").unlink()
    told = (2_100_000_000, 2_099_812_000, 1_800_112_000, 400_000_000)
    assert read_host_state(str(tree)).clocks_hz == told
    (tree / "proc/cpuinfo").unlink()
    state = read_host_state(str(tree))
    assert (state.clock_hz, state.clocks_hz) == (2_100_000_000, ())


@pytest.mark.parametrize(
    ("files", "boost"),
    [
        ({}, None),
        ({"cpufreq/boost": "0"}, False),
        ({"cpufreq/boost": "1"}, True),
        ({"intel_pstate/no_turbo": "1"}, False),
        ({"intel_pstate/no_turbo": "0"}, True),
        ({"intel_pstate/no_turbo": "?"}, None),
    ],
)
def test_boost(files: dict[str, str], *, boost: bool | None, tmp_path: Path) -> None:
    for name, text in files.items():
        path = tmp_path / "sys/devices/system/cpu" / name
        path.parent.mkdir(parents=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert read_host_facts(str(tmp_path)).boost is boost


def test_a_sensor_stands_in_for_zones(tmp_path: Path) -> None:
    for name, text in {
        "thermal/thermal_zone0/type": "acpitz",
        "thermal/thermal_zone0/temp": "27800",
        "hwmon/hwmon0/name": "nvme",
        "hwmon/hwmon0/temp1_input": "33000",
        "hwmon/hwmon1/name": "k10temp",
        "hwmon/hwmon1/temp1_input": "71500",
    }.items():
        path = tmp_path / "sys/class" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert read_host_state(str(tmp_path)).temperature_celsius == 71.5


def test_this_machine_can_be_read() -> None:
    facts = read_host_facts()
    assert facts.cores_allowed == len(os.sched_getaffinity(0))
    assert facts.memory_bytes is not None
    assert facts.memory_bytes > facts.cores_online
    assert facts.system != ""
