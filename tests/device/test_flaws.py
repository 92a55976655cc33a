from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.device.facts import CpuTime, read_host_facts, read_host_state
from edge.device.flaws import (
    Seen,
    drift_flaws,
    flaws_of,
    heat_flaws,
    load_flaws,
    quota_flaws,
    settled,
    swap_flaws,
    throttle_flaws,
    time_flaws,
)
from edge.records.host import HostState, Reading, Telemetry
from edge.records.scenario import ONE_BY_ONE, Scenario

TREES = Path(__file__).parent / "trees"
PI = read_host_state(str(TREES / "raspberry-pi-4"))
LAPTOP = read_host_state(str(TREES / "laptop"))
UNKNOWN = HostState(None, None, None, None, None)
SERVER = Scenario("server", target_qps=100.0)
MS = 1_000_000


def readings(*values: tuple[float | None, tuple[str, ...] | None]) -> Telemetry:
    found = tuple(
        Reading(place, None, celsius, held, None) for place, (celsius, held) in enumerate(values)
    )
    return Telemetry(250 * MS, 1, 1, None, found)


def test_more_threads_than_cores_are_a_flaw() -> None:
    host = read_host_facts(str(TREES / "cgroup-v1-container"))
    flaws = quota_flaws(replace(host, cpu_quota=None), 4)
    assert flaws == ("4 threads shared 3 cores",)


def test_threads_above_the_quota_are_a_flaw() -> None:
    host = read_host_facts(str(TREES / "cpuset-container"))
    assert quota_flaws(host, 2) == ()
    flaw = "3 threads shared a CPU quota of 2.5 cores: the container is stopped in between"
    assert quota_flaws(host, 3) == (flaw,)


@pytest.mark.parametrize(
    ("busy_s", "stolen_s", "own_s", "threads", "expected"),
    [
        # Ten seconds of four cores.
        (40, 0, 40, 4, ()),
        (42, 0, 40, 4, ()),
        (40, 0, 25, 4, ("other programs kept 1.5 of 4 cores busy",)),
        # Two cores are left to others when two threads measure.
        (40, 0, 20, 2, ()),
        (40, 0, 10, 2, ("other programs kept 3.0 of 4 cores busy",)),
        (30, 10, 30, 4, ("the hypervisor took 1.0 of 4 cores away",)),
        (4, 0, 3, 4, ()),
    ],
)
def test_what_others_take_is_a_flaw(
    busy_s: float,
    stolen_s: float,
    own_s: float,
    threads: int,
    expected: tuple[str, ...],
) -> None:
    host = read_host_facts(str(TREES / "raspberry-pi-4"))
    before = CpuTime(busy_s=1000, idle_s=5000, stolen_s=3)
    idle_s = 40 - busy_s - stolen_s
    after = CpuTime(busy_s=1000 + busy_s, idle_s=5000 + idle_s, stolen_s=3 + stolen_s)
    assert load_flaws(before, after, own_s, host, threads) == expected
    assert load_flaws(None, after, own_s, host, threads) == ()
    assert load_flaws(before, before, own_s, host, threads) == ()


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        ([100] * 100, ()),
        ([100] * 50 + [109] * 50, ()),
        ([100] * 50 + [150] * 50, ("it drifted: 50% slower at the end than at the start",)),
        ([200] * 50 + [100] * 50, ("it drifted: 50% faster at the end than at the start",)),
        ([100] * 20 + [200] * 20, ()),
    ],
)
def test_drift_is_a_flaw(latencies: list[int], expected: tuple[str, ...]) -> None:
    assert drift_flaws(latencies) == expected


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        ([100] * 400, True),
        # Three windows of a p50's eleven queries are the least.
        ([100] * 33, True),
        ([100] * 32, None),
        ([], None),
        # Each window is a fifth slower than the one before.
        ([round(100 * 1.2 ** (place // 11)) for place in range(110)], False),
        # It came to rest in the end.
        ([400] * 40 + [200] * 40 + [100] * 400, True),
        # Fast and slow by turns, each for longer than a window.
        (([100] * 60 + [50] * 120) * 4, False),
    ],
)
def test_it_becomes_stable_or_not(latencies: list[int], *, expected: bool | None) -> None:
    assert settled(latencies) is expected


@given(st.integers(1, 10**9), st.integers(33, 500), st.data())
def test_within_a_tenth_everything_is_stable(least: int, count: int, data: st.DataObject) -> None:
    most = least + least // 10
    values = data.draw(st.lists(st.integers(least, most), min_size=count, max_size=count))
    assert settled(values) is True


@given(st.lists(st.integers(0, 10**12), max_size=200))
def test_every_list_of_latencies_has_an_answer(values: list[int]) -> None:
    assert settled(values) in (True, False, None)


def test_what_never_becomes_stable_is_a_flaw() -> None:
    rising = [round(100 * 1.2 ** (place // 11)) for place in range(110)]
    unstable = "it never became stable: no 3 windows in a row had medians within 10%"
    assert time_flaws(rising, ONE_BY_ONE)[-1] == unstable
    # An offline latency begins with its query: it is a time of service, too.
    assert unstable in time_flaws(rising, Scenario("offline", samples_per_query=8))


def test_a_server_is_judged_by_those_who_found_nobody_before_them() -> None:
    # Every other query waited, at the end for long.
    waits = [5 * MS if place % 2 else 2 * MS for place in range(300)]
    queue = [90 * MS if place % 2 else 2 * MS for place in range(300)]
    assert time_flaws([*waits, *queue], SERVER) == ()
    slower = [latency * 3 // 2 for latency in queue]
    drifted = ("it drifted: 50% slower at the end than at the start",)
    assert time_flaws([*waits, *slower], SERVER) == drifted
    # Too busy to find one, and too few to look at.
    assert time_flaws([*waits, *slower], replace(SERVER, target_qps=450.0)) == ()
    assert time_flaws([2 * MS] * 200 + [3 * MS] * 200, SERVER) == ()


def test_a_server_that_fell_behind_is_a_flaw() -> None:
    flaw = "it fell behind: queries arrived faster than they were served"
    assert time_flaws([MS] * 100, SERVER, overloaded=True) == (flaw,)
    assert time_flaws([MS] * 100, SERVER) == ()


def test_a_speed_that_does_not_last_is_a_flaw() -> None:
    burst, kept = [80 * MS] * 150, [100 * MS] * 600
    flaw = "its speed did not last: 25% slower in the last half than in the first 10 s"
    assert flaw in time_flaws(burst + kept, ONE_BY_ONE)
    # A minute is the least: shorter runs do not heat a board through.
    assert flaw not in time_flaws(burst + kept[:400], ONE_BY_ONE)
    assert time_flaws([87 * MS] * 1000, ONE_BY_ONE) == ()
    assert time_flaws([20_000 * MS] * 10, ONE_BY_ONE) == ()


def test_heat_at_any_time_is_a_flaw() -> None:
    flaw = ("the processor was at 84 °C: it may have lowered its clock",)
    assert heat_flaws(UNKNOWN, UNKNOWN) == ()
    assert heat_flaws(PI, PI, readings((79.9, None), (None, None))) == ()
    assert heat_flaws(PI, PI, readings((60.0, None), (84.2, None), (70.0, None))) == flaw
    assert heat_flaws(PI, replace(PI, temperature_celsius=84.2)) == flaw


@pytest.mark.parametrize(
    ("before", "after", "telemetry", "expected"),
    [
        (UNKNOWN, UNKNOWN, None, ()),
        (PI, PI, readings((None, ())), ()),
        (replace(PI, throttled=("throttled",)), PI, None, ("throttled",)),
        (PI, PI, readings((None, ()), (None, ("clock capped",))), ("clock capped",)),
        # Between two readings: only what is new since the start tells.
        (
            PI,
            replace(PI, throttled_before=("under-voltage", "clock capped", "throttled")),
            readings((None, ())),
            ("clock capped",),
        ),
        # What was known only afterwards may have been before.
        (replace(PI, throttled_before=None), PI, None, ()),
        (
            replace(PI, throttled=("under-voltage", "throttled")),
            replace(PI, throttled=("throttled",)),
            readings((None, ("throttled", "clock capped"))),
            ("under-voltage", "throttled", "clock capped"),
        ),
    ],
)
def test_what_holds_back_is_a_flaw(
    before: HostState,
    after: HostState,
    telemetry: Telemetry | None,
    expected: tuple[str, ...],
) -> None:
    flaws = ("the processor was held back: " + ", ".join(expected),) if expected else ()
    assert throttle_flaws(before, after, telemetry) == flaws


def test_counted_throttling_is_a_flaw() -> None:
    assert throttle_flaws(LAPTOP, LAPTOP) == ()
    after = replace(LAPTOP, throttle_events=31)
    flaw = "the processor was throttled for heat: 4 times"
    assert throttle_flaws(LAPTOP, after) == (flaw,)
    assert throttle_flaws(PI, after) == ()


def test_swapping_is_a_flaw() -> None:
    used = LAPTOP.swap_used_bytes or 0
    flaw = "the memory was short: 12 MiB went to the swap"
    assert swap_flaws(LAPTOP, replace(LAPTOP, swap_used_bytes=used + (12 << 20))) == (flaw,)
    assert swap_flaws(LAPTOP, replace(LAPTOP, swap_used_bytes=used + 4096)) == ()
    assert swap_flaws(LAPTOP, replace(LAPTOP, swap_used_bytes=0)) == ()
    assert swap_flaws(PI, LAPTOP) == ()


def test_all_flaws_together() -> None:
    host = read_host_facts(str(TREES / "raspberry-pi-zero-2-w"))
    state = read_host_state(str(TREES / "raspberry-pi-zero-2-w"))
    seen = Seen(
        latencies=(100,) * 50 + (150,) * 50,
        scenario=ONE_BY_ONE,
        threads=5,
        host=host,
        before=state,
        after=state,
        cpu_before=None,
        cpu_after=None,
        own_s=0.0,
        telemetry=readings((80.6, ("under-voltage",))),
    )
    assert flaws_of(seen) == (
        "it drifted: 50% slower at the end than at the start",
        "the processor was at 81 °C: it may have lowered its clock",
        "the processor was held back: clock capped, throttled, under-voltage",
        "5 threads shared 4 cores",
    )
