"""What a target's kernel shows of it below /proc and /sys, made up from the target's data.

It is what runtimes and bundles look at, in the form of Documentation/ABI/testing/sysfs-*, proc(5)
and arch/arm{,64}/kernel of Linux. The processor is the emulated one, the memory, the clock and the
board are the target's. What of the machine that emulates would be seen instead is an empty file or
folder: unknown.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from edge.errors import ConfigError
from edge.reasoning.arm_cores import ArmCore, arm_core, common_features
from edge.records.target import Target

_CPU: Final = "sys/devices/system/cpu"
_ZONE: Final = "sys/class/thermal/thermal_zone0"
# A board at rest; an emulated one does not get warm.
_MILLIDEGREES: Final = 45_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cache:
    level: int
    type: Literal["Data", "Instruction", "Unified"]
    size_kib: int
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chip:
    """What is known of a system on a chip: its device tree's names, caches, thermal zone."""

    compatible: tuple[str, ...]
    zone: str
    caches: tuple[_Cache, ...] = ()


def _caches(instruction: int, data: int, *unified: tuple[int, bool]) -> tuple[_Cache, ...]:
    """Return the first level's two caches (KiB) and those above them, each with: is it shared."""
    above = (
        _Cache(level=2 + index, type="Unified", size_kib=size, is_shared=is_shared)
        for index, (size, is_shared) in enumerate(unified)
    )
    return (
        _Cache(level=1, type="Data", size_kib=data),
        _Cache(level=1, type="Instruction", size_kib=instruction),
        *above,
    )


# By the word of cpu.model that names the chip. Names: the compatible properties of Linux's device
# trees (arch/arm64/boot/dts). Caches: raspberrypi.com/documentation/computers/processors.html for
# the BCM chips, where it gives all of them (BCM2711, BCM2712); Tegra X1's and Orin's are left out.
_CHIPS: Final[Mapping[str, _Chip]] = {
    "BCM2710A1": _Chip(
        compatible=("raspberrypi,model-zero-2-w", "brcm,bcm2837"), zone="cpu-thermal"
    ),
    "BCM2837B0": _Chip(
        compatible=("raspberrypi,3-model-b-plus", "brcm,bcm2837"), zone="cpu-thermal"
    ),
    "BCM2711": _Chip(
        compatible=("raspberrypi,4-model-b", "brcm,bcm2711"),
        zone="cpu-thermal",
        caches=_caches(48, 32, (1024, True)),
    ),
    "BCM2712": _Chip(
        compatible=("raspberrypi,5-model-b", "brcm,bcm2712"),
        zone="cpu-thermal",
        caches=_caches(64, 64, (512, False), (2048, True)),
    ),
    "Tegra X1": _Chip(compatible=("nvidia,p3450-0000", "nvidia,tegra210"), zone="CPU-therm"),
    "Orin": _Chip(
        compatible=("nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"),
        zone="cpu-thermal",
    ),
}
# Of the machine that emulates: its firmware's names, sensors, meters, load.
_HIDDEN: Final = (
    *(
        f"sys/{folder}/dmi/id/{name}"
        for folder in ("class", "devices/virtual")
        for name in ("sys_vendor", "product_name", "board_vendor", "board_name", "bios_vendor")
    ),
    "sys/firmware/acpi/platform_profile",
    "sys/hypervisor/type",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    f"{_CPU}/cpufreq/boost",
    f"{_CPU}/intel_pstate/no_turbo",
    "proc/loadavg",
    "proc/stat",
    "sys/class/hwmon/",
    "sys/class/powercap/",
    "sys/bus/i2c/drivers/ina3221x/",
)


def board_files(target: Target) -> dict[str, bytes]:
    """Return files by their path below the root; a name that ends in "/" is an empty folder.

    Raises:
        ConfigError: it runs natively, or its file does not say which core to emulate.
    """
    if target.cpu.architecture == "x86_64":
        hint = "it runs natively, on a kernel of its own architecture"
        raise ConfigError("only Arm targets are emulated", where=target.name, hint=hint)
    files = {
        **dict.fromkeys(_HIDDEN, b""),
        "proc/cpuinfo": _cpuinfo(target).encode("ascii"),
        "proc/meminfo": _meminfo(target).encode("ascii"),
        # No container's limits: the root of a system has none (Documentation, cgroup-v2.rst).
        "proc/self/cgroup": b"0::/\n",
        **{
            f"sys/fs/cgroup/{mount}{name}": text
            for mount in ("", "unified/")
            for name, text in (("cpu.max", b"max 100000\n"), ("memory.max", b"max\n"))
        },
    }
    chip = _chip(target)
    texts = {**dict(_board(target, chip)), **dict(_cores(target, chip))}
    return {**files, **{name: text.encode() for name, text in texts.items()}}


def _chip(target: Target) -> _Chip | None:
    named = [chip for word, chip in _CHIPS.items() if word in target.cpu.model]
    return named[0] if named else None


def _cpuinfo(target: Target) -> str:
    core = arm_core(target)
    return "".join(_processor(target, core, number) for number in range(_count(target)))


def _processor(target: Target, core: ArmCore, number: int) -> str:
    """Return a core's part of /proc/cpuinfo (arch/arm64/kernel/cpuinfo.c, arch/arm's setup.c)."""
    is_32bit = target.cpu.architecture == "armv7l"
    model = f"model name\t: ARMv7 Processor rev {core.revision} (v7l)\n" if is_32bit else ""
    return (
        f"processor\t: {number}\n"
        f"{model}"
        f"Features\t: {' '.join(common_features(target))}\n"
        "CPU implementer\t: 0x41\n"
        f"CPU architecture: {7 if is_32bit else 8}\n"
        f"CPU variant\t: {core.variant:#x}\n"
        f"CPU part\t: {core.part:#05x}\n"
        f"CPU revision\t: {core.revision}\n"
        "\n"
    )


def _meminfo(target: Target) -> str:
    """Return the memory that is fitted, and what a program can have of it; swap is no memory."""
    kib = {
        "MemTotal": int(target.memory.capacity_bytes.value) >> 10,
        "MemFree": int(target.memory.usable_bytes.value) >> 10,
        "MemAvailable": int(target.memory.usable_bytes.value) >> 10,
        "Buffers": 0,
        "Cached": 0,
        "SwapTotal": 0,
        "SwapFree": 0,
    }
    return "".join(f"{key + ':':15} {value:8} kB\n" for key, value in kib.items())


def _count(target: Target) -> int:
    return int(target.cpu.cores.value)


def _board(target: Target, chip: _Chip | None) -> Iterator[tuple[str, str]]:
    is_board = target.kind == "edge"
    yield "proc/device-tree/model", f"{target.title}\0" if is_board else ""
    names = chip.compatible if chip is not None and is_board else ()
    yield "proc/device-tree/compatible", "".join(f"{name}\0" for name in names)
    if not is_board:
        yield "sys/class/dmi/id/product_name", f"{target.title}\n"
    yield f"{_ZONE}/type", f"{chip.zone if chip is not None else 'cpu-thermal'}\n"
    yield f"{_ZONE}/temp", f"{_MILLIDEGREES}\n"


def _cores(target: Target, chip: _Chip | None) -> Iterator[tuple[str, str]]:
    """Yield Documentation/ABI/testing/sysfs-devices-system-cpu, for one package of like cores."""
    count = _count(target)
    every = f"0-{count - 1}" if count > 1 else "0"
    for name in ("online", "possible", "present"):
        yield f"{_CPU}/{name}", f"{every}\n"
    yield f"{_CPU}/offline", "\n"
    yield f"{_CPU}/kernel_max", f"{count - 1}\n"
    yield f"{_CPU}/smt/active", "0\n"
    yield f"{_CPU}/smt/control", "notsupported\n"
    yield "sys/devices/system/node/online", "0\n"
    yield "sys/devices/system/node/node0/cpulist", f"{every}\n"
    khz = int(target.cpu.clock_hz.value) // 1000
    for number in range(count):
        folder = f"{_CPU}/cpu{number}"
        for name in ("core_siblings_list", "package_cpus_list"):
            yield f"{folder}/topology/{name}", f"{every}\n"
        for name in ("thread_siblings_list", "core_cpus_list", "core_id"):
            yield f"{folder}/topology/{name}", f"{number}\n"
        yield f"{folder}/topology/physical_package_id", "0\n"
        for name in ("cpuinfo_max_freq", "scaling_max_freq"):
            yield f"{folder}/cpufreq/{name}", f"{khz}\n"
        # The emulated core has no clock, and what governs the other one's is not this one's.
        for name in ("cpuinfo_min_freq", "scaling_cur_freq", "scaling_governor"):
            yield f"{folder}/cpufreq/{name}", ""
        if target.cpu.architecture == "aarch64":
            midr = f"{arm_core(target).midr:#018x}\n"
            yield f"{folder}/regs/identification/midr_el1", midr
        for index, cache in enumerate(chip.caches if chip is not None else ()):
            place = f"{folder}/cache/index{index}"
            yield f"{place}/level", f"{cache.level}\n"
            yield f"{place}/type", f"{cache.type}\n"
            yield f"{place}/size", f"{cache.size_kib}K\n"
            yield f"{place}/shared_cpu_list", f"{every if cache.is_shared else number}\n"
            # All of these cores' caches have lines of 64 bytes (their reference manuals).
            yield f"{place}/coherency_line_size", "64\n"
