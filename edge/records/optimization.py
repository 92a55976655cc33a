"""What `optimize` made of a model and what each variant is worth, with its evidence."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from edge.records.emulation import InstructionCounts
from edge.records.estimate import Estimate
from edge.records.measurement import Measurement, ModelRef
from edge.records.sweep import LeftOut

VariantVerdict = Literal[
    "original",  # what everything is compared with
    "chosen",
    "good",  # faster and right, but another one is better
    "slower",  # not faster than the original
    "worse",  # below the floor of accuracy or agreement
    "wrong",  # a runtime version of the target's computes it wrongly
    "failed",  # it could not be made, or does not run
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassStep:
    """One pass of edge/passes/ with its options, as it was run: ("method", "entropy")."""

    name: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How near outputs come to the original's, over `samples` inputs.

    `cosine` is the lowest of any output of any sample, `largest_error` the largest absolute
    difference, `largest_output` the largest magnitude of the original's (to compare it with).
    `top1` is the part of the rows along the last axis whose largest entry is the same; None where
    no output has rows of classes.
    """

    samples: int
    cosine: float
    mean_cosine: float
    largest_error: float
    largest_output: float
    top1: float | None

    def __post_init__(self) -> None:
        """Refuse what no samples give."""
        if self.samples < 1:
            raise ValueError("agreement needs a sample")
        if not -1.0001 <= self.cosine <= 1.0001:
            raise ValueError("a cosine lies between -1 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """`right` of `samples` labelled inputs, with the 95 % interval of the part (Wilson's)."""

    metric: str
    right: int
    samples: int
    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse more right ones than there are."""
        if not 0 <= self.right <= self.samples or self.samples < 1:
            raise ValueError("right is at most samples, and there is one at least")

    @property
    def value(self) -> float:
        """The part that is right."""
        return self.right / self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """What the runtime's own, optimised graph computes in: parts of the multiply-accumulates.

    `integer` is in 8-bit integers, `half` in 16-bit floats; the rest is in 32-bit floats. A file
    full of int8 weights whose `integer` is 0 is int8 in name only.
    """

    integer: float
    half: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """How many times as fast as the original, of rounds that took turns: the 95 % interval.

    It is the median over rounds of the ratio of the two medians of a round.
    """

    value: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeCheck:
    """How near a variant comes to the original on one runtime version; `error`: it does not run.

    `version` is the runtime with its version; `agreement` None without an error: its outputs cannot
    be compared.
    """

    version: str
    agreement: Agreement | None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizedVariant:
    """One variant, its evidence, and what became of it; `reason` says why.

    `file` is its path beside the result, None where there is none. `measurement` has all rounds.
    `instructions` are of one inference on the target's emulated processor, `predicted` is the
    roofline's estimate for the target: neither is a measured time.
    """

    name: str
    passes: tuple[PassStep, ...]
    verdict: VariantVerdict
    reason: str
    model: ModelRef | None = None
    file: str | None = None
    precision: str | None = None
    arithmetic: Arithmetic | None = None
    notes: tuple[str, ...] = ()
    measurement: Measurement | None = None
    speedup: Speedup | None = None
    agreement: Agreement | None = None
    accuracy: Accuracy | None = None
    checks: tuple[RuntimeCheck, ...] = ()
    instructions: InstructionCounts | None = None
    predicted: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUse:
    """Which data was used: `what` says it in words, `labelled` how many had a label."""

    what: str
    samples: int
    labelled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimization:
    """All variants of a model for a target; the first is the original, `chosen` a position.

    `card` names the model's card, where it has one. `least_cosine` is None where labels decide
    alone. `basis` is what the choice rests on: times measured here, or, where the target is not at hand,
    instructions counted under emulation. `remarks` say what is not known.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    model: ModelRef
    card: str | None
    target: str
    runtime: str
    runtime_version: str
    threads: int
    edgekit_version: str
    basis: Literal["measured", "emulated"]
    least_cosine: float | None
    most_accuracy_drop: float
    calibration: DataUse | None
    evaluation: DataUse
    variants: tuple[OptimizedVariant, ...]
    chosen: int
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...]

    def __post_init__(self) -> None:
        """Require the original first, and one that is chosen."""
        if not self.variants or self.variants[0].passes:
            raise ValueError("the first variant is the original")
        if self.chosen not in range(len(self.variants)):
            raise ValueError("chosen is no variant")
