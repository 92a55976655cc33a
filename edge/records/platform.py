"""What packaging must know of a machine: one word for a target of targets/ and for this host."""

from dataclasses import dataclass

from edge.records.host import HostFacts
from edge.records.manifest import lacking_features
from edge.records.target import Target, TargetRuntime

# What the runtimes' wheels assume without asking the processor at run time. x86-64: the level
# x86-64-v2 of the psABI, which numpy's wheels are built for from 2.4 on. aarch64: ARMv8-A with
# Advanced SIMD, the psABI's own floor. armv7l: what the manylinux armv7l images build for.
_BASELINES = {
    "x86_64": ("cx16", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"),
    "aarch64": ("asimd", "fp"),
    "armv7l": ("neon", "vfpv3"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A machine as packaging sees it.

    `python` is "3.11", `glibc` "2.36", `libstdcxx` the newest symbol version that its C++ library
    has ("3.4.30"), or None where nobody looked. `usable_memory_bytes` is what one program can
    have. `held` are requirements that a resolution without pins has to keep to ("numpy==1.26.4").
    `refused` is the reason why nothing can be packaged for it.
    """

    name: str
    title: str
    architecture: str
    python: str
    glibc: str
    libstdcxx: str | None
    cpu_features: tuple[str, ...]
    cores: int
    usable_memory_bytes: int | None
    runtimes: tuple[TargetRuntime, ...]
    held: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def required_features(self) -> tuple[str, ...]:
        """The processor features that wheels of this architecture take for granted."""
        return _BASELINES.get(self.architecture, ())

    @property
    def lacking_features(self) -> tuple[str, ...]:
        """Those of them that this machine's processor does not have."""
        return lacking_features(self.required_features, self.cpu_features)


def platform_of(target: Target) -> Platform:
    """Return what packaging must know of a target of targets/."""
    refused = None
    if target.kind == "cloud-gpu":
        refused = "a bundle carries no GPU driver and no CUDA libraries: use the provider's image"
    return Platform(
        name=target.name,
        title=target.title,
        architecture=target.cpu.architecture,
        python=target.os.python,
        glibc=target.os.glibc,
        libstdcxx=target.os.libstdcxx,
        cpu_features=target.cpu.features,
        cores=int(target.cpu.cores.value),
        usable_memory_bytes=int(target.memory.usable_bytes.value),
        runtimes=target.runtimes,
        refused=refused,
    )


def host_platform(
    facts: HostFacts, runtimes: tuple[TargetRuntime, ...], *, held: tuple[str, ...], cores: int
) -> Platform:
    """Return the platform of this machine from its facts and what is installed here."""
    known = [size for size in (facts.memory_bytes, facts.memory_limit_bytes) if size is not None]
    return Platform(
        name="host",
        title="this machine",
        architecture=facts.machine,
        python=".".join(facts.python.split(".")[:2]),
        glibc=(facts.libc or "").rpartition(" ")[2],
        libstdcxx=None,
        cpu_features=facts.cpu_features,
        cores=cores,
        usable_memory_bytes=min(known, default=None),
        runtimes=runtimes,
        held=held,
        refused=None if facts.libc else "it has no GNU C library, which the runtimes' wheels need",
    )
