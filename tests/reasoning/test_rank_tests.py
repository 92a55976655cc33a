"""Rank tests against published tables, and what holds for any values."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.rank_tests import (
    rank_sum_interval,
    rank_sum_p,
    signed_rank_interval,
    signed_rank_p,
)

# Whole numbers, so that scaling and shifting are exact; ties come up by themselves.
VALUES = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=40)


def with_signed_rank(count: int, below: int) -> list[float]:
    """Return 1..count with signs such that the ranks of the negative ones add up to `below`."""
    signs = {}
    for rank in range(count, 0, -1):
        signs[rank] = -1 if rank <= below else 1
        below -= rank if signs[rank] < 0 else 0
    return [float(rank * sign) for rank, sign in signs.items()]


# Two-sided critical values of T at 5 % (Wilcoxon 1945; Siegel 1956, table G).
@pytest.mark.parametrize(
    ("count", "critical"),
    [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (12, 13), (15, 25), (20, 52), (25, 89)],
)
def test_signed_rank_meets_the_published_table(count: int, critical: int) -> None:
    assert signed_rank_p(with_signed_rank(count, critical)) <= 0.05
    assert signed_rank_p(with_signed_rank(count, critical + 1)) > 0.05


def with_u(first: int, second: int, u: int) -> tuple[list[float], list[float]]:
    """Return two samples without ties of which `u` pairs have b below a."""
    a = [2.0 * i for i in range(1, first + 1)]
    full, left = divmod(u, first)
    # A b below all of a is below `first` of them; one more stands below the last `left`.
    b = [-1.0 - i for i in range(full)]
    if left:
        b.append(2.0 * (first - left) + 1)
    return a, [*b, *(100.0 + i for i in range(second - len(b)))]


# Two-sided critical values of U at 5 % (Mann and Whitney 1947; Siegel 1956, table K).
@pytest.mark.parametrize(
    ("first", "second", "critical"),
    [(4, 4, 0), (5, 5, 2), (6, 6, 5), (5, 10, 8), (8, 8, 13), (10, 10, 23), (12, 12, 37)],
)
def test_rank_sum_meets_the_published_table(first: int, second: int, critical: int) -> None:
    assert rank_sum_p(*with_u(first, second, critical)) <= 0.05
    assert rank_sum_p(*with_u(first, second, critical + 1)) > 0.05


def test_normal_rank_sum_meets_the_published_table() -> None:
    # 20 and 20: 127, beyond what is counted exactly.
    assert rank_sum_p(*with_u(20, 20, 127)) <= 0.05
    assert rank_sum_p(*with_u(20, 20, 128)) > 0.05


def test_the_depression_scale_example() -> None:
    # Hollander and Wolfe's example 3.1, 9 patients: T+ = 5 (after minus before), two-sided
    # p = 2 * 10 / 512; estimate -0.46, interval of about 96 % from -0.786 to -0.010.
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    differences = [y - x for x, y in zip(before, after, strict=True)]
    assert signed_rank_p(differences) == pytest.approx(20 / 512)
    shift, interval = signed_rank_interval(differences, 0.95)
    assert shift == pytest.approx(-0.46)
    assert interval == pytest.approx((-0.786, -0.010))


@given(VALUES)
def test_a_swap_turns_the_paired_interval_round(values: list[float]) -> None:
    swapped = [-v for v in values]
    assert signed_rank_p(swapped) == pytest.approx(signed_rank_p(values))
    shift, interval = signed_rank_interval(values, 0.95)
    back, other = signed_rank_interval(swapped, 0.95)
    assert shift is not None
    assert back == -shift
    assert other == (None if interval is None else (-interval[1], -interval[0]))


@given(VALUES, VALUES)
def test_a_swap_turns_the_interval_round(a: list[float], b: list[float]) -> None:
    assert rank_sum_p(b, a) == pytest.approx(rank_sum_p(a, b))
    shift, interval = rank_sum_interval(a, b, 0.95)
    back, other = rank_sum_interval(b, a, 0.95)
    assert shift is not None
    assert back == -shift
    assert other == (None if interval is None else (-interval[1], -interval[0]))


@given(VALUES, VALUES, st.sampled_from([2.0, 1024.0, 0.5]))
def test_the_unit_does_not_matter(a: list[float], b: list[float], unit: float) -> None:
    x, y = [v * unit for v in a], [v * unit for v in b]
    assert rank_sum_p(x, y) == rank_sum_p(a, b)
    assert signed_rank_p(x) == signed_rank_p(a)
    shift, interval = rank_sum_interval(a, b, 0.95)
    scaled, other = rank_sum_interval(x, y, 0.95)
    assert shift is not None
    assert scaled == shift * unit
    assert other == (None if interval is None else (interval[0] * unit, interval[1] * unit))


@given(VALUES, VALUES)
def test_the_estimate_lies_in_its_interval(a: list[float], b: list[float]) -> None:
    for shift, interval in (rank_sum_interval(a, b, 0.95), signed_rank_interval(a, 0.95)):
        assert shift is not None
        assert interval is None or interval[0] <= shift <= interval[1]


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=20, unique_by=abs))
def test_test_and_interval_agree_without_ties(values: list[float]) -> None:
    _, interval = signed_rank_interval(values, 0.95)
    assert interval is not None
    apart = interval[0] > 0 or interval[1] < 0
    # Sums of two values may be 0, where no difference is.
    if 0 not in values and 0 not in interval:
        assert apart == (signed_rank_p(values) <= 0.05)


def test_nothing_at_all_shows_nothing() -> None:
    assert signed_rank_p([0.0] * 30) == signed_rank_p([]) == 1.0
    assert rank_sum_p([1.0] * 30, [1.0] * 30) == rank_sum_p([], [1.0]) == 1.0
    assert signed_rank_interval([], 0.95) == rank_sum_interval([1.0], [], 0.95) == (None, None)
    # Five pairs cannot reach 5 % on two sides, six can.
    assert signed_rank_interval([1.0, 2.0, 3.0, 4.0, 5.0], 0.95) == (3.0, None)
    assert signed_rank_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0.95) == (3.5, (1.0, 6.0))


@pytest.mark.parametrize("count", [8, 20, 40])
def test_equal_data_are_called_unequal_at_most_at_the_level(count: int) -> None:
    chance = random.Random(count)

    def drawn() -> list[float]:
        return [chance.expovariate(1) for _ in range(count)]

    trials = 1000
    wrong_sum = sum(rank_sum_p(drawn(), drawn()) <= 0.05 for _ in range(trials))
    pairs = [[y - x for x, y in zip(drawn(), drawn(), strict=True)] for _ in range(trials)]
    wrong_signed = sum(signed_rank_p(p) <= 0.05 for p in pairs)
    # Three standard deviations of a binomial above the level.
    most = 0.05 * trials + 3 * math.sqrt(0.05 * 0.95 * trials)
    assert 0 < wrong_sum <= most
    assert 0 < wrong_signed <= most


def held(interval: tuple[float, float] | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


@pytest.mark.parametrize("count", [10, 30])
def test_the_intervals_hold_the_truth_and_a_shift_is_found(count: int) -> None:
    chance = random.Random(count)
    trials, inside, paired, found = 400, 0, 0, 0
    for _ in range(trials):
        a = [chance.gauss(10, 1) for _ in range(count)]
        b = [chance.gauss(12, 1) for _ in range(count)]
        inside += held(rank_sum_interval(a, b, 0.95)[1], 2.0)
        differences = [y - x for x, y in zip(a, b, strict=True)]
        paired += held(signed_rank_interval(differences, 0.95)[1], 2.0)
        found += rank_sum_p(a, b) <= 0.05 and signed_rank_p(differences) <= 0.05
    least = 0.95 * trials - 3 * math.sqrt(0.05 * 0.95 * trials)
    assert inside >= least
    assert paired >= least
    assert found >= 0.9 * trials
