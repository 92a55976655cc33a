"""What an emulated board's kernel shows, as our own device slice reads it."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.adapters.roots import dressed_root
from edge.adapters.targets import load_target, load_targets
from edge.device.boards import power_mode, read_throttling, throttle_events
from edge.device.cgroups import cpu_quota, memory_limit_bytes
from edge.device.facts import _ARM_PARTS, cores_online, read_host_facts, read_host_state
from edge.device.meters import meter_of
from edge.errors import ConfigError
from edge.reasoning.arm_cores import _CORES, arm_core
from edge.reasoning.board_files import board_files

ARM = [target.name for target in load_targets() if target.cpu.architecture != "x86_64"]


def dressed(folder: Path, name: str) -> str:
    """Return a root that has nothing but a board's /proc and /sys."""
    (folder / "base").mkdir()
    return str(dressed_root(folder / "base", folder / "root", board_files(load_target(name))))


def test_the_processor_of_a_64_bit_board() -> None:
    text = board_files(load_target("rpi5"))["proc/cpuinfo"].decode()
    first = (
        "processor\t: 0\n"
        "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid "
        "asimdrdm lrcpc dcpop asimddp\n"
        "CPU implementer\t: 0x41\n"
        "CPU architecture: 8\n"
        "CPU variant\t: 0x4\n"
        "CPU part\t: 0xd0b\n"
        "CPU revision\t: 1\n"
        "\n"
    )
    assert text == "".join(first.replace(": 0\n", f": {n}\n", 1) for n in range(4))


def test_the_processor_of_a_32_bit_board() -> None:
    text = board_files(load_target("rpi4-32bit"))["proc/cpuinfo"].decode()
    assert text.startswith(
        "processor\t: 0\n"
        "model name\t: ARMv7 Processor rev 1 (v7l)\n"
        "Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae "
        "evtstrm\n"
        "CPU implementer\t: 0x41\n"
        "CPU architecture: 7\n"
        "CPU variant\t: 0x2\n"
        "CPU part\t: 0xc0f\n"
        "CPU revision\t: 1\n"
        "\n"
        "processor\t: 1\n"
    )
    assert text.count("processor\t") == 4


def test_the_main_identification_register() -> None:
    # A Raspberry Pi 4's, as its kernel prints it at boot: "Booted secondary processor [0x410fd083]".
    assert arm_core(load_target("rpi4")).midr == 0x410FD083
    files = board_files(load_target("rpi4"))
    name = "sys/devices/system/cpu/cpu3/regs/identification/midr_el1"
    assert files[name] == b"0x00000000410fd083\n"


def test_parts_are_those_of_the_device_slice() -> None:
    known = {name.lower(): part for part, name in _ARM_PARTS.items()}
    ours = {name: f"{core.part:#05x}" for name, core in _CORES.items() if name in known}
    assert len(ours) >= 7
    assert ours == {name: known[name] for name in ours}


@pytest.mark.parametrize("name", ARM)
def test_the_device_slice_sees_the_target(name: str, tmp_path: Path) -> None:
    target = load_target(name)
    root = dressed(tmp_path, name)
    facts = read_host_facts(root)
    assert facts.board == target.title
    assert facts.cores_online == facts.cores_allowed == target.cpu.cores.value
    assert cores_online(root) == tuple(range(int(target.cpu.cores.value)))
    assert facts.memory_bytes == target.memory.capacity_bytes.value // 1024 * 1024
    assert facts.memory_available_bytes == target.memory.usable_bytes.value // 1024 * 1024
    assert facts.clock_most_hz == target.cpu.clock_hz.value
    assert set(facts.cpu_features) <= set(target.cpu.features)
    assert facts.swap_bytes == 0
    state = read_host_state(root)
    assert state.temperature_celsius == 45
    # Neither is known of an emulated board, and this machine's are not its.
    assert (state.clock_hz, state.clocks_hz, state.governor, state.load_1min) == (
        None,
        (),
        None,
        None,
    )
    assert (facts.cpu_quota, facts.memory_limit_bytes) == (None, None)
    assert (facts.power_mode, facts.boost) == (None, None)
    assert (cpu_quota(root), memory_limit_bytes(root), power_mode(root)) == (None, None, None)
    assert (read_throttling(root).now, throttle_events(root)) == (None, None)
    assert meter_of(root)[0] is None


def test_what_would_be_seen_of_this_machine_is_there() -> None:
    # qemu looks for what is missing on this machine.
    files = board_files(load_target("rpi4"))
    empty = {name for name, content in files.items() if not content}
    assert {
        "sys/class/dmi/id/sys_vendor",
        "sys/class/dmi/id/product_name",
        "sys/class/hwmon/",
        "sys/class/powercap/",
        "proc/loadavg",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
    } <= empty
    assert files["proc/self/cgroup"] == b"0::/\n"
    assert files["sys/fs/cgroup/cpu.max"] == b"max 100000\n"
    assert files["sys/fs/cgroup/unified/memory.max"] == b"max\n"


def test_the_device_tree() -> None:
    files = board_files(load_target("rpi4"))
    assert files["proc/device-tree/model"] == b"Raspberry Pi 4 Model B, 4 GB\0"
    assert files["proc/device-tree/compatible"] == b"raspberrypi,4-model-b\0brcm,bcm2711\0"
    nano = board_files(load_target("jetson-nano"))
    assert nano["proc/device-tree/compatible"] == b"nvidia,p3450-0000\0nvidia,tegra210\0"
    assert nano["sys/class/thermal/thermal_zone0/type"] == b"CPU-therm\n"


def test_a_rented_machine_has_no_device_tree() -> None:
    files = board_files(load_target("cloud-cpu-arm"))
    assert files["proc/device-tree/model"] == b""
    title = b"Cloud CPU, Arm, 2 vCPU, 4 GiB (AWS c7g.large)\n"
    assert files["sys/class/dmi/id/product_name"] == title


def test_caches_are_those_of_the_chip() -> None:
    files = board_files(load_target("rpi5"))
    cpu2 = "sys/devices/system/cpu/cpu2/cache"
    told = {
        index: tuple(
            files[f"{cpu2}/index{index}/{name}"].decode().strip()
            for name in ("level", "type", "size", "shared_cpu_list")
        )
        for index in range(4)
    }
    assert told == {
        0: ("1", "Data", "64K", "2"),
        1: ("1", "Instruction", "64K", "2"),
        2: ("2", "Unified", "512K", "2"),
        3: ("3", "Unified", "2048K", "0-3"),
    }
    assert not [name for name in board_files(load_target("jetson-nano")) if "/cache/" in name]


def test_a_single_core() -> None:
    target = load_target("rpi4")
    cores = replace(target.cpu.cores, value=1)
    files = board_files(replace(target, cpu=replace(target.cpu, cores=cores)))
    assert files["sys/devices/system/cpu/online"] == b"0\n"
    assert "sys/devices/system/cpu/cpu1/topology/core_id" not in files


def test_an_unknown_chip_has_what_its_data_say() -> None:
    target = load_target("rpi4")
    cpu = replace(target.cpu, model="Acme A1, Cortex-A72")
    files = board_files(replace(target, cpu=cpu))
    assert files["proc/device-tree/compatible"] == b""
    assert files["sys/class/thermal/thermal_zone0/type"] == b"cpu-thermal\n"


def test_a_native_target_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        board_files(load_target("cloud-cpu"))
    assert str(caught.value) == "cloud-cpu: only Arm targets are emulated"
    assert caught.value.hint == "it runs natively, on a kernel of its own architecture"
