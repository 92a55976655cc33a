"""How inferences are asked for. Part of the device slice: Python 3.8."""

import math
from dataclasses import dataclass
from typing import Dict, Final, Optional

SINGLE_STREAM: Final = "single-stream"
MULTI_STREAM: Final = "multi-stream"
OFFLINE: Final = "offline"
SERVER: Final = "server"
# The percentile that MLPerf Inference quotes; offline is a throughput.
QUOTED_PERCENTILES: Final[Dict[str, Optional[float]]] = {
    SINGLE_STREAM: 90.0,
    MULTI_STREAM: 99.0,
    OFFLINE: None,
    SERVER: 99.0,
}


@dataclass(frozen=True)
class Scenario:
    """How inferences are asked for; the words and rules are MLPerf Inference's.

    single-stream: one query after the other. multi-stream: the same, with `samples_per_query`
    samples in each. offline: all samples are there from the start, `samples_per_query` at a time.
    server: queries arrive at random, `target_qps` of them a second (Poisson, from `seed`), and a
    latency counts from the scheduled arrival, so that waiting counts; `limit_ns` is the limit for
    the quoted percentile, if there is one.
    `batched`: the samples of a query are one batch of the model, not one inference after another.
    """

    kind: str = SINGLE_STREAM
    samples_per_query: int = 1
    batched: bool = False
    target_qps: Optional[float] = None
    limit_ns: Optional[int] = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.kind not in QUOTED_PERCENTILES:
            raise ValueError("scenario must be one of " + ", ".join(QUOTED_PERCENTILES))
        if self.samples_per_query < 1 or self.seed < 0:
            raise ValueError("needs at least 1 sample a query, and a seed of 0 or more")
        if self.kind in (SINGLE_STREAM, SERVER) and self.samples_per_query != 1:
            raise ValueError("a query of {} is one sample".format(self.kind))
        if (self.target_qps is not None) != (self.kind == SERVER):
            raise ValueError("target_qps and the scenario server go together")
        if self.target_qps is not None and not 0 < self.target_qps < math.inf:
            raise ValueError("target_qps must be above 0")
        if self.limit_ns is not None and (self.limit_ns < 1 or self.kind != SERVER):
            raise ValueError("a limit is above 0, and of the scenario server")

    @property
    def quoted_percentile(self) -> Optional[float]:
        """The percentile that is quoted; None where it is the throughput."""
        return QUOTED_PERCENTILES[self.kind]


ONE_BY_ONE: Final = Scenario()
