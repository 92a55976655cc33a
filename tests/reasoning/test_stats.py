import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.reasoning.stats import drift, percentile_interval, quantile, queries_needed

PERCENTILES = st.sampled_from([1.0, 10.0, 50.0, 90.0, 95.0, 97.0, 99.0, 99.9])


def binomial_sums(count: int, inside: Fraction) -> list[Fraction]:
    """Return P(B <= k) for k from 0 to `count`, exactly."""
    a, b = inside.numerator, inside.denominator
    weights = (math.comb(count, k) * a**k * (b - a) ** (count - k) for k in range(count + 1))
    return [Fraction(total, b**count) for total in itertools.accumulate(weights)]


@pytest.mark.parametrize(
    ("percentile", "queries"),
    [(50, 11), (90, 64), (95, 130), (97, 219), (99, 662), (99.9, 6636)],
)
def test_queries_needed_are_mlperfs(percentile: float, queries: int) -> None:
    assert queries_needed(percentile) == queries


@given(st.integers(min_value=2, max_value=98))
def test_queries_needed_is_the_least_number_that_the_rule_allows(percentile: int) -> None:
    over = 1 - Fraction(percentile, 100)
    needed = queries_needed(percentile)
    assert binomial_sums(needed, over)[1] <= Fraction(1, 100)
    assert binomial_sums(needed - 1, over)[1] > Fraction(1, 100)


@pytest.mark.parametrize("percentile", [0, 100, -1, 101, math.nan])
def test_a_percentile_lies_between_0_and_100(percentile: float) -> None:
    for function in (queries_needed, lambda p: quantile([1], p)):
        with pytest.raises(ValueError, match="between 0 and 100"):
            function(percentile)


@pytest.mark.parametrize(
    ("count", "percentile", "rank"),
    [(1, 50, 1), (2, 50, 1), (3, 50, 2), (10, 90, 9), (11, 90, 10), (1000, 99.9, 999)],
)
def test_quantile_is_of_nearest_rank(count: int, percentile: float, rank: int) -> None:
    assert quantile(list(range(count, 0, -1)), percentile) == rank


@given(st.lists(st.integers(min_value=0, max_value=10**12), min_size=1), PERCENTILES)
def test_quantile_has_so_many_at_or_below_it(latencies: list[int], percentile: float) -> None:
    value = quantile(latencies, percentile)
    share = Fraction(str(percentile)) / 100 * len(latencies)
    assert value in latencies
    assert sum(x <= value for x in latencies) >= share
    assert sum(x < value for x in latencies) < share


@pytest.mark.parametrize(("percentile", "queries"), [(50, 6), (95, 72), (99, 368)])
def test_an_interval_needs_so_many_queries(percentile: float, queries: int) -> None:
    assert percentile_interval(range(queries - 1), percentile) is None
    assert percentile_interval(range(queries), percentile) is not None


def test_no_latencies_have_no_interval() -> None:
    assert percentile_interval([], 50) is None


@settings(deadline=None)
@given(st.integers(1, 400), PERCENTILES, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_an_interval_is_the_narrowest_that_keeps_the_risk(
    count: int, percentile: float, confidence: float
) -> None:
    inside = Fraction(str(percentile)) / 100
    risk = (1 - Fraction(str(confidence))) / 2
    below = [Fraction(0), *binomial_sums(count, inside)]  # P(B < k)
    low = max(k for k, probability in enumerate(below) if probability <= risk)
    high = min(k for k, probability in enumerate(below) if probability >= 1 - risk)
    expected = None if low < 1 or high > count else (low, high)
    assert percentile_interval(range(1, count + 1), percentile, confidence) == expected


def test_an_interval_of_very_many_queries_is_narrow_and_holds_the_quantile() -> None:
    latencies = range(1_000_000)
    for percentile in (50, 99, 99.9):
        bounds = percentile_interval(latencies, percentile)
        assert bounds is not None
        value = quantile(latencies, percentile)
        assert bounds[0] < value < bounds[1]
        # The normal approximation: 1.96 standard deviations of a binomial count, on each side.
        p = percentile / 100
        assert bounds[1] - bounds[0] == pytest.approx(3.92 * math.sqrt(1e6 * p * (1 - p)), rel=0.02)


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        ([100] * 43, None),
        ([100] * 44, 1.0),
        ([100] * 22 + [150] * 22, 1.5),
        ([200] * 11 + [100] * 33, 0.5),
        # A few slow queries are no drift.
        ([100] * 40 + [900] * 4, 1.0),
        ([0] * 44, 0.0),
    ],
)
def test_drift_compares_the_medians_of_first_and_last_quarter(
    latencies: list[int], expected: float | None
) -> None:
    assert drift(latencies) == expected
