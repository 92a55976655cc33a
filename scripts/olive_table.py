"""What compare_with_olive.py found, judged and as a table: nothing here runs or reads anything."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.reasoning.stats import percentile_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

ORIGINAL, OLIVE, EDGEKIT = "original", "Olive", "edgekit"
# An outcome that chance alone gives in one of twenty cases shows nothing.
RISK = 0.05
TENTH = 0.1
HEADINGS = (
    "model",
    "who",
    "what",
    "wall",
    "times as fast, 1 thread",
    "2 threads",
    "in Olive's environment",
    "lowest cosine",
    "right",
    "size",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio of times: the median over the rounds, and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as in the table."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a model, by whom it was made, and what it is worth.

    `wall_s` is what the command took that made it; `times_ns` has, for each place of measuring,
    the shortest time of each round. `cosines` are one for each sample, `right` one for each that
    has a label. `failed` says why there is no file; then there is nothing else.
    """

    model: str
    who: str
    what: str
    wall_s: float = 0.0
    size_bytes: int = 0
    times_ns: dict[str, tuple[int, ...]]
    cosines: tuple[float, ...] = ()
    right: tuple[bool, ...] | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that is claimed of a model, or of all; None: the data does not tell it apart."""

    model: str
    text: str
    kept: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """What a file must keep to be counted at all, and what edgekit's must reach."""

    least_cosine: float
    most_drop: float
    speedup: float | None = None
    right: int | None = None


def ratio(slow: Sequence[int], fast: Sequence[int]) -> Ratio:
    """Return how many times as fast, of rounds that took turns; six rounds at least."""
    ratios = sorted(left / right for left, right in zip(slow, fast, strict=True))
    # The order statistics are of positions, and integers are what the interval takes.
    ends = percentile_interval(range(len(ratios)), 50)
    if ends is None:
        raise ValueError(f"{len(ratios)} rounds give no interval")
    return Ratio(value=statistics.median(ratios), low=ratios[ends[0]], high=ratios[ends[1]])


def is_likely_chance(better: int, worse: int) -> bool:
    """Return whether the pairs that differ may differ by chance: the exact sign test, two-sided."""
    count, least = better + worse, min(better, worse)
    tail = sum(math.comb(count, number) for number in range(least + 1)) / 2**count
    return bool(2 * tail > RISK)


def no_worse(ours: Entry, theirs: Entry) -> bool | None:
    """Return whether ours is as accurate; None: not in this data, and chance would explain it."""
    if ours.right is not None and theirs.right is not None:
        pairs = list(zip(ours.right, theirs.right, strict=True))
        better = sum(mine and not other for mine, other in pairs)
        worse = sum(other and not mine for mine, other in pairs)
        if better >= worse:
            return True
        return None if is_likely_chance(better, worse) else False
    if min(ours.cosines) >= min(theirs.cosines):
        return True
    better = sum(mine > other for mine, other in zip(ours.cosines, theirs.cosines, strict=True))
    worse = sum(mine < other for mine, other in zip(ours.cosines, theirs.cosines, strict=True))
    return None if better >= worse or is_likely_chance(better, worse) else False


def is_right_enough(entry: Entry, original: Entry, floors: Floors) -> bool:
    """Return whether a file keeps what edgekit was told to keep."""
    if entry.right is not None and original.right is not None:
        lost = (sum(original.right) - sum(entry.right)) / len(entry.right)
        return lost <= floors.most_drop + 1e-9
    return min(entry.cosines) >= floors.least_cosine


def best_of_olive(entries: Sequence[Entry], floors: Floors, place: str) -> Entry:
    """Return Olive's fastest file that is right enough; the original where it has none."""
    (original,) = (entry for entry in entries if entry.who == ORIGINAL)
    fit = [
        entry
        for entry in entries
        if entry.who == OLIVE and entry.failed is None and is_right_enough(entry, original, floors)
    ]

    def speed(entry: Entry) -> float:
        return ratio(original.times_ns[place], entry.times_ns[place]).value

    return max(fit, key=speed, default=original)


def claims_of(entries: Sequence[Entry], floors: Floors, places: Sequence[str]) -> list[Claim]:
    """Judge one model's entries; the first place is where the floor of speed is judged."""
    (original,) = (entry for entry in entries if entry.who == ORIGINAL)
    (ours,) = (entry for entry in entries if entry.who == EDGEKIT)
    model = original.model
    if ours.failed is not None:
        return [Claim(model=model, text=f"edgekit optimize fails: {ours.failed}", kept=False)]
    made = []
    for place in places:
        theirs = best_of_olive(entries, floors, place)
        faster = ratio(theirs.times_ns[place], ours.times_ns[place])
        told = f"{faster} times as fast as Olive's {theirs.what}, {place}"
        kept = True if faster.value >= 1 else None if faster.high >= 1 else False
        made.append(Claim(model=model, text=told, kept=kept))
        made.append(
            Claim(
                model=model,
                text=f"as accurate as Olive's {theirs.what}",
                kept=no_worse(ours, theirs),
            )
        )
        gained = ratio(original.times_ns[place], ours.times_ns[place])
        kept = True if gained.value >= 1 else None if gained.high >= 1 else False
        made.append(Claim(model=model, text=f"not slower than the original, {place}", kept=kept))
    if floors.speedup is not None:
        gained = ratio(original.times_ns[places[0]], ours.times_ns[places[0]])
        told = f"{gained} times as fast as the original, {floors.speedup} wanted"
        made.append(Claim(model=model, text=told, kept=gained.value >= floors.speedup))
    if floors.right is not None and ours.right is not None:
        told = f"{sum(ours.right)} of {len(ours.right)} right, {floors.right} wanted"
        made.append(Claim(model=model, text=told, kept=sum(ours.right) >= floors.right))
    told = _accuracy(ours, floors)
    made.append(Claim(model=model, text=told, kept=is_right_enough(ours, original, floors)))
    return [*made, _time_claim(entries, ours)]


def _accuracy(ours: Entry, floors: Floors) -> str:
    if ours.right is not None:
        return f"{sum(ours.right)} of {len(ours.right)} right, {floors.most_drop:.0%} may be lost"
    return f"lowest cosine {min(ours.cosines):.4f}, {floors.least_cosine} wanted"


def _time_claim(entries: Sequence[Entry], ours: Entry) -> Claim:
    """Judge the time against all of Olive's runs: it does not say which of its files is best."""
    theirs = [entry.wall_s for entry in entries if entry.who == OLIVE and entry.failed is None]
    part = ours.wall_s / sum(theirs)
    told = (
        f"{ours.wall_s:.1f} s, {part:.2f} of the {sum(theirs):.0f} s of Olive's {len(theirs)} runs,"
        f" {ours.wall_s / max(theirs):.2f} of the longest"
    )
    return Claim(model=ours.model, text=told, kept=part <= TENTH)


def size_claim(edgekit_bytes: int, olive_bytes: int) -> Claim:
    """Judge the installed size."""
    part = edgekit_bytes / olive_bytes
    told = f"{edgekit_bytes / 1e6:,.0f} MB installed, {part:.2f} of Olive's"
    return Claim(model="all", text=f"{told} {olive_bytes / 1e6:,.0f} MB", kept=part <= TENTH)


def rows_of(entries: Sequence[Entry], places: Sequence[str]) -> list[tuple[str, ...]]:
    """Return one model's rows of the table."""
    (original,) = (entry for entry in entries if entry.who == ORIGINAL)
    rows = []
    for entry in entries:
        wall = "" if entry.who == ORIGINAL else f"{entry.wall_s:.1f} s"
        if entry.failed is not None:
            gone = ("" for _ in places)
            rows.append(
                (entry.model, entry.who, f"{entry.what}: {entry.failed}", wall, *gone, "", "", "")
            )
            continue
        speeds = (
            str(ratio(original.times_ns[place], entry.times_ns[place]))
            if entry.who != ORIGINAL
            else _duration(min(original.times_ns[place]))
            for place in places
        )
        right = "" if entry.right is None else f"{sum(entry.right)} of {len(entry.right)}"
        cosine, size = f"{min(entry.cosines):.4f}", f"{entry.size_bytes / 1e6:.2f} MB"
        rows.append((entry.model, entry.who, entry.what, wall, *speeds, cosine, right, size))
    return rows


def _duration(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e3:.1f} µs" if nanoseconds < 1e6 else f"{nanoseconds / 1e6:.2f} ms"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def verdicts(claims: Sequence[Claim]) -> str:
    """Return the claims as a list, each once, with what became of it."""
    words = {True: "kept", False: "**missed**", None: "not told apart"}
    lines = (f"- {claim.model}: {claim.text}: {words[claim.kept]}" for claim in claims)
    return "\n".join(dict.fromkeys(lines)) + "\n"
