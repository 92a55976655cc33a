"""Intervals of rates from published rows, and how often they hold a family that was left out."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from calibration_rows import Plan, Sample

# One-sided 95 % points of Student's t for 1 to 30 degrees of freedom; 1.645 beyond.
STUDENT = (
    *(6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812),
    *(1.796, 1.782, 1.771, 1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725),
    *(1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The interval of rates."""

    low: float
    typical: float
    high: float


def fit(values: Sequence[Sample], per_operator_ns: float) -> Fit:
    """Return the interval that holds 90 % of another family's rates, one family one vote.

    The rates are without the operators' fixed cost. The interval is the wider of the weighted
    percentiles and of a log-normal prediction interval, whose Student factor is what few families
    cost.
    """
    weighted = _log_rates(values, per_operator_ns)
    families = len({s.row.family for s in values})
    centre, spread = _moments(weighted, families)
    degrees = max(1, families - 1)
    student = STUDENT[degrees - 1] if degrees <= len(STUDENT) else 1.645
    reach = student * spread * math.sqrt(1 + 1 / families)
    low, high = _percentile(weighted, 0.05), _percentile(weighted, 0.95)
    return Fit(
        low=math.exp(min(low, centre - reach)),
        typical=math.exp(_percentile(weighted, 0.5)),
        high=math.exp(max(high, centre + reach)),
    )


def fit_per_operator_ns(values: Sequence[Sample]) -> float:
    """Return the fixed cost of an operator that makes the remaining rates most alike.

    It stays below 90 % of what any row spent an operator, all its work included.
    """
    families = len({s.row.family for s in values})
    most = most_per_operator_ns(values)
    costs = [most * step / 20 for step in range(19)]
    return min(costs, key=lambda cost: _moments(_log_rates(values, cost), families)[1])


def most_per_operator_ns(values: Sequence[Sample]) -> float:
    """Return the least that any row spent an operator: its fixed cost cannot be more."""
    return min(s.latency_ns / s.row.operators for s in values if s.row.operators)


def _log_rates(values: Sequence[Sample], per_operator_ns: float) -> list[tuple[float, float]]:
    sizes = Counter(s.row.family for s in values)
    return sorted(
        (
            math.log(s.row.macs / (s.latency_ns - per_operator_ns * (s.row.operators or 0))),
            1 / sizes[s.row.family],
        )
        for s in values
    )


def _moments(weighted: Sequence[tuple[float, float]], families: int) -> tuple[float, float]:
    centre = sum(v * w for v, w in weighted) / families
    squares = sum(w * (v - centre) ** 2 for v, w in weighted)
    return centre, math.sqrt(squares / max(1, families - 1))


def _percentile(weighted: Sequence[tuple[float, float]], share: float) -> float:
    # Just under the share, so that a tie falls alike on every Python: 3.12 adds up more exactly.
    enough = share * math.fsum(w for _, w in weighted) * (1 - 1e-9)
    reached = 0.0
    for value, weight in weighted:
        reached += weight
        if reached >= enough:
            return value
    return weighted[-1][0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The share of left-out families' rows inside the interval, as the rows are and as used."""

    plain: float
    widened: float
    families: int
    width: float


def coverage(plan: Plan, values: Sequence[Sample], costs_of: Sequence[Sample]) -> Coverage | None:
    """Leave each family out and look whether its rows lie in the interval of the others.

    One family has one vote. `costs_of` are the rows that the operators' cost is fitted to.
    """
    families = sorted({s.row.family for s in values})
    if len(families) < 3:
        return None
    plain, widened, widths = [], [], []
    for family in families:
        rest = [s for s in values if s.row.family != family]
        cost = operator_cost_ns(rest, [s for s in costs_of if s.row.family != family])
        found = fit(rest, cost)
        left_out = [s for s in values if s.row.family == family]
        plain.append(fmean(_inside(s, found, cost, 1.0, 1.0) for s in left_out))
        widened.append(fmean(_inside(s, found, cost, plan.slower, plan.faster) for s in left_out))
        widths.append(fmean(_width(s, found, cost) for s in left_out))
    return Coverage(
        plain=fmean(plain),
        widened=fmean(widened),
        families=len(families),
        width=math.exp(fmean(widths)),
    )


def _ends(sample: Sample, found: Fit, cost: float) -> tuple[float, float]:
    # As edge/reasoning/roofline.py: no overhead at the low end, 1.5 times the fitted one at the
    # high end. A row without a count of operators has some 100.
    overhead = cost * (sample.row.operators or 100)
    return sample.row.macs / found.high, sample.row.macs / found.low + 1.5 * overhead


def _inside(sample: Sample, found: Fit, cost: float, slower: float, faster: float) -> bool:
    wider = Fit(low=found.low / slower, typical=found.typical, high=found.high * faster)
    low, high = _ends(sample, wider, cost)
    return low <= sample.latency_ns <= high


def _width(sample: Sample, found: Fit, cost: float) -> float:
    low, high = _ends(sample, found, cost)
    return math.log(high / low)


def operator_cost_ns(values: Sequence[Sample], costs_of: Sequence[Sample]) -> float:
    """Return what an operator costs the target, fitted to `costs_of`.

    Few families cannot tell an operator's cost from the rate, so int8 takes that of fp32.
    """
    return min(fit_per_operator_ns(costs_of), 0.9 * most_per_operator_ns(values))
