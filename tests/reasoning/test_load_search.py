"""The next load, decided from the runs so far; a simulated queue answers."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.load_search import (
    CLOSE,
    bracket,
    contradictions,
    expected_load_per_s,
    late_share,
    loads_by_outcome,
    most_load_per_s,
    next_load,
    outcome,
)
from edge.records.search import FAILED, MET, NOT_MET, UNDECIDED, LoadRun

MS = 1_000_000


def run(qps: float, over: int = 0, count: int = 662, failure: str | None = None) -> LoadRun:
    return LoadRun(qps, 0, count, over, None, failure=failure)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([run(1)], MET),
        ([run(1, over=1)], MET),
        ([run(1, over=2)], UNDECIDED),
        ([run(1, over=13)], UNDECIDED),
        ([run(1, over=14)], NOT_MET),
        # Together they are 1,324 queries, of which 5 may be over.
        ([run(1, over=3), run(1, over=2)], MET),
        ([run(1, over=4), run(1, over=2)], UNDECIDED),
        ([run(1), run(1, count=0, failure="it died")], FAILED),
    ],
)
def test_runs_of_one_load_are_judged_together(runs: list[LoadRun], expected: str) -> None:
    assert outcome(runs, 99) == expected


def test_the_bracket_ends_below_the_lowest_load_that_was_not_met() -> None:
    runs = [run(10), run(12), run(14, over=50), run(13, over=5), run(16)]
    assert loads_by_outcome(runs, 99) == {10: MET, 12: MET, 13: UNDECIDED, 14: NOT_MET, 16: MET}
    assert bracket(runs, 99) == (12, 13)
    assert contradictions(runs, 99) == ("14 queries/s did not keep the limit, 16 did",)


def test_runs_of_one_load_that_differ_are_told() -> None:
    assert contradictions([run(10), run(10, over=30)], 99) == (
        "10 queries/s kept the limit in one run, not in another",
    )
    assert contradictions([run(10), run(10, over=3)], 99) == ()


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], (50.0, "")),
        # The bracket opens upwards in growing steps, and never above what keeps it busy.
        ([run(50)], (62.5, "")),
        ([run(50), run(62.5)], (62.5 * 1.25**2, "")),
        ([run(50), run(62.5), run(97.65625)], (100.0, "")),
        # An undecided load comes again, once.
        ([run(50, over=5)], (50, "")),
        ([run(50, over=5), run(50, over=5)], (40.0, "")),
        ([run(50, over=99)], (40.0, "")),
        ([run(40), run(50, over=99)], (pytest.approx(2000**0.5), "")),
        # What is found is confirmed, and only then is it over.
        ([run(48), run(50, over=99)], (48, "")),
        ([run(48), run(50, over=99), run(48)], (None, "the bracket is within 5 %")),
        ([run(30), run(48), run(50, over=99), run(48, over=70)], (pytest.approx(1440**0.5), "")),
        ([run(100)], (100, "")),
        (
            [run(100), run(100)],
            (None, "it keeps the limit at all that a queue of such queries can carry"),
        ),
        ([run(50, count=0, failure="it died")], (40.0, "")),
        (
            [run(50 / 64, over=99)],
            (None, "no load keeps the limit, down to 0.781 queries/s"),
        ),
        ([run(50 / 60, over=99)], (50 / 64, "")),
        ([run(60)] * 32, (None, "after 32 runs, the bracket is not within 5 % yet")),
    ],
)
def test_the_next_load(runs: list[LoadRun], expected: tuple[float | None, str]) -> None:
    assert next_load(runs, 50.0, 100.0, 99) == expected


@given(st.floats(0.02, 1.0), st.floats(0.02, 1.0))
def test_without_noise_it_always_ends_within_5_percent_of_the_truth(
    true_share: float, expected_share: float
) -> None:
    most = 1000.0
    true, expected = true_share * most, expected_share * most
    runs: list[LoadRun] = []
    load, ended = next_load(runs, expected, most, 99)
    while load is not None:
        assert 0 < load <= most
        runs.append(run(load, over=0 if load <= true else 600))
        load, ended = next_load(runs, expected, most, 99)
    assert len(runs) < 32
    low, high = bracket(runs, 99)
    if low is None:
        assert ended.startswith("no load keeps the limit")
        assert true < expected / 64
    elif high is None:
        assert low == most == true
    else:
        assert low <= true < high <= low * CLOSE
    assert contradictions(runs, 99) == ()


@pytest.mark.parametrize("busy", [0.1, 0.5, 0.9])
def test_the_late_share_is_that_of_a_simulated_queue_with_constant_service(busy: float) -> None:
    chance = random.Random(1)
    waits, wait = [], 0.0
    for _ in range(200_000):
        wait = max(0.0, wait + 1 - chance.expovariate(busy))
        waits.append(wait)
    for services in (0, 0.5, 1, 1.5, 2, 2.01, 5):
        seen = sum(w > services for w in waits) / len(waits)
        assert late_share(busy, services) == pytest.approx(seen, rel=0.04, abs=3e-4)


def test_the_expected_load_is_that_of_a_queue_with_constant_service() -> None:
    load = expected_load_per_s([10 * MS] * 100, 100 * MS, 99)
    assert load is not None
    assert late_share(load / 100, 9) == pytest.approx(0.01)
    # Without room only 1 % may wait at all.
    assert expected_load_per_s([10 * MS] * 100, 10 * MS, 99) == pytest.approx(1.0)
    assert expected_load_per_s([10 * MS] * 100, 9 * MS, 99) is None
    assert expected_load_per_s([0], 9 * MS, 99) is None


def test_the_most_is_what_a_constant_service_of_the_mean_carries() -> None:
    most = most_load_per_s([5 * MS, 15 * MS] * 50, 100 * MS, 99)
    assert most == expected_load_per_s([10 * MS] * 100, 100 * MS, 99)
    assert most_load_per_s([10 * MS] * 100, 9 * MS, 99) == pytest.approx(1.0)
    assert most_load_per_s([10 * MS] * 100, 10_000_000 * MS, 99) == pytest.approx(100, rel=1e-4)


@given(st.integers(1, 10**10), st.floats(1, 1000))
def test_the_expected_load_keeps_the_machine_busy_at_most(service_ns: int, times: float) -> None:
    load = expected_load_per_s([service_ns] * 10, math.ceil(service_ns * times), 99)
    assert load is not None
    assert 0 < load <= 1e9 / service_ns
