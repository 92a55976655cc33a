import itertools
from array import array
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.device import timing
from edge.device.timing import Limits, arrivals_ns, closed_loop, loop_overhead_ns, open_loop


class Clock:
    """Counts its reads; each inference takes the next of `durations`, a read takes nothing."""

    def __init__(self, durations: list[int]) -> None:
        self.now, self.reads, self.log = 1000, 0, list[str]()
        self.step = 0
        self._durations = iter(durations)

    def perf_counter_ns(self) -> int:
        self.reads += 1
        assert self.reads < 100_000, "it waits for a clock that stands still"
        self.log.append("clock")
        self.now += self.step
        return self.now

    def sleep(self, seconds: float) -> None:
        self.log.append("sleep")
        self.now += round(seconds * 10**9)

    def run(self) -> None:
        self.log.append("run")
        self.now += next(self._durations)


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[int]], Clock]:
    def make(durations: list[int]) -> Clock:
        clock = Clock(durations)
        fake = SimpleNamespace(perf_counter_ns=clock.perf_counter_ns, sleep=clock.sleep)
        monkeypatch.setattr(timing, "time", fake)
        return clock

    return make


@pytest.mark.parametrize(
    ("min_queries", "min_ns", "max_ns", "expected"),
    [
        (3, 0, 10**9, [10, 20, 30]),
        (0, 25, 10**9, [10, 20]),
        (3, 25, 10**9, [10, 20, 30]),
        (1, 60, 10**9, [10, 20, 30]),
        # The maximum ends it although too few queries are done.
        (9, 10**6, 60, [10, 20, 30]),
        (0, 0, 10**9, []),
    ],
)
def test_it_stops_when_both_minima_are_reached_or_the_maximum(
    clocked: Callable[[list[int]], Clock],
    min_queries: int,
    min_ns: int,
    max_ns: int,
    expected: list[int],
) -> None:
    clock = clocked([10 * n for n in range(1, 20)])
    latencies = closed_loop(clock.run, Limits(min_queries, min_ns, max_ns)).latencies
    assert latencies.tolist() == expected


def test_between_two_clock_reads_stands_the_inference_alone(
    clocked: Callable[[list[int]], Clock],
) -> None:
    clock = clocked([10] * 20)
    closed_loop(
        clock.run, Limits(0, 200, 1000), lambda fraction: clock.log.append(f"{fraction:.0%}")
    )
    expected = []
    for n in range(1, 21):
        expected += ["clock", "run", "clock", *([f"{n / 20:.0%}"] if n % 2 == 0 else [])]
    assert clock.log == expected


@pytest.mark.parametrize(
    ("min_queries", "min_ns", "max_ns", "expected"),
    [
        (20, 100, 10**4, [0.5, 1.0]),
        (10, 200, 10**4, [0.5, 1.0]),
        # The maximum will end it, long before there are enough queries.
        (1000, 10, 200, [n / 20 for n in range(1, 21)]),
        (1, 10, 10, [1.0]),
    ],
)
def test_progress_is_the_slower_minimum_or_the_maximum(
    clocked: Callable[[list[int]], Clock],
    min_queries: int,
    min_ns: int,
    max_ns: int,
    expected: list[float],
) -> None:
    clock = clocked([10] * 5000)
    told: list[float] = []
    closed_loop(clock.run, Limits(min_queries, min_ns, max_ns), told.append)
    assert told == pytest.approx(expected)


def test_progress_is_told_a_hundred_times_at_most(
    clocked: Callable[[list[int]], Clock],
) -> None:
    clock = clocked([1] * 10_000)
    told: list[float] = []
    closed_loop(clock.run, Limits(10**6, 1, 10_000), told.append)
    assert len(told) == 100


def test_the_closed_loop_tells_from_the_first_start_to_the_last_end(
    clocked: Callable[[list[int]], Clock],
) -> None:
    clock = clocked([100, 200, 300])
    # Keeping a latency takes time, too: each read is 1 ns after the one before.
    clock.step = 1
    timed = closed_loop(clock.run, Limits(3, 0, 10**9))
    assert timed.latencies.tolist() == [101, 201, 301]
    assert (timed.duration_ns, timed.overloaded) == (605, False)


def test_an_empty_closed_loop_takes_no_time(clocked: Callable[[list[int]], Clock]) -> None:
    assert closed_loop(clocked([]).run, Limits(0, 0, 1)).duration_ns == 0


def test_the_overhead_is_what_the_loop_tells_of_nothing(
    clocked: Callable[[list[int]], Clock],
) -> None:
    clock = clocked([])
    clock.step = 7
    assert loop_overhead_ns() == 7
    assert clock.reads == 2 * 5001


def test_arrivals_are_the_same_for_the_same_seed() -> None:
    limits = Limits(5, 0, 10**12)
    assert arrivals_ns(1.0, 1, limits).tolist() == [
        0,
        144291064,
        2024447329,
        3467416254,
        3761879971,
    ]
    assert arrivals_ns(1.0, 1, limits) == arrivals_ns(1.0, 1, limits)
    assert arrivals_ns(1.0, 1, limits) != arrivals_ns(1.0, 2, limits)


def test_arrivals_are_poisson() -> None:
    arrivals = arrivals_ns(1000.0, 3, Limits(20_000, 0, 10**12))
    gaps = [after - before for before, after in itertools.pairwise(arrivals)]
    # Of a Poisson process the mean gap is 1 / rate, and its standard deviation as large.
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(10**6, rel=0.03)
    assert deviation == pytest.approx(10**6, rel=0.03)


@given(
    st.floats(1e-3, 1e5),
    st.integers(0, 9),
    st.integers(0, 200),
    st.integers(0, 10**8),
    st.integers(1, 10**9),
)
def test_arrivals_stop_at_both_minima_or_the_maximum(
    per_s: float, seed: int, min_queries: int, min_ns: int, max_ns: int
) -> None:
    arrivals = arrivals_ns(per_s, seed, Limits(min_queries, min_ns, max_ns)).tolist()
    assert arrivals == sorted(arrivals)
    assert arrivals[:1] == ([0] if min_queries or min_ns else [])
    assert all(at < max_ns for at in arrivals)
    assert len(arrivals) <= min_queries or arrivals[-1] < min_ns
    longer = arrivals_ns(per_s, seed, Limits(min_queries + 9, min_ns, max_ns)).tolist()
    assert longer[: len(arrivals)] == arrivals


def test_a_latency_counts_from_the_scheduled_arrival(
    clocked: Callable[[list[int]], Clock],
) -> None:
    clock = clocked([50, 100, 10])
    timed = open_loop(clock.run, array("q", [0, 20, 140]), 10**9)
    # The second waits for 30 and takes 100; the third arrives while it runs, and waits for 10.
    assert timed.latencies.tolist() == [50, 130, 20]
    assert (timed.duration_ns, timed.overloaded) == (160, False)
    assert clock.log == ["clock", *["clock", "run", "clock"] * 3]


def test_it_sleeps_up_to_a_little_before_an_arrival_and_then_looks_at_the_clock(
    clocked: Callable[[list[int]], Clock],
) -> None:
    clock = clocked([10, 10])
    clock.step = 200_000
    timed = open_loop(clock.run, array("q", [0, 10_000_000]), 10**9)
    assert clock.log[:4] == ["clock", "clock", "run", "clock"]
    assert clock.log[4:] == ["clock", "sleep", *["clock"] * 3, "run", "clock"]
    # Its start is late by less than two looks, and that is the second latency's.
    assert timed.latencies[1] < 4 * 200_000


def test_progress_of_the_open_loop_is_told_while_nobody_waits(
    clocked: Callable[[list[int]], Clock],
) -> None:
    clock = clocked([10] * 3 + [150] + [10] * 2)
    clock.step = 1
    told: list[float] = []
    open_loop(clock.run, array("q", [0, 100, 200, 300, 400, 500]), 10**9, told.append)
    # The fifth waited for the fourth.
    assert told == [0.2, 0.4, 0.6, 1.0]


def test_a_hopeless_overload_ends_early(clocked: Callable[[list[int]], Clock]) -> None:
    clock = clocked([1000] * 1000)
    timed = open_loop(clock.run, array("q", range(0, 100_000, 100)), 10**9)
    # After n queries it is 900 n behind; more than a quarter of the schedule is hopeless.
    assert len(timed.latencies) == 64
    assert timed.overloaded


def test_the_maximum_ends_an_overload(clocked: Callable[[list[int]], Clock]) -> None:
    clock = clocked([1000] * 1000)
    timed = open_loop(clock.run, array("q", range(0, 1000, 100)), 5000)
    assert timed.latencies.tolist() == [1000, 1900, 2800, 3700, 4600]
    assert timed.overloaded


@pytest.mark.parametrize(("service_ns", "overloaded"), [(90, False), (101, True)])
def test_more_work_than_time_is_overload(
    clocked: Callable[[list[int]], Clock], service_ns: int, *, overloaded: bool
) -> None:
    clock = clocked([service_ns] * 1000)
    clock.step = 1
    timed = open_loop(clock.run, array("q", range(0, 100_000, 100)), 10**9)
    assert len(timed.latencies) == 1000
    assert timed.overloaded is overloaded


def test_a_single_arrival_is_no_overload(clocked: Callable[[list[int]], Clock]) -> None:
    timed = open_loop(clocked([1000]).run, array("q", [0]), 10**9)
    assert (timed.latencies.tolist(), timed.overloaded) == ([1000], False)
    assert not open_loop(clocked([]).run, array("q"), 10**9).overloaded
