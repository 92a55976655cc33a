"""What a sweep over configurations found. Part of the device slice: Python 3.8."""

from dataclasses import dataclass
from typing import ClassVar, Optional, Tuple

from edge.records.measurement import Measurement, SessionConfig


@dataclass(frozen=True)
class LeftOut:
    """What was asked for and not measured, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class SweepRow:
    """One combination: `variant` is the file's precision and runtime, such as int8/onnxruntime.

    `measurement` is of all rounds together, each of which was a process of its own; `error` is
    what the runtime or the model failed with, after which its other rounds were left out.
    `is_pareto`: no other one is as good in everything and better in something.
    """

    variant: str
    config: SessionConfig
    measurement: Optional[Measurement]
    error: Optional[str]
    is_pareto: bool

    @property
    def name(self) -> str:
        """Return it in a few words: what is not named is as usual."""
        return combination_name(self.variant, self.config)


@dataclass(frozen=True)
class SweepResult:
    """All combinations of a sweep, in the order in which they were asked for.

    `best` is the position of the row to take, None where nothing was measured; `percentile` is what
    it was chosen by. `rounds` is how often each was to be measured. `is_whole`: it was not
    interrupted. `not_resumed` says why rounds of an earlier sweep were measured again.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    percentile: float
    rounds: int
    rows: Tuple[SweepRow, ...]
    left_out: Tuple[LeftOut, ...]
    best: Optional[int]
    is_whole: bool
    resumed_rounds: int = 0
    not_resumed: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a best row that was not measured."""
        if self.best is not None:
            rows = range(len(self.rows))
            if self.best not in rows or self.rows[self.best].measurement is None:
                raise ValueError("the best row was not measured")


def combination_name(variant: str, config: SessionConfig) -> str:
    """Return a combination in a few words."""
    parts = [variant, "{} thread{}".format(config.threads, "" if config.threads == 1 else "s")]
    if config.graph_level is not None:
        parts.append("graph " + config.graph_level)
    if config.provider is not None:
        parts.append(config.provider)
    return ", ".join(parts)
