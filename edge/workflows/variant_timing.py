"""Times variants and the original in turns: each round runs every one in a process of its own."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from edge.device.probe import ProbeOptions, probe
from edge.device.sweep import merge_rounds
from edge.device.zygote import preimported
from edge.errors import EdgekitError
from edge.reasoning.pareto import orders
from edge.reasoning.stats import percentile_interval, quantile
from edge.records.measurement import Measurement, SessionConfig
from edge.records.model import ModelInfo
from edge.records.optimization import Speedup
from edge.workflows.allowance import allowed_bytes
from edge.workflows.optimize_case import model_ref
from edge.workflows.optimize_data import OptimizeData
from edge.workflows.runtime_site import RuntimeSite
from edge.workflows.variants import MadeVariant, Trial

Progress = Callable[[float], None]

# A first look at all, then the ones that may be the fastest once more: six rounds are the fewest
# of which the least and the largest hold the median between them with 95 % confidence.
_FIRST_ROUNDS: Final = 2
_ROUNDS: Final = 6
_ROUND = ProbeOptions(min_s=0.25, max_s=20.0, min_queries=16, warmup_queries=3)
# After the first look only what is not slower than this many times the fastest goes on.
_FAR_FROM_THE_FASTEST: Final = 1.25
_PERCENTILE: Final = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A model file with what runs it, and the shapes and the sample that it is fed."""

    path: Path
    info: ModelInfo
    site: RuntimeSite
    shapes: Mapping[str, tuple[int, ...]]
    sample: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All rounds of a contestant together, or the error that it ended with."""

    measurement: Measurement | None
    speedup: Speedup | None
    error: str | None = None


def with_times(trials: Sequence[Trial], data: OptimizeData, progress: Progress) -> list[Trial]:
    """Add to each variant that runs what it takes here, against the original.

    Raises:
        EdgekitError: the original cannot be measured.
    """
    runs = [i for i, trial in enumerate(trials) if trial.record.verdict != "failed"]
    case = data.case
    timings = time_in_turns(
        [_contestant(trials[i].made, data) for i in runs],
        threads=case.threads,
        target=None if case.target is None else case.target.name,
        progress=progress,
    )
    timed = list(trials)
    for i, timing in zip(runs, timings, strict=True):
        timed[i] = timed[i].told(measurement=timing.measurement, speedup=timing.speedup)
        if timing.error is not None:
            timed[i] = timed[i].failed(timing.error)
    return timed


def _contestant(one: MadeVariant, data: OptimizeData) -> Contestant:
    path, info = one.file
    return Contestant(
        path=path,
        info=info,
        site=data.case.site_of(info.format),
        shapes={**data.case.shapes, **one.plan.sizes},
        sample=data.sample(one.plan.sizes),
    )


def time_in_turns(
    contestants: Sequence[Contestant],
    *,
    threads: int,
    target: str | None,
    progress: Progress,
) -> tuple[Timing, ...]:
    """Measure all; the first is the original. Who is far from the fastest is measured less often.

    Raises:
        EdgekitError: the original cannot be measured.
    """
    rounds = _Rounds(contestants, threads, target)
    with ExitStack() as stack:
        for backend, paths in sorted({(c.site.backend, c.site.paths) for c in contestants}):
            stack.enter_context(preimported(backend, paths))
        rounds.run(range(len(contestants)), _FIRST_ROUNDS, lambda f: progress(f / 2))
        rounds.run(rounds.near_the_fastest(), _ROUNDS, lambda f: progress(0.5 + f / 2))
    return rounds.timings()


class _Rounds:
    """The rounds that each contestant has had."""

    def __init__(self, contestants: Sequence[Contestant], threads: int, target: str | None) -> None:
        self._contestants = contestants
        self._threads, self._target = threads, target
        self._done: list[dict[int, Measurement]] = [{} for _ in contestants]
        self._errors: dict[int, str] = {}
        self._number = 0

    def run(self, who: Sequence[int], rounds: int, progress: Progress) -> None:
        total = max(1, rounds * len(who))
        for turn, order in enumerate(orders(len(who), rounds)):
            for place, position in enumerate(order):
                index = who[position]
                if index not in self._errors:
                    self._measure(index)
                progress((turn * len(who) + place + 1) / total)
            self._number += 1

    def near_the_fastest(self) -> list[int]:
        medians = {i: self._typical(i) for i in range(len(self._contestants)) if self._done[i]}
        limit = _FAR_FROM_THE_FASTEST * min(medians.values())
        return sorted({0} | {i for i, ns in medians.items() if ns <= limit})

    def timings(self) -> tuple[Timing, ...]:
        return tuple(
            Timing(
                measurement=merge_rounds(rounds) if rounds else None,
                speedup=None if index == 0 else self._speedup(index),
                error=self._errors.get(index),
            )
            for index, rounds in enumerate(self._done)
        )

    def _measure(self, index: int) -> None:
        one = self._contestants[index]
        try:
            self._done[index][self._number] = probe(
                str(one.path),
                SessionConfig(one.site.backend, self._threads),
                _ROUND,
                model=model_ref(one.info),
                target=self._target,
                shapes=one.shapes,
                inputs=str(one.sample),
                memory_bytes=allowed_bytes(one.info, self._threads),
                paths=one.site.paths,
            )
        except EdgekitError as error:
            if index == 0:
                raise
            self._errors[index] = str(error)
            self._done[index].clear()

    def _typical(self, index: int) -> float:
        return median(quantile(m.latencies_ns, _PERCENTILE) for m in self._done[index].values())

    def _speedup(self, index: int) -> Speedup | None:
        """Compare round by round with the original: what slows a round slows both."""
        ratios = [
            quantile(self._done[0][number].latencies_ns, _PERCENTILE)
            / quantile(measurement.latencies_ns, _PERCENTILE)
            for number, measurement in sorted(self._done[index].items())
            if number in self._done[0]
        ]
        if not ratios:
            return None
        millionths = [round(1e6 * ratio) for ratio in ratios]
        low, high = percentile_interval(millionths, _PERCENTILE) or (
            min(millionths),
            max(millionths),
        )
        return Speedup(value=median(ratios), low=low / 1e6, high=high / 1e6, rounds=len(ratios))
