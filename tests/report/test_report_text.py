"""Figures in words, exactly."""

import pytest

from edge.records.workload import Workload
from edge.report import text


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (41_000_000, 62_000_000, "41–62 ms"),
        (900_000, 1_200_000, "900 µs–1.2 ms"),
        (41_000_000, None, "at least 41 ms"),
        (None, 62_000_000, "at most 62 ms"),
        (41_000_000, 41_000_100, "41 ms"),
        (7200 * 10**9, 90000 * 10**9, "2–25 h"),
        (None, None, "unknown"),
    ],
)
def test_interval(low: int | None, high: int | None, said: str) -> None:
    assert text.interval_text(low, high) == said


@pytest.mark.parametrize(
    ("fraction", "said"),
    [(0.34, "34 %"), (0.001, "under 1 %"), (0, "0 %"), (1.5, "150 %"), (None, "unknown")],
)
def test_percent(fraction: float | None, said: str) -> None:
    assert text.percent_text(fraction) == said


@pytest.mark.parametrize(
    ("load", "said"), [(10, "10 queries/s"), (12345.6, "12,346 queries/s"), (None, "unknown")]
)
def test_load(load: float | None, said: str) -> None:
    assert text.load_text(load) == said


def test_limit() -> None:
    assert text.limit_text(Workload(latency_limit_ms=0.5, percentile=99.9)) == (
        "p99.9 within 500 µs"
    )
    assert text.limit_text(Workload()) == "no latency limit"
    assert text.limit_ns(Workload(latency_limit_ms=0.5)) == 500_000
    assert text.limit_ns(Workload()) is None


def test_limit_of_a_training_run() -> None:
    hours = Workload(task="training", time_budget_s=7200, latency_limit_ms=1)
    assert text.limit_text(hours) == "a run within 2 h"
    assert text.limit_ns(hours) == 7200e9
    assert text.limit_text(Workload(task="training")) == "no time budget"
    assert text.limit_ns(Workload(task="training")) is None


def test_plural() -> None:
    assert text.plural(1, "board") == "1 board"
    assert text.plural(1200, "query", "queries") == "1,200 queries"


@pytest.mark.parametrize(
    ("unix_ns", "said"),
    [
        (1_700_000_000_999_999_999, "2023-11-14 22:13:20 UTC"),
        (0, "1970-01-01 00:00:00 UTC"),
        (2**63 - 1, "2262-04-11 23:47:16 UTC"),
        (10**30, "unknown"),
    ],
)
def test_utc(unix_ns: int, said: str) -> None:
    assert text.utc_text(unix_ns) == said
