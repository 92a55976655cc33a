"""The Arm cores that qemu's user mode has: how a kernel names them, and what they can do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.errors import ConfigError
from edge.records.target import Target

_V8: Final = frozenset(("fp", "asimd", "aes", "pmull", "sha1", "sha2", "crc32", "cpuid", "evtstrm"))
_V8_2: Final = _V8 | frozenset(
    ("atomics", "fphp", "asimdhp", "asimdrdm", "lrcpc", "dcpop", "asimddp")
)
# What the 32-bit kernel says of them (arch/arm/kernel/setup.c, hwcap_str).
_V7: Final = frozenset(
    (
        "half",
        "thumb",
        "fastmult",
        "vfp",
        "edsp",
        "neon",
        "vfpv3",
        "tls",
        "vfpv4",
        "idiva",
        "idivt",
        "vfpd32",
        "lpae",
        "evtstrm",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCore:
    """A core; `part`, `variant` and `revision` are those of its main identification register.

    `features` are spelt as /proc/cpuinfo spells them.
    """

    part: int
    variant: int
    revision: int
    features: frozenset[str]

    @property
    def midr(self) -> int:
        """The register's value (MIDR_EL1, Arm Architecture Reference Manual DDI 0487): Arm's."""
        fields = (0x41 << 24, self.variant << 20, 0xF << 16, self.part << 4, self.revision)
        return sum(fields)


# Parts: Arm's technical reference manuals. Variants and revisions: those that the boards have
# (BCM2837 r0p4, Tegra X1 r1p1, BCM2711 r0p3, BCM2712 r4p1), else qemu 7.2's own (target/arm).
# Features: AT_HWCAP under qemu-aarch64 7.2 with -cpu; evtstrm is the kernel's, and harmless.
_CORES: Final[Mapping[str, ArmCore]] = {
    "cortex-a7": ArmCore(part=0xC07, variant=0, revision=5, features=_V7),
    "cortex-a15": ArmCore(part=0xC0F, variant=2, revision=1, features=_V7),
    "cortex-a35": ArmCore(part=0xD04, variant=1, revision=0, features=_V8),
    "cortex-a53": ArmCore(part=0xD03, variant=0, revision=4, features=_V8),
    "cortex-a57": ArmCore(part=0xD07, variant=1, revision=1, features=_V8),
    "cortex-a72": ArmCore(part=0xD08, variant=0, revision=3, features=_V8),
    "cortex-a76": ArmCore(part=0xD0B, variant=4, revision=1, features=_V8_2),
    "neoverse-n1": ArmCore(part=0xD0C, variant=3, revision=1, features=_V8_2),
}


def arm_core(target: Target) -> ArmCore:
    """Return the core that is emulated for an Arm target.

    Raises:
        ConfigError: its file names none, or one that is not known here.
    """
    known = ", ".join(_CORES)
    if target.emulation is None:
        hint = f"give it [emulation] with qemu_cpu, one of {known}"
        raise ConfigError("its file names no core to emulate", where=target.name, hint=hint)
    try:
        return _CORES[target.emulation.qemu_cpu]
    except KeyError:
        what = f"no emulated core is known as {target.emulation.qemu_cpu}"
        raise ConfigError(what, where=target.name, hint=f"known cores: {known}") from None


def common_features(target: Target) -> tuple[str, ...]:
    """Return the target's features that the emulated core has too, in the target's order.

    What a runtime reads there it uses: to announce more would make it die of what the board can.
    """
    core = arm_core(target)
    return tuple(name for name in target.cpu.features if name in core.features)


def own_core(target: Target) -> str:
    """Return the target's own core as its data name it ("Cortex-A78AE")."""
    return target.cpu.model.rpartition(",")[2].strip()


def is_own_core(target: Target) -> bool:
    """Tell whether the emulated core is the target's own: qemu spells "Cortex-A72" cortex-a72."""
    if target.emulation is None:
        return False
    return re.sub(r"\s+", "-", own_core(target)).lower() == target.emulation.qemu_cpu
