"""The gate: each limit passed, missed or not shown."""

import dataclasses
from typing import Any

import pytest
from made_advice import measurement

from edge.errors import UsageError
from edge.records.check import CheckLimits, LimitResult
from edge.records.measurement import Frames, Measurement
from edge.records.scenario import Scenario
from edge.workflows.checks import check_measurement, exit_code, limits_from

# 18 queries each of 9.8, 9.81 and so on to 10.2 ms.
TEN_MS = measurement(
    queries=738, load_ns=30_000_000, first_inference_ns=12_000_000, duration_ns=7_380_000_000
)
FEW = measurement(queries=30)


@pytest.mark.parametrize(
    ("of", "limits", "name", "measured", "outcome", "reason"),
    [
        (TEN_MS, {"max_p50_ms": 20}, "p50 latency", 1e7, "passed", "10 ms is within 20 ms"),
        (TEN_MS, {"max_p90_ms": 5}, "p90 latency", 10.16e6, "missed", "10.2 ms is above 5 ms"),
        (TEN_MS, {"max_p99_ms": 50}, "p99 latency", 10.2e6, "passed", "10.2 ms is within 50 ms"),
        (FEW, {"max_p90_ms": 50}, "p90 latency", None, "not-shown", "needs 34 more queries"),
        (
            measurement(queries=63),
            {"max_p90_ms": 5},
            "p90 latency",
            None,
            "missed",
            "even its lower bound, 10.1 ms, is above 5 ms",
        ),
        (TEN_MS, {"max_load_ms": 30}, "load", 3e7, "passed", "30 ms is within 30 ms"),
        (TEN_MS, {"max_load_ms": 29}, "load", 3e7, "missed", "30 ms is above 29 ms"),
        (
            TEN_MS,
            {"max_first_ms": 10},
            "first inference",
            1.2e7,
            "missed",
            "12 ms is above 10 ms",
        ),
        (
            TEN_MS,
            {"max_memory_mib": 80},
            "peak memory",
            80 << 20,
            "passed",
            "80 MiB is within 80 MiB",
        ),
        (
            measurement(peak_memory_bytes=None),
            {"max_memory_mib": 80},
            "peak memory",
            None,
            "not-shown",
            "this machine does not tell it",
        ),
        (
            TEN_MS,
            {"min_per_s": 100},
            "throughput",
            100.0,
            "passed",
            "100 a second is at least 100 a second",
        ),
        (
            TEN_MS,
            {"min_per_s": 101},
            "throughput",
            100.0,
            "missed",
            "100 a second is below 101 a second",
        ),
        (
            dataclasses.replace(TEN_MS, scenario=Scenario("offline", samples_per_query=8)),
            {"min_per_s": 800},
            "throughput",
            800.0,
            "passed",
            "800 a second is at least 800 a second",
        ),
        (
            measurement(scenario=Scenario("server", target_qps=20)),
            {"min_per_s": 1},
            "throughput",
            None,
            "not-shown",
            "how long it took in all is not recorded",
        ),
        (
            measurement(frames=Frames("cam", 30.0, 1000, 11)),
            {"max_dropped": 0.01},
            "dropped frames",
            0.011,
            "missed",
            "1.1 % is above 1 %",
        ),
        (
            TEN_MS,
            {"max_dropped": 0.01},
            "dropped frames",
            None,
            "not-shown",
            "no source of frames was measured",
        ),
    ],
)
def test_a_limit(
    *,
    of: Measurement,
    limits: dict[str, Any],
    name: str,
    measured: float | None,
    outcome: str,
    reason: str,
) -> None:
    check = check_measurement(of, limits_from(**limits))
    (result,) = check.results
    assert (result.name, result.outcome, result.reason) == (name, outcome, reason)
    assert result.measured == (None if measured is None else pytest.approx(measured))
    assert result.note is None
    assert exit_code(check) == {"passed": 0, "missed": 13, "not-shown": 12}[outcome]


@pytest.mark.parametrize(("limit_ms", "outcome"), [(10.0, "missed"), (11.0, "passed")])
def test_a_limit_inside_the_interval_is_close(limit_ms: float, outcome: str) -> None:
    # The order statistics 6 and 15 of 20 are the bounds of the median.
    latencies = (9_000_000,) * 9 + (10_500_000,) * 2 + (12_000_000,) * 9
    (result,) = check_measurement(
        measurement(latencies_ns=latencies), limits_from(max_p50_ms=limit_ms)
    ).results
    assert result == LimitResult(
        name="p50 latency",
        unit="ns",
        limit=limit_ms * 1e6,
        measured=10_500_000.0,
        outcome=outcome,  # type: ignore[arg-type]
        reason=f"10.5 ms is {'above 10 ms' if outcome == 'missed' else 'within 11 ms'}",
        note="close: the 95 % interval, 9 ms to 12 ms, reaches over the limit",
    )


@pytest.mark.parametrize(
    ("changes", "limits", "code"),
    [
        ({}, {}, 0),
        ({"flaws": ("it drifted",)}, {}, 7),
        ({"flaws": ("it drifted",)}, {"max_p50_ms": 1}, 7),
        ({"provenance": "emulated"}, {"max_p50_ms": 100}, 7),
        ({"peak_memory_bytes": None}, {"max_memory_mib": 1, "max_p50_ms": 1}, 13),
        ({"peak_memory_bytes": None}, {"max_memory_mib": 1, "max_p50_ms": 100}, 12),
    ],
)
def test_the_first_status_that_holds(
    changes: dict[str, Any], limits: dict[str, float], code: int
) -> None:
    assert exit_code(check_measurement(measurement(**changes), limits_from(**limits))) == code


def test_emulated_time_is_no_time() -> None:
    check = check_measurement(measurement(provenance="emulated", flaws=("hot",)), CheckLimits())
    assert check.flaws == ("emulated time is no time", "hot")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_p50_ms": -1}, "max_p50_ns must be 0 or more, and finite"),
        ({"min_per_s": float("nan")}, "min_per_s must be 0 or more, and finite"),
        ({"max_memory_mib": float("inf")}, "max_memory_bytes must be 0 or more, and finite"),
        ({"max_dropped": 1.5}, "max_dropped_share lies between 0 and 1"),
    ],
)
def test_limits_that_mean_nothing_are_refused(limits: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        limits_from(**limits)
    assert str(caught.value) == message
