"""A target: one row of `targets/`, every hardware figure with its source."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar, Literal

TargetKind = Literal["edge", "cloud-cpu", "cloud-gpu"]
_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?")
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_MAJOR_MINOR = re.compile(r"\d+\.\d+")
_SYMBOL_VERSION = re.compile(r"\d+\.\d+\.\d+")
_EXACT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][A-Za-z0-9.]*")
_WHEEL_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!+-]*\.whl")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number and where it was read; the key that holds it carries the unit.

    `date` is the day of a price (YYYY-MM-DD or YYYY-MM). `note` says what is derived or assumed.
    """

    EXAMPLE: ClassVar[str] = '{ value = 4, source = "where it was read" }'

    value: float
    source: str
    date: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        """Refuse a figure that nobody vouches for."""
        if not self.source.strip():
            raise ValueError("a figure needs a source")
        if not 0 <= self.value < math.inf:
            raise ValueError(f"a figure must be a number from 0 up, got {self.value}")
        if self.date is not None and not _DATE.fullmatch(self.date):
            raise ValueError(f"a date is YYYY-MM-DD or YYYY-MM, got {self.date}")


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

    def __post_init__(self) -> None:
        """Refuse a clock in another unit, half a core and features that nobody vouches for."""
        if not 1 <= self.cores.value <= 1024 or self.cores.value % 1:
            raise ValueError(f"cores must be a whole number from 1 up, got {self.cores.value:g}")
        if not 1e8 <= self.clock_hz.value <= 1e10:
            raise ValueError(f"clock_hz is in hertz, got {self.clock_hz.value:g}")
        if not self.features_source.strip():
            raise ValueError("features need a source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Main memory: what is fitted, what a program can have of it, and its bandwidth.

    The bandwidth is read and written bytes together, as one program gets them (STREAM's Copy, or
    twice a memcpy); where only the bus's peak is known, the figure's note says so.
    """

    capacity_bytes: Figure
    usable_bytes: Figure
    bandwidth_bytes_per_s: Figure

    def __post_init__(self) -> None:
        """Refuse more usable memory than is fitted, and sizes in another unit."""
        if self.usable_bytes.value > self.capacity_bytes.value:
            raise ValueError("usable_bytes is more than capacity_bytes")
        if self.capacity_bytes.value < 1 << 20:
            raise ValueError(f"capacity_bytes is in bytes, got {self.capacity_bytes.value:g}")
        if self.bandwidth_bytes_per_s.value < 1 << 20:
            bandwidth = self.bandwidth_bytes_per_s.value
            raise ValueError(f"bandwidth_bytes_per_s is in bytes a second, got {bandwidth:g}")


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
    """What the target's programs find: C library, Python, C++ library symbols.

    `libstdcxx` is the newest GLIBCXX symbol version that its libstdc++ has ("3.4.30"), `python`
    the version without its last part ("3.11").
    """

    name: str
    glibc: str
    libstdcxx: str
    python: str
    source: str

    def __post_init__(self) -> None:
        """Refuse versions that no wheel tag could be made of."""
        for key, version in (("glibc", self.glibc), ("python", self.python)):
            if not _MAJOR_MINOR.fullmatch(version):
                raise ValueError(f"{key} must be like 3.11 (major.minor), got {version}")
        if not _SYMBOL_VERSION.fullmatch(self.libstdcxx):
            raise ValueError(f"libstdcxx must be like 3.4.30, got {self.libstdcxx}")
        if not self.source.strip():
            raise ValueError("an operating system needs a source")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelPin:
    """One wheel, exactly: distribution, version, file name, SHA-256 of the file."""

    name: str
    version: str
    filename: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        """Refuse what is no plain name of a wheel, no digest or no size."""
        if not _WHEEL_FILE.fullmatch(self.filename):
            raise ValueError(f"not the file name of a wheel: {self.filename}")
        if not _DIGEST.fullmatch(self.sha256):
            raise ValueError(f"not a SHA-256 in hexadecimal: {self.sha256}")
        if self.size_bytes <= 0:
            raise ValueError(f"not a size in bytes: {self.size_bytes}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRuntime:
    """A runtime that exists for the target, with every wheel that it needs.

    `backend` is ours (a file in edge/backends/), `distribution` and `version` are theirs.
    `wheels` is the whole closure; where it is empty the closure is resolved when packaging.
    `apt_packages` are what the target must get from its own distribution beforehand, and
    `provided` what of a registry's packages stands in them ("numpy==1.24.2"): no wheel is needed.
    """

    backend: str
    distribution: str
    version: str
    wheels: tuple[WheelPin, ...] = ()
    apt_packages: tuple[str, ...] = ()
    provided: tuple[str, ...] = ()
    note: str | None = None

    def __post_init__(self) -> None:
        """Refuse a provided package without its exact version."""
        for requirement in self.provided:
            if not _EXACT.fullmatch(requirement):
                raise ValueError(f"provided must be like numpy==1.24.2, got {requirement}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What the target costs: a board is bought, a cloud machine is rented by the hour."""

    purchase_usd: Figure | None = None
    hourly_usd: Figure | None = None

    def __post_init__(self) -> None:
        """Require exactly one way of paying."""
        if (self.purchase_usd is None) == (self.hourly_usd is None):
            raise ValueError("needs exactly one of purchase_usd and hourly_usd")
        if self.figure.date is None:
            key = "purchase_usd" if self.hourly_usd is None else "hourly_usd"
            raise ValueError(f"{key} needs a date")

    @property
    def figure(self) -> Figure:
        """The one of the two that is given."""
        figure = self.purchase_usd or self.hourly_usd
        if figure is None:
            raise ValueError("no price")
        return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """Electric power of the whole board; a rented machine's is in its price."""

    idle_w: Figure
    load_w: Figure

    def __post_init__(self) -> None:
        """Refuse a board that takes more when it rests."""
        if self.idle_w.value > self.load_w.value:
            raise ValueError("idle_w is more than load_w")


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
        """Require names that can be typed, and what the kind implies."""
        for name in (self.name, *self.aliases):
            if not _NAME.fullmatch(name):
                raise ValueError(f"a name has small letters, digits and hyphens, got {name!r}")
        if (self.kind == "cloud-gpu") and self.accelerator is None:
            raise ValueError("a cloud-gpu target needs an accelerator")
        if (self.kind == "edge") != (self.price.purchase_usd is not None):
            raise ValueError("an edge target is bought, a cloud target is rented by the hour")
        if self.kind == "edge" and self.power is None:
            raise ValueError("an edge target needs power figures")
