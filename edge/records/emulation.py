"""What emulating a bundle on its target showed: steps, findings, instruction counts, memory.

Nothing in it is a time: an emulator's time says nothing of the board's (DESIGN.md, 4).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

# Which command of the bundle it was; audit looks at its compiled files and runs nothing.
StepName = Literal["audit", "verify", "run", "count", "memory"]
StepOutcome = Literal["passed", "failed", "skipped"]
FindingKind = Literal[
    "damaged-bundle",  # a byte of it is not as it was written
    "misfit",  # made for another Python, architecture or processor
    "missing-symbol-version",  # a library is newer than the target's C or C++ library
    "import-failure",  # the runtime, or what it needs, cannot be imported
    "illegal-instruction",  # an instruction that the target's processor lacks
    "missing-operator",  # an operator of the model has no kernel in the runtime
    "wrong-output",  # outputs differ from the reference beyond tolerance
    "out-of-memory",  # it takes more memory than the target has
    "hang",  # it did not end
    "crash",  # it died, for a reason that none of the others names
    "failure",  # the runtime or the model failed, and said why
    "cost-increase",  # it needs more instructions than the baseline allows
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a program did on an emulated target: its exit status and its words.

    `status` is minus a signal's number where it died of one, None where it was ended because it
    took too long.
    """

    status: int | None
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that would go wrong on the target: what it is, and what to do about it.

    `library` is the file that it is about ("libonnxruntime.so.1.32.0"), `missing` what the target
    or the runtime has not: a processor feature ("asimddp"), a symbol version ("GLIBC_2.38"), an
    operator ("com.acme.Fancy"), a module ("numpy"). `peak_bytes` is the memory that it reached,
    `sufficient_bytes` the smallest memory of a machine that was seen to do.
    """

    kind: FindingKind
    step: StepName
    what: str
    remedy: str
    library: str | None = None
    missing: str | None = None
    peak_bytes: int | None = None
    sufficient_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse a finding that says nothing."""
        if not self.what.strip() or not self.remedy.strip():
            raise ValueError("a finding says what it is and what to do")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step and how it came out; `note` says what it showed, or why it was skipped."""

    name: StepName
    outcome: StepOutcome
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What stands in for the target.

    `system` is the root's ("Debian 12 (bookworm), arm64"), `qemu_cpu` the emulated core and
    `emulator` the program with its version; both are None where the target runs natively.
    `differences` are in what it differs from the target, one sentence each.
    """

    system: str
    python: str
    glibc: str
    qemu_cpu: str | None
    emulator: str | None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionCounts:
    """Guest instructions, with one thread; counted, and never a time.

    `import_count` is of importing numpy and the runtime, `load_count` of opening the model,
    `first_count` of the first inference; `warmup_counts` are discarded; `steady_counts` are of the
    inferences after them, one each.
    """

    import_count: int
    load_count: int
    first_count: int
    warmup_counts: tuple[int, ...]
    steady_counts: tuple[int, ...]

    def __post_init__(self) -> None:
        """Require a steady inference, and counts that can be."""
        if not self.steady_counts:
            raise ValueError("steady_counts needs at least one inference")
        counted = (self.import_count, self.load_count, self.first_count)
        if min(*counted, *self.warmup_counts, *self.steady_counts) < 0:
            raise ValueError("a count is not negative")

    @property
    def steady(self) -> int:
        """Instructions of one steady inference: the lower median."""
        return sorted(self.steady_counts)[(len(self.steady_counts) - 1) // 2]

    @property
    def spread(self) -> float:
        """The largest less the smallest steady count, in part of the median."""
        return (max(self.steady_counts) - min(self.steady_counts)) / max(self.steady, 1)


def least_counts(a: InstructionCounts, b: InstructionCounts) -> InstructionCounts:
    """Return the least of two counts of the same work, phase by phase."""
    steadier = min(a, b, key=lambda counts: counts.steady)
    return InstructionCounts(
        import_count=min(a.import_count, b.import_count),
        load_count=min(a.load_count, b.load_count),
        first_count=min(a.first_count, b.first_count),
        warmup_counts=steadier.warmup_counts,
        steady_counts=steadier.steady_counts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCheck:
    """The bundle's samples on the emulated target, against the outputs that it carries.

    `largest_difference` is in the outputs' own units, over all samples; None: not comparable.
    """

    samples: int
    agreed: int
    compare: str
    largest_difference: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """Memory on the emulated target.

    `peak_bytes` is what the process that ran the model had at most; in `user` mode the emulator's
    own share is taken off, as far as it is known. In `full-system` mode `machine_bytes` is what
    was fitted, `available_bytes` what the booted system had left for programs, and
    `sufficient_bytes` the smallest machine that did, where that was looked for.
    """

    mode: Literal["user", "native", "full-system"]
    peak_bytes: int | None
    usable_bytes: int
    machine_bytes: int | None = None
    available_bytes: int | None = None
    sufficient_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostChange:
    """One count against the baseline's; `allowed` is the increase that is, in parts ("0.02")."""

    phase: Literal["load", "first", "steady"]
    baseline: int
    now: int
    allowed: float

    @property
    def increase(self) -> float:
        """By how much it is more, in part of the baseline; negative: it is less."""
        return (self.now - self.baseline) / max(self.baseline, 1)

    @property
    def exceeded(self) -> bool:
        """Whether it is more than is allowed."""
        return self.increase > self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulation:
    """A bundle on an emulated target. Without findings it does what it should there.

    `bundle_sha256` is the digest that the bundle carries and has; None: it is damaged.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    provenance: Literal["emulated"]
    bundle: str
    bundle_sha256: str | None
    model: str
    model_sha256: str
    target: str
    runtime: str
    place: Place
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    outputs: OutputCheck | None
    counts: InstructionCounts | None
    memory: MemoryUse | None
    cost_changes: tuple[CostChange, ...]
    edgekit_version: str

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEmulated:
    """A target of a matrix for which no bundle could be made, or that could not be emulated."""

    target: str
    family: str
    exit_code: int
    what: str
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulationMatrix:
    """One model on several targets, in the order that was asked for."""

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    model: str
    emulations: tuple[Emulation, ...]
    not_emulated: tuple[NotEmulated, ...]
    edgekit_version: str
