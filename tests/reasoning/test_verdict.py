"""Candidates and the answer: never fits out of doubt, the cheapest that fits wins."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_advice import calibration, figure, info, support, target

from edge.reasoning.candidates import Judged, judge
from edge.reasoning.evidence import Evidence
from edge.reasoning.queueing import ServiceTime
from edge.reasoning.verdict import decide
from edge.records.target import Price, Target
from edge.records.verdict import Candidate, Verdict
from edge.records.workload import Workload

MS = 1e6
BOARD = target()
CPU = target("cpu", "cloud-cpu", price=Price(hourly_usd=figure(0.1)))
GPU = target("gpu", "cloud-gpu", price=Price(hourly_usd=figure(1.0)))
COMMAND = "edgekit package model.onnx --target board -o model-board.pyz"


def evidence(low_ms: float, high_ms: float | None, **changes: Any) -> Evidence:
    """A service time that is constant, between two ends."""
    made = Evidence(
        provenance="predicted",
        basis="a test",
        low=ServiceTime(points_ns=(low_ms * MS,)),
        typical_ns=low_ms * MS,
        high=None if high_ms is None else ServiceTime(points_ns=(high_ms * MS,)),
        memory_low_bytes=50 << 20,
        memory_high_bytes=100 << 20,
    )
    return dataclasses.replace(made, **changes)


def judged(
    workload: Workload, low_ms: float, high_ms: float | None, on: Target = BOARD, **changes: Any
) -> Judged:
    return judge(
        on,
        workload,
        support(on),
        evidence(low_ms, high_ms, **changes),
        on_gpu=on.kind == "cloud-gpu",
        next_command=COMMAND,
    )


def candidate(
    workload: Workload, low_ms: float, high_ms: float | None, on: Target = BOARD, **changes: Any
) -> Candidate:
    return judged(workload, low_ms, high_ms, on, **changes).candidate


def verdict(workload: Workload, found: Sequence[Judged]) -> Verdict:
    return decide(info(), workload, found, (), "0.1.0")


LIMIT = Workload(latency_limit_ms=100)


@pytest.mark.parametrize(
    ("low", "high", "fit", "binding", "reason"),
    [
        (10, 99, "fits", "none", "predicted to answer within 99 ms at p90, the limit is 100 ms"),
        (
            10,
            101,
            "undecided",
            "latency",
            "may take from 10 ms to 101 ms at p90, the limit of 100 ms lies between",
        ),
        (101, 200, "does-not-fit", "latency", "takes at least 101 ms at p90, the limit is 100 ms"),
        (10, None, "undecided", "measurement", "no upper bound of its latency is known: a test"),
        (101, None, "does-not-fit", "latency", "takes at least 101 ms at p90, the limit is 100 ms"),
    ],
)
def test_the_ends_decide(
    low: float, high: float | None, fit: str, binding: str, reason: str
) -> None:
    found = candidate(LIMIT, low, high)
    assert (found.fit, found.binding, found.reason) == (fit, binding, reason)
    # What is certain not to fit needs no measurement.
    assert found.next_command == (None if fit == "does-not-fit" else COMMAND)


def test_what_fits_says_machines_cost_and_headroom() -> None:
    found = candidate(Workload(load_per_s=10, latency_limit_ms=1000), 100, 200)
    # At 80 % of its time a board carries 4/s, but at a 1,000 ms limit less counts: the response
    # at p90 binds first.
    assert found.replicas == 3
    assert found.utilisation == pytest.approx(10 / 3 * 0.2)
    assert found.high_ns is not None
    assert found.headroom == pytest.approx(1000 * MS / found.high_ns)
    assert found.headroom > 1
    unit = 1 + 0.005 * 730.5 * 0.25
    assert found.cost_per_month == pytest.approx(3 * unit)
    assert found.cost_per_million == pytest.approx(3 * unit / (10 * 3600 * 730.5) * 1e6)
    assert (found.service_low_ns, found.service_high_ns) == (100 * MS, 200 * MS)
    assert found.low_ns is not None
    assert found.low_ns < found.high_ns


def test_without_a_load_it_is_one_query_at_a_time() -> None:
    found = candidate(LIMIT, 10, 50)
    assert (found.replicas, found.utilisation, found.cost_per_million) == (1, None, None)
    assert (found.low_ns, found.high_ns) == (10 * MS, 50 * MS)


def test_the_peak_load_is_carried_and_the_average_is_paid() -> None:
    peak = candidate(Workload(load_per_s=1, peak_load_per_s=12), 100, 100)
    assert peak.replicas == 2
    assert peak.cost_per_million == pytest.approx((peak.cost_per_month or 0) / (3600 * 730.5) * 1e6)


def test_operators_that_no_runtime_has() -> None:
    unsupported = support(BOARD, supported=False, reasons=("no kernel for FancyOp",))
    found = judge(BOARD, LIMIT, unsupported, None, on_gpu=False, next_command=COMMAND).candidate
    assert (found.fit, found.binding) == ("does-not-fit", "operators")
    assert found.reason == "onnxruntime 1.32.0: no kernel for FancyOp"


def test_power_memory_and_budget_bind() -> None:
    power = candidate(dataclasses.replace(LIMIT, power_limit_w=4), 1, 2)
    assert (power.fit, power.binding) == ("does-not-fit", "power")
    assert power.reason == "draws 5 W, the limit is 4 W"
    small = candidate(LIMIT, 1, 2, memory_low_bytes=1 << 30)
    assert (small.fit, small.binding) == ("does-not-fit", "memory")
    tight = candidate(dataclasses.replace(LIMIT, memory_limit_mib=80), 1, 2)
    assert (tight.fit, tight.binding) == ("undecided", "memory")
    assert tight.reason == "may need 100 MiB of memory, 80 MiB are usable"
    poor = dataclasses.replace(LIMIT, budget_per_month=1.5)
    assert candidate(poor, 1, 2).binding == "budget"
    assert candidate(poor, 1, 2).fit == "does-not-fit"
    loaded = Workload(load_per_s=8, budget_per_month=3)
    assert candidate(loaded, 90, 300).fit == "undecided"
    assert candidate(loaded, 90, 300).binding == "budget"


def test_a_gpu_has_its_own_memory() -> None:
    memory = dataclasses.replace(GPU.memory, capacity_bytes=figure(64e9), usable_bytes=figure(60e9))
    plenty = dataclasses.replace(GPU, memory=memory)
    assert candidate(LIMIT, 1, 2, plenty, memory_high_bytes=20 * 10**9).binding == "memory"
    assert candidate(LIMIT, 1, 2, plenty, memory_high_bytes=10 * 10**9).fits


def test_a_machine_room_of_boards_is_no_edge_workload() -> None:
    surely = candidate(Workload(load_per_s=100), 100, 200)
    assert (surely.fit, surely.binding) == ("does-not-fit", "load")
    assert surely.reason == "needs at least 13 boards for 100 queries/s, at most 8 are allowed"
    perhaps = candidate(Workload(load_per_s=40), 100, 200)
    assert (perhaps.fit, perhaps.binding) == ("undecided", "load")
    assert candidate(Workload(load_per_s=40, max_boards=20), 100, 200).replicas == 10


def test_a_load_beyond_reason_fits_nowhere() -> None:
    found = candidate(Workload(load_per_s=1e300), 100, 200, CPU)
    assert (found.fit, found.binding) == ("does-not-fit", "load")
    assert found.reason.endswith("at most 10000 are allowed")


def test_too_few_queries_are_undecided() -> None:
    found = candidate(LIMIT, 1, None, queries_missing=24, basis="40 queries measured, p90 needs 64")
    assert (found.fit, found.binding) == ("undecided", "measurement")
    assert found.reason == "40 queries measured, p90 needs 64: 24 more queries are needed"


def test_the_cheapest_that_fits_is_chosen() -> None:
    found = verdict(
        LIMIT, [judged(LIMIT, 1, 2, GPU), judged(LIMIT, 5, 9, CPU), judged(LIMIT, 50, 90)]
    )
    assert (found.answer, found.chosen) == ("edge", "board")
    assert [c.target for c in found.candidates] == ["board", "cpu", "gpu"]
    assert found.reason == (
        "model.onnx is predicted to answer within 90 ms at p90, the limit is 100 ms; "
        "a machine for one query at a time costs 1.91 USD a month."
    )
    assert found.next_command == COMMAND
    assert found.plotted_targets == ("board", "cpu", "gpu")


def test_doubt_about_a_cheaper_kind_is_undecided_and_names_what_is_safe() -> None:
    found = verdict(LIMIT, [judged(LIMIT, 50, 150), judged(LIMIT, 5, 9, CPU)])
    assert (found.answer, found.chosen) == ("undecided", "cpu")
    assert found.reason == (
        "The board might do from 1.91 USD a month, but may take from 50 ms to 150 ms at p90, the "
        "limit of 100 ms lies between: probe it. Safe meanwhile: The cpu for 73.05 USD a month."
    )
    assert found.next_command == COMMAND


def test_doubt_about_a_dearer_target_or_the_same_kind_changes_nothing() -> None:
    other = target("other")
    dear = verdict(LIMIT, [judged(LIMIT, 50, 90), judged(LIMIT, 5, 900, CPU)])
    assert (dear.answer, dear.chosen) == ("edge", "board")
    cheaper = dataclasses.replace(
        other, price=Price(purchase_usd=figure(1)), name="other", title="The other"
    )
    same = verdict(LIMIT, [judged(LIMIT, 50, 90), judged(LIMIT, 50, 900, cheaper)])
    assert (same.answer, same.chosen) == ("edge", "board")


def test_nothing_known_to_fit_is_undecided_or_nothing() -> None:
    maybe = verdict(LIMIT, [judged(LIMIT, 50, 150), judged(LIMIT, 101, 200, CPU)])
    assert (maybe.answer, maybe.chosen) == ("undecided", None)
    assert maybe.reason.startswith("Nothing is known to fit. The board might do from 1.91 USD")
    never = verdict(LIMIT, [judged(LIMIT, 150, 250), judged(LIMIT, 101, 200, CPU)])
    assert (never.answer, never.chosen, never.next_command) == ("nothing-fits", None, None)
    assert never.reason == (
        "No candidate meets the limits. The nearest, The cpu, takes at least 101 ms at p90, "
        "the limit is 100 ms."
    )
    assert never.cost_points == ()
    assert verdict(LIMIT, []).reason == "There is no candidate."


def founding(load: float) -> Verdict:
    """A CPU that takes 10 s a query, and a GPU that takes 100 ms at ten times the price."""
    workload = Workload(load_per_s=load)
    return verdict(
        workload, [judged(workload, 10_000, 10_000, CPU), judged(workload, 100, 100, GPU)]
    )


def test_the_founding_example() -> None:
    # By hand: at 80 % a CPU carries 0.08/s, a GPU 8/s; ten CPUs cost what one GPU does, so the
    # CPU is chosen up to 0.8/s and the GPU above it.
    assert founding(0.01).answer == "cloud-cpu"
    assert founding(0.79).answer == "cloud-cpu"
    assert founding(0.81).answer == "cloud-gpu"
    for load in (0.01, 5.0):
        (flip,) = founding(load).crossovers
        assert flip.load_per_s == pytest.approx(0.8)
        assert (flip.below, flip.above) == ("cpu", "gpu")


LATENCIES = st.floats(0.1, 1000)
LOADS = st.one_of(st.none(), st.floats(0.01, 500))
RANK = {"does-not-fit": 0, "undecided": 1, "fits": 2}


@given(LATENCIES, st.floats(1, 20), LOADS, st.floats(1, 2000), st.floats(1.1, 10))
def test_a_looser_limit_never_makes_it_worse(
    low: float, wide: float, load: float | None, limit: float, looser: float
) -> None:
    before = Workload(latency_limit_ms=limit, load_per_s=load)
    after = dataclasses.replace(before, latency_limit_ms=limit * looser)
    one, two = candidate(before, low, low * wide), candidate(after, low, low * wide)
    assert RANK[two.fit] >= RANK[one.fit]
    if one.fits:
        assert (two.cost_per_month or 0) <= (one.cost_per_month or 0)


@given(LATENCIES, st.floats(1, 20), LOADS, st.floats(1, 2000), st.floats(1.1, 10))
def test_faster_service_never_makes_it_worse(
    low: float, wide: float, load: float | None, limit: float, faster: float
) -> None:
    workload = Workload(latency_limit_ms=limit, load_per_s=load)
    one = candidate(workload, low, low * wide)
    two = candidate(workload, low / faster, low * wide / faster)
    assert RANK[two.fit] >= RANK[one.fit]
    if one.fits:
        assert (two.cost_per_month or 0) <= (one.cost_per_month or 0)


@given(LATENCIES, st.floats(1, 20), LOADS, st.floats(0.1, 1000), st.floats(0.1, 0.99))
def test_a_lower_price_never_makes_it_worse(
    low: float, wide: float, load: float | None, budget: float, cheaper: float
) -> None:
    workload = Workload(load_per_s=load, latency_limit_ms=1500, budget_per_month=budget)
    less = dataclasses.replace(CPU, price=Price(hourly_usd=figure(0.1 * cheaper)))
    one, two = (candidate(workload, low, low * wide, on) for on in (CPU, less))
    assert RANK[two.fit] >= RANK[one.fit]


@given(LATENCIES, st.floats(1.001, 20), LOADS, st.floats(0.1, 1))
def test_an_interval_across_the_limit_never_fits(
    low: float, wide: float, load: float | None, where: float
) -> None:
    limit = low + (low * wide - low) * where * 0.999
    found = candidate(Workload(latency_limit_ms=limit, load_per_s=load), low, low * wide)
    assert not found.fits


@given(
    st.lists(st.tuples(LATENCIES, st.floats(1, 5), st.floats(0.01, 5)), min_size=1, max_size=5),
    LOADS,
)
def test_the_chosen_one_is_the_cheapest_that_fits(
    machines: list[tuple[float, float, float]], load: float | None
) -> None:
    workload = Workload(latency_limit_ms=200, load_per_s=load)
    found = verdict(
        workload,
        [
            judged(
                workload,
                low,
                low * wide,
                target(f"m{i}", "cloud-cpu", price=Price(hourly_usd=figure(price))),
            )
            for i, (low, wide, price) in enumerate(machines)
        ],
    )
    fitting = {c.target: c.cost_per_month or 0 for c in found.candidates if c.fits}
    if fitting:
        assert fitting[found.chosen or ""] == min(fitting.values())
        assert found.answer == "cloud-cpu"
    else:
        assert found.chosen is None
        assert found.answer in ("undecided", "nothing-fits")


def test_a_calibration_is_needed_to_fit() -> None:
    from edge.reasoning.evidence import from_estimate
    from edge.reasoning.roofline import estimate

    for rates, fits in (((calibration(2, 4, 8),), True), ((), False)):
        board = target(calibrations=rates)
        known = from_estimate(estimate(info(macs=1_000_000), board, support(board)[0]))
        found = judge(board, LIMIT, support(board), known, on_gpu=False, next_command=COMMAND)
        assert found.candidate.fits is fits
