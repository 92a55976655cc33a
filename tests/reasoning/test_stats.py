import dataclasses
import itertools
import math
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_advice import measurement

from edge.reasoning.stats import (
    claimed_latency,
    drift,
    percentile_interval,
    quantile,
    queries_for,
    queries_needed,
    refutes_limit,
    supports_limit,
    throughput_per_s,
)
from edge.records.measurement import Measurement
from edge.records.scenario import OFFLINE, SERVER, Scenario
from edge.records.search import Throughput

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


# Read from the summaries of mlcommons-loadgen 6.0.17 (SingleStream: "Would discard N highest
# latency queries"; Server: "Would need to run at least N more queries").
@pytest.mark.parametrize(
    ("count", "percentile", "discarded"),
    [(64, 90, 0), (100, 90, 2), (1000, 90, 77), (662, 99, 0), (2000, 99, 8), (10_000, 99, 76)],
)
def test_the_claimed_latency_discards_as_many_as_loadgen(
    count: int, percentile: float, discarded: int
) -> None:
    assert claimed_latency(range(count), percentile) == count - 1 - discarded


@pytest.mark.parametrize(
    ("count", "over", "more"),
    [(200, 0, 259), (200, 1, 462), (200, 5, 1107), (700, 2, 138), (500, 20, 2804)],
)
def test_a_limit_needs_as_many_more_queries_as_loadgen_says(
    count: int, over: int, more: int
) -> None:
    assert queries_for(over, 99) == count + more
    assert not supports_limit(count, over, 99)


def test_loadgen_calls_700_queries_with_one_over_successful() -> None:
    assert supports_limit(700, 1, 99)


@pytest.mark.parametrize("percentile", [50, 90, 99])
def test_too_few_queries_claim_nothing(percentile: float) -> None:
    needed = queries_needed(percentile)
    assert claimed_latency([], percentile) is None
    assert claimed_latency(range(needed - 1), percentile) is None
    assert claimed_latency(range(needed), percentile) == needed - 1


@given(st.integers(0, 40), st.integers(20, 98))
def test_queries_for_is_the_least_number_that_the_rule_allows(over: int, percentile: int) -> None:
    outside = 1 - Fraction(percentile, 100)
    needed = queries_for(over, percentile)
    assert binomial_sums(needed, outside)[over] <= Fraction(1, 100)
    if needed - 1 > over:
        assert binomial_sums(needed - 1, outside)[over] > Fraction(1, 100)
    assert supports_limit(needed, over, percentile)
    assert not supports_limit(needed - 1, over, percentile)


@given(st.integers(1, 2000), st.integers(0, 2000), PERCENTILES)
def test_a_limit_is_never_both_kept_and_missed(count: int, over: int, percentile: float) -> None:
    over = min(over, count)
    kept, missed = (f(count, over, percentile) for f in (supports_limit, refutes_limit))
    assert not (kept and missed)


@given(st.integers(1, 300), st.integers(2, 98))
def test_a_limit_is_missed_where_so_many_over_are_as_unlikely(count: int, percentile: int) -> None:
    sums = binomial_sums(count, 1 - Fraction(percentile, 100))
    # P(B >= over) <= 1 % is P(B <= over - 1) >= 99 %.
    for over in range(1, count + 1):
        assert refutes_limit(count, over, percentile) == (sums[over - 1] >= Fraction(99, 100))
    assert not refutes_limit(0, 0, percentile)


SIMULATED = 4000


def simulated(count: int, kind: str, seed: int) -> "np.ndarray[Any, Any]":
    """Return so many sorted runs of `count` latencies, one a row."""
    chance = np.random.default_rng(seed)
    if kind == "ties":
        return np.sort(chance.geometric(0.2, (SIMULATED, count)), axis=1)
    return np.sort(chance.lognormal(16, 0.5, (SIMULATED, count)).astype(np.int64), axis=1)


def true_percentile(kind: str, percentile: float) -> float:
    if kind == "ties":
        return math.ceil(math.log(1 - percentile / 100) / math.log(0.8) - 1e-9)
    return math.exp(16 + 0.5 * NormalDist().inv_cdf(percentile / 100))


@pytest.mark.parametrize("kind", ["lognormal", "ties"])
@pytest.mark.parametrize(
    ("count", "percentile"),
    [(6, 50), (11, 50), (40, 50), (36, 90), (64, 90), (200, 90), (368, 99), (662, 99), (2000, 99)],
)
def test_intervals_and_claims_hold_in_simulated_runs(
    kind: str, count: int, percentile: float
) -> None:
    runs = simulated(count, kind, seed=count)
    true = true_percentile(kind, percentile)
    ranks = percentile_interval(range(count), percentile)
    assert ranks is not None
    low, high = ranks
    # Each side may miss in 2.5 % of the runs, a claim in 1 %; three deviations of the simulation.
    room = 3 * math.sqrt(0.025 * 0.975 / SIMULATED)
    assert np.mean(runs[:, low] > true) <= 0.025 + room
    assert np.mean(runs[:, high] < math.floor(true)) <= 0.025 + room
    claimed = claimed_latency(range(count), percentile)
    if claimed is not None:
        room = 3 * math.sqrt(0.01 * 0.99 / SIMULATED)
        assert np.mean(runs[:, claimed] < math.floor(true)) <= 0.01 + room


def offline(times: list[int], samples: int = 8, duration_ns: int | None = None) -> Measurement:
    return dataclasses.replace(
        measurement(),
        latencies_ns=tuple(times),
        scenario=Scenario(OFFLINE, samples, batched=True),
        duration_ns=duration_ns,
    )


def test_offline_throughput_is_samples_over_the_whole_duration() -> None:
    steady = throughput_per_s(offline([10_000_000] * 50, duration_ns=1_000_000_000))
    assert steady == Throughput(400.0, 400.0, 400.0)
    assert throughput_per_s(offline([10_000_000] * 50)) == Throughput(800.0, 800.0, 800.0)


def test_too_few_batches_have_no_interval() -> None:
    assert throughput_per_s(offline([10_000_000] * 4)) == Throughput(800.0, None, None)
    assert throughput_per_s(offline([0] * 9)) is None


def test_batches_that_differ_widen_the_interval() -> None:
    found = throughput_per_s(offline([9_000_000, 11_000_000] * 5, samples=1))
    assert found is not None
    # Ten windows of one batch: mean 10 ms, deviation 1.054 ms, t 2.262: 7.54 % on each side.
    assert found.per_s == pytest.approx(100)
    assert found.low_per_s == pytest.approx(100 / 1.0754, rel=1e-3)
    assert found.high_per_s == pytest.approx(100 / 0.9246, rel=1e-3)


def test_the_interval_of_the_throughput_holds_in_simulated_runs() -> None:
    chance = np.random.default_rng(7)
    missed = 0
    for _ in range(1000):
        found = throughput_per_s(offline(list(chance.integers(5_000_000, 15_000_000, 40)), 1))
        assert found is not None
        assert found.low_per_s is not None
        assert found.high_per_s is not None
        missed += not found.low_per_s <= 100 <= found.high_per_s
    assert missed <= 50 + 3 * math.sqrt(1000 * 0.05 * 0.95)


def test_server_throughput_is_queries_over_the_duration_with_a_poisson_interval() -> None:
    served = dataclasses.replace(
        measurement(queries=400),
        scenario=Scenario(SERVER, target_qps=40.0),
        duration_ns=10_000_000_000,
    )
    assert throughput_per_s(served) == Throughput(40.0, pytest.approx(36.08), pytest.approx(43.92))
    assert throughput_per_s(dataclasses.replace(served, duration_ns=None)) is None
    assert throughput_per_s(measurement()) is None
