"""A target: one row of `targets/`, every hardware figure with its source."""

from dataclasses import dataclass
from typing import ClassVar, Literal

TargetKind = Literal["edge", "cloud-cpu", "cloud-gpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number and where it was read; the key that holds it carries the unit.

    `date` is the day of a price (YYYY-MM-DD or YYYY-MM). `note` says what is derived or assumed.
    """

    value: float
    source: str
    date: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        """Refuse a figure that nobody vouches for."""
        if not self.source.strip():
            raise ValueError("a figure needs a source")
        if self.value < 0:
            raise ValueError(f"a figure cannot be negative: {self.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processor. `features` are spelt as /proc/cpuinfo spells them.

    `fp32_flops_per_cycle` and `int8_ops_per_cycle` are peaks of one core (a multiply-add is two).
    """

    model: str
    architecture: Literal["aarch64", "armv7l", "x86_64"]
    cores: Figure
    clock_hz: Figure
    fp32_flops_per_cycle: Figure
    int8_ops_per_cycle: Figure
    features: tuple[str, ...]
    features_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Main memory: what is fitted, what a program can have of it, and its measured bandwidth."""

    capacity_bytes: Figure
    usable_bytes: Figure
    bandwidth_bytes_per_s: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A GPU on the target; peaks are dense, without sparsity."""

    name: str
    memory_bytes: Figure
    bandwidth_bytes_per_s: Figure
    fp32_flops_per_s: Figure
    fp16_flops_per_s: Figure | None = None
    int8_ops_per_s: Figure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingSystem:
    """What the target's programs find: C library, Python, C++ library symbols."""

    name: str
    glibc: str
    libstdcxx: str
    python: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelPin:
    """One wheel, exactly: distribution, version, file name, SHA-256 of the file."""

    name: str
    version: str
    filename: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRuntime:
    """A runtime that exists for the target, with every wheel that it needs.

    `backend` is ours (a file in edge/backends/), `distribution` and `version` are theirs.
    `wheels` is the whole closure; where it is empty the closure is resolved when packaging.
    `apt_packages` are what the target must get from its own distribution beforehand.
    """

    backend: str
    distribution: str
    version: str
    wheels: tuple[WheelPin, ...] = ()
    apt_packages: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What the target costs: a board is bought, a cloud machine is rented by the hour."""

    purchase_usd: Figure | None = None
    hourly_usd: Figure | None = None

    def __post_init__(self) -> None:
        """Require exactly one way of paying."""
        if (self.purchase_usd is None) == (self.hourly_usd is None):
            raise ValueError("needs exactly one of purchase_usd and hourly_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Electric power of the whole board; a rented machine's is in its price."""

    idle_w: Figure
    load_w: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulation:
    """How qemu stands in for the target's processor."""

    qemu_cpu: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What published or measured runs on the target (or a relative) reach, for one precision.

    One inference takes about max(MACs / rate, bytes / bandwidth) + operators x per-operator cost
    + per-query cost, with the rate for all cores; `rate_low` and `rate_high` hold 90 % of the
    calibration's rows between them. `rows` is how many there were; `relative` names the target
    that they came from when it is not this one.
    """

    precision: Literal["fp32", "fp16", "int8"]
    threads: int
    rate_low_macs_per_s: float
    rate_typical_macs_per_s: float
    rate_high_macs_per_s: float
    per_operator_ns: float
    per_query_ns: float
    rows: int
    runtime: str
    source: str
    relative: str | None = None

    def __post_init__(self) -> None:
        """Require an ordered interval."""
        if not 0 < self.rate_low_macs_per_s <= self.rate_typical_macs_per_s:
            raise ValueError("needs 0 < rate_low <= rate_typical")
        if self.rate_typical_macs_per_s > self.rate_high_macs_per_s:
            raise ValueError("needs rate_typical <= rate_high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A machine that a model may run on: one file in targets/, or this host."""

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    name: str
    title: str
    kind: TargetKind
    cpu: Cpu
    memory: Memory
    os: OperatingSystem
    price: Price
    runtimes: tuple[TargetRuntime, ...]
    aliases: tuple[str, ...] = ()
    accelerator: Accelerator | None = None
    power: Power | None = None
    emulation: Emulation | None = None
    calibrations: tuple[Calibration, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Require what the kind implies."""
        if (self.kind == "cloud-gpu") and self.accelerator is None:
            raise ValueError("a cloud-gpu target needs an accelerator")
        if (self.kind == "edge") != (self.price.purchase_usd is not None):
            raise ValueError("an edge target is bought, a cloud target is rented by the hour")
        if self.kind == "edge" and self.power is None:
            raise ValueError("an edge target needs power figures")
