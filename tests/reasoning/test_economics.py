"""Costs a month, and the loads where the cheapest changes, against hand computation."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_advice import figure, target

from edge.reasoning.economics import (
    Offer,
    cheapest,
    cost_per_million,
    cost_points,
    crossovers,
    price_assumptions,
    replicas,
    unit_cost_per_month,
)
from edge.reasoning.queueing import ServiceTime, capacity_per_s
from edge.records.target import Price
from edge.records.workload import Workload

# 10 s a query and a price of one, against 100 ms at ten times the price; both at most 80 % busy.
CPU = Offer(
    name="cpu",
    capacity_per_s=capacity_per_s(ServiceTime(points_ns=(10e9,)), None, 90),
    unit_cost_per_month=73.0,
)
GPU = Offer(
    name="gpu",
    capacity_per_s=capacity_per_s(ServiceTime(points_ns=(100e6,)), None, 90),
    unit_cost_per_month=730.0,
)


def test_the_cpu_is_cheaper_at_low_load_and_the_gpu_at_high_load() -> None:
    # By hand: a CPU carries 0.08 queries/s. Ten CPUs cost what a GPU does and carry 0.8; the
    # eleventh costs more. From then on a GPU, which carries 8, always is the cheaper: 1,000
    # CPUs for ten GPUs' worth of money carry 80 where those carry 80 as well, but a hundred
    # CPUs are needed for each GPU.
    (flip,) = crossovers([CPU, GPU], 0.001, 100.0)
    assert flip.load_per_s == pytest.approx(0.8)
    assert (flip.below, flip.above) == ("cpu", "gpu")
    for load, expected in ((0.001, CPU), (0.72, CPU), (0.79, CPU), (0.81, GPU), (99, GPU)):
        assert cheapest([CPU, GPU], load) is expected


def test_a_step_function_may_flip_back_and_forth() -> None:
    # a: 1 each, 10 a machine; b: 3 each, 25 a machine. Costs by hand, up to 100:
    # up to 10 a=1; to 20 a=2; to 25 3=3 (a first); to 30 a=3 b=6; to 40 a=4 ...
    a = Offer(name="a", capacity_per_s=10, unit_cost_per_month=2)
    b = Offer(name="b", capacity_per_s=25, unit_cost_per_month=5)
    found = [(c.load_per_s, c.below, c.above) for c in crossovers([a, b], 1, 100)]
    # a: 2 4 6 8 10 … at 10 20 30 40 50; b: 5 10 15 20 at 25 50 75 100.
    assert found == [(20, "a", "b"), (25, "b", "a"), (70, "a", "b"), (75, "b", "a")]


@given(
    st.lists(
        st.tuples(st.floats(0.1, 50), st.floats(0.5, 100), st.sampled_from([None, 1, 3])),
        min_size=2,
        max_size=4,
    )
)
def test_the_cheapest_changes_at_the_crossovers_and_nowhere_else(
    kinds: list[tuple[float, float, int | None]],
) -> None:
    offers = [
        Offer(name=str(i), capacity_per_s=c, unit_cost_per_month=u, most_machines=m)
        for i, (c, u, m) in enumerate(kinds)
    ]
    lowest, highest = 0.5, 200.0
    flips = crossovers(offers, lowest, highest)
    edges = [lowest, *(c.load_per_s for c in flips), highest]
    for low, high in itertools.pairwise(edges):
        # Just above a step, half way, and just below the next one the same offer is cheapest;
        # where none is feasible there is nothing to be cheapest.
        points = (low + (high - low) * share for share in (0.001, 0.3, 0.5, 0.7, 0.999))
        names = {None if (o := cheapest(offers, p)) is None else o.name for p in points}
        names.discard(None)
        assert len(names) <= 1 or math.isclose(low, high, rel_tol=1e-6)
    for flip in flips:
        after = cheapest(offers, flip.load_per_s * (1 + 1e-6))
        assert after is None or after.name == flip.above or flip.load_per_s > highest * 0.999


def test_the_cost_of_a_board() -> None:
    # 36 USD over 36 months, and 5 W for 730.5 hours at 0.25 USD a kWh.
    cost = unit_cost_per_month(target(), Workload())
    assert cost == pytest.approx(1 + 0.005 * 730.5 * 0.25)


def test_the_cost_of_a_cloud_machine_by_hours_and_currency() -> None:
    cloud = target("cloud", "cloud-cpu", price=Price(hourly_usd=figure(0.1)))
    workload = Workload(hours_per_day=12, currency="EUR", exchange_rate=0.9)
    assert unit_cost_per_month(cloud, workload) == pytest.approx(0.1 * 0.9 * 12 * 365.25 / 12)


def test_the_cost_of_a_million() -> None:
    # One query a second, all day, for a month of 30.4375 days.
    expected = 10 / (30.4375 * 86400) * 1e6
    assert cost_per_million(10.0, Workload(), 1.0) == pytest.approx(expected)
    assert cost_per_million(10.0, Workload(), None) is None


@pytest.mark.parametrize(
    ("load", "capacity", "expected"),
    [
        (0, 5, 1),
        (5, 5, 1),
        (5.001, 5, 2),
        (0.3, 0.1, 3),
        (7, math.inf, 1),
        (1e300, 1e-300, 1_000_000_000),
    ],
)
def test_machines_come_whole(load: float, capacity: float, expected: int) -> None:
    assert replicas(load, capacity) == expected


def test_more_boards_than_allowed_are_no_offer() -> None:
    few = Offer(name="few", capacity_per_s=1, unit_cost_per_month=1, most_machines=2)
    assert few.cost(2) == 2
    assert few.cost(2.1) is None
    dear = Offer(name="dear", capacity_per_s=1, unit_cost_per_month=5)
    (flip,) = crossovers([few, dear], 0.1, 10)
    assert (flip.load_per_s, flip.below, flip.above) == (2, "few", "dear")


def test_the_plot_has_every_offer_at_every_load() -> None:
    points = cost_points([CPU, GPU], 0.01, 100)
    loads = [p.load_per_s for p in points]
    assert loads[0] == 0.01
    assert loads[-1] == pytest.approx(100)
    ratios = [b / a for a, b in itertools.pairwise(loads)]
    assert max(ratios) == pytest.approx(min(ratios))
    assert all(p.cost_per_month == (CPU.cost(p.load_per_s), GPU.cost(p.load_per_s)) for p in points)


def test_no_offers_no_crossovers() -> None:
    assert crossovers([], 1, 10) == ()


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="carries nothing"):
        Offer(name="nothing", capacity_per_s=0, unit_cost_per_month=1)


def test_what_the_costs_assume_is_said() -> None:
    workload = Workload(currency="EUR", exchange_rate=0.9, max_boards=20)
    found = {a.name: a for a in price_assumptions(workload, boards=True)}
    assert found["exchange rate"].value == "0.9 EUR for one USD"
    assert found["boards at most"].value == "20"
    assert found["boards at most"].source == "the workload"
    assert found["electricity"].source == "assumed"
    assert {a.name for a in price_assumptions(Workload(), boards=False)} == {"hours a month"}
