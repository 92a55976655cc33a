"""The Pareto set, the configuration to take, and the order to measure in."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.pareto import (
    Contender,
    Figures,
    best,
    dominates,
    is_slower,
    orders,
    pareto_set,
    remaining_s,
)

SMALL = st.integers(0, 3)
FIGURES = st.builds(
    Figures,
    latency_ns=SMALL,
    memory_bytes=st.none() | SMALL,
    load_ns=st.none() | SMALL,
    accuracy_loss=st.none() | st.sampled_from([0.0, 0.5]),
    joules=st.none() | st.sampled_from([1.0, 2.0]),
)


def contender(*medians: int, simplicity: tuple[int, ...] = (1, 0)) -> Contender:
    return Contender(tuple((ns,) * 100 for ns in medians), simplicity)


@given(FIGURES)
def test_nothing_dominates_itself(one: Figures) -> None:
    assert not dominates(one, one)


@given(FIGURES, FIGURES)
def test_two_never_dominate_each_other(one: Figures, other: Figures) -> None:
    assert not (dominates(one, other) and dominates(other, one))


@given(st.lists(FIGURES, min_size=1, max_size=8))
def test_the_set_is_never_empty_and_nothing_in_it_is_dominated(figures: list[Figures]) -> None:
    kept = pareto_set(figures)
    assert kept
    for index, one in enumerate(figures):
        assert (index in kept) is not any(dominates(other, one) for other in figures)


@given(st.lists(FIGURES, min_size=1, max_size=6))
def test_of_equal_ones_all_are_kept_or_none(figures: list[Figures]) -> None:
    kept = pareto_set(figures * 2)
    assert kept == (*pareto_set(figures), *(i + len(figures) for i in pareto_set(figures)))


def test_what_is_unknown_neither_wins_nor_loses() -> None:
    slow, fast = Figures(20, memory_bytes=None), Figures(10, memory_bytes=5)
    assert pareto_set([slow, fast]) == (0, 1)
    assert pareto_set([Figures(20), Figures(10)]) == (1,)
    assert pareto_set([Figures(20, memory_bytes=5), fast, Figures(10, memory_bytes=5)]) == (1, 2)


def test_there_is_nothing_to_choose_from() -> None:
    assert best([]) is None


@pytest.mark.parametrize(
    ("two_threads", "chosen"),
    [
        ((980, 981, 982), 0),  # Less than 3 %.
        ((900, 901, 902), 1),
        ((900, 901, 1010), 0),  # More than 3 %, but its rounds and the other's overlap.
    ],
)
def test_a_thread_has_to_be_worth_it(two_threads: tuple[int, ...], chosen: int) -> None:
    one = contender(1000, 1001, 1002)
    two = contender(*two_threads, simplicity=(2, 0))
    # With three equal rounds the p50 is the middle one's.
    assert best([one, two], 50.0) == chosen


def test_a_difference_that_is_noise_buys_the_simpler_one() -> None:
    noisy, steady = contender(500, 900, 1300), contender(700, 700, 700, simplicity=(4, 2))
    assert noisy.latency_ns(90) > 1.03 * steady.latency_ns(90)
    assert not is_slower(noisy, steady, 90)
    assert best([noisy, steady]) == 0


def test_single_processes_are_told_apart_by_their_intervals() -> None:
    assert is_slower(contender(1100), contender(1000), 90)
    assert not is_slower(contender(1000), contender(1000), 90)
    few = Contender(((1100, 1100),), (1, 0))
    assert not is_slower(few, contender(1000), 90)


@given(st.lists(st.tuples(st.integers(100, 5000), st.integers(1, 4)), min_size=1, max_size=8))
def test_the_best_is_as_fast_as_any_and_nothing_simpler_is_fastest(
    drawn: list[tuple[int, int]],
) -> None:
    field = [contender(ns, ns, ns, simplicity=(threads,)) for ns, threads in drawn]
    chosen = best(field)
    assert chosen is not None
    fastest = min(ns for ns, _ in drawn)
    assert drawn[chosen][0] < 1.03 * fastest or drawn[chosen][0] == fastest
    assert all(drawn[chosen][1] <= threads for ns, threads in drawn if ns == fastest)


@given(st.integers(1, 12))
def test_a_whole_design_is_balanced(count: int) -> None:
    cycle = 2 * count if count % 2 else count
    rows = orders(count, cycle)
    assert all(sorted(row) == list(range(count)) for row in rows)
    places = Counter((place, index) for row in rows for place, index in enumerate(row))
    assert set(places.values()) == {cycle // count}
    assert len(places) == count * count
    pairs = Counter(pair for row in rows for pair in pairwise(row))
    assert len(pairs) == count * (count - 1)
    assert len(set(pairs.values())) <= 1


@given(st.integers(2, 40), st.integers(2, 6))
def test_few_rounds_spread_the_places(count: int, rounds: int) -> None:
    rows = orders(count, rounds)
    assert len(rows) == rounds
    assert all(sorted(row) == list(range(count)) for row in rows)
    assert len(set(rows)) == min(rounds, 2 * count if count % 2 else count)


@pytest.mark.parametrize(("count", "rounds"), [(0, 3), (3, 0)])
def test_an_order_of_nothing_is_refused(count: int, rounds: int) -> None:
    with pytest.raises(ValueError, match=r"^needs at least one configuration and one round$"):
        orders(count, rounds)


def test_the_remaining_time() -> None:
    assert remaining_s(10.0, 0, 5) is None
    assert remaining_s(10.0, 2, 5) == 15.0
    assert remaining_s(10.0, 5, 5) == 0.0
