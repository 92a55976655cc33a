"""Which of several configurations nobody would give up, and which one to take. Pure; Python 3.8."""

import math
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from edge.reasoning.stats import percentile_interval, quantile

# Below this a difference is not worth a thread or an unusual setting; the same model differs by 2
# to 5 % from process to process (docs/reference/sweep.md).
_NOT_WORTH = 0.03


@dataclass(frozen=True)
class Figures:
    """What a configuration costs; less is better in everything, None is unknown."""

    latency_ns: int
    memory_bytes: Optional[int] = None
    load_ns: Optional[int] = None
    accuracy_loss: Optional[float] = None
    joules: Optional[float] = None

    def costs(self) -> Tuple[Optional[float], ...]:
        """Return all of them, in a fixed order."""
        return (
            self.latency_ns,
            self.memory_bytes,
            self.load_ns,
            self.accuracy_loss,
            self.joules,
        )


def dominates(one: Figures, other: Figures) -> bool:
    """Return whether `one` is as good in everything and better in something.

    It has to be known to be: where only one of the two is known, neither is as good as the other;
    where none is, it says nothing.
    """
    better = False
    for ours, theirs in zip(one.costs(), other.costs()):
        if ours is None and theirs is None:
            continue
        if ours is None or theirs is None or ours > theirs:
            return False
        better = better or ours < theirs
    return better


def pareto_set(figures: Sequence[Figures]) -> Tuple[int, ...]:
    """Return the positions of those that no other one dominates; of equal ones, all."""
    return tuple(
        index
        for index, one in enumerate(figures)
        if not any(dominates(other, one) for other in figures)
    )


@dataclass(frozen=True)
class Contender:
    """A configuration to choose from: its latencies by process, and how simple it is.

    `rounds_ns` holds the latencies of one process each. Of two that are as fast, the one whose
    `simplicity` sorts first is taken: threads, then how many settings are not the usual ones.
    """

    rounds_ns: Tuple[Tuple[int, ...], ...]
    simplicity: Tuple[int, ...]

    def latency_ns(self, percentile: float) -> int:
        """Return the percentile of all latencies."""
        return quantile([ns for latencies in self.rounds_ns for ns in latencies], percentile)


def best(contenders: Sequence[Contender], percentile: float = 90.0) -> Optional[int]:
    """Return the position of the one to take: the fastest, or a simpler one that is as fast.

    As fast is one whose percentile is less than 3 % above the fastest's, or whose difference is
    no more than noise. None: there is nothing to choose from.
    """
    if not contenders:
        return None
    latencies = [contender.latency_ns(percentile) for contender in contenders]
    first = min(range(len(contenders)), key=lambda i: (latencies[i], contenders[i].simplicity, i))
    as_fast = [
        index
        for index, contender in enumerate(contenders)
        if index == first
        or latencies[index] < latencies[first] * (1 + _NOT_WORTH)
        or not is_slower(contender, contenders[first], percentile)
    ]
    return min(as_fast, key=lambda i: (contenders[i].simplicity, latencies[i], i))


def is_slower(one: Contender, other: Contender, percentile: float) -> bool:
    """Return whether `one` is slower than noise explains.

    With two rounds or more the process is what is sampled: every round of `one` is then above
    every round of `other`, which by chance happens to three against three in one of 20 cases. Of
    single processes the 95 % intervals of the percentile must not touch; without intervals it
    cannot be told, and is not.
    """
    ours, theirs = _by_round(one, percentile), _by_round(other, percentile)
    if min(len(ours), len(theirs)) > 1:
        return min(ours) > max(theirs)
    intervals = [
        percentile_interval([ns for part in contender.rounds_ns for ns in part], percentile)
        for contender in (one, other)
    ]
    if intervals[0] is None or intervals[1] is None:
        return False
    return intervals[0][0] > intervals[1][1]


def _by_round(contender: Contender, percentile: float) -> List[int]:
    return [quantile(latencies, percentile) for latencies in contender.rounds_ns if latencies]


def orders(count: int, rounds: int) -> Tuple[Tuple[int, ...], ...]:
    """Return in which order to measure `count` configurations in each of so many rounds.

    They are rows of a Williams design: 0, 1, n-1, 2, n-2 ..., each next row one further, and with
    an odd count followed by their mirror images. Over all rows each configuration stands once at
    each place and comes once (twice, if odd) after each other one, so that neither warming up over
    a round nor what ran just before favours any (E. J. Williams, Australian Journal of Scientific
    Research A 2, 1949). Fewer rounds take rows that lie evenly apart, so that what was early in
    one round is late in another.
    """
    if count < 1 or rounds < 1:
        raise ValueError("needs at least one configuration and one round")
    first = [(step + 1) // 2 if step % 2 else (count - step // 2) % count for step in range(count)]
    cycle = 2 * count if count % 2 else count
    places = [n % cycle if rounds >= cycle else n * cycle // rounds for n in range(rounds)]
    rows = [tuple((index + place) % count for index in first) for place in places]
    return tuple(row[:: -1 if at >= count else 1] for row, at in zip(rows, places))


def remaining_s(elapsed_s: float, done: int, total: int) -> Optional[float]:
    """Return how long what is left will take if it goes on like this; None: nothing is done yet."""
    if done < 1 or not math.isfinite(elapsed_s):
        return None
    return max(0.0, elapsed_s / done * (total - done))
