"""Is B slower than A: what is compared with what, and when it is decided."""

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_advice import host, measurement

from edge.reasoning.comparing import Samples, find, floor_ns, least_samples, samples_of
from edge.reasoning.unlike import unlike
from edge.records.host import HostState
from edge.records.measurement import Measurement, SessionConfig
from edge.records.scenario import Scenario

MS = 1_000_000


def blocks(a: list[float], b: list[float], unit: int = 10) -> Samples:
    return Samples(test="rank-sum of blocks", a_ns=tuple(a), b_ns=tuple(b), unit=unit)


def rounds(a: list[float], b: list[float]) -> Samples:
    return Samples(test="signed-rank of rounds", a_ns=tuple(a), b_ns=tuple(b), unit=1)


def of_rounds(*each: tuple[int, ...]) -> Measurement:
    latencies = tuple(ns for one in each for ns in one)
    return measurement(latencies_ns=latencies, rounds=tuple(len(one) for one in each))


def noisy(level: float, count: int, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [level * (1 + chance.gauss(0, 0.01)) for _ in range(count)]


def test_rounds_are_pairs() -> None:
    a, b = of_rounds((1, 2, 3), (4, 5, 6, 7)), of_rounds((2, 2), (9, 9))
    assert samples_of(a, b, 50) == rounds([2.0, 5.0], [2.0, 9.0])


def test_unlike_numbers_of_rounds_are_two_samples() -> None:
    a, b = of_rounds((1,), (2,), (3,)), of_rounds((2,), (9,))
    assert samples_of(a, b, 50).test == "rank-sum of rounds"


def test_a_round_without_queries_is_none() -> None:
    a = of_rounds((1,), (), (3,))
    assert samples_of(a, of_rounds((1,), (2,)), 50) == rounds([1.0, 3.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("queries", "percentile", "unit", "count"),
    [(1000, 50, 50, 20), (100, 50, 10, 10), (662, 99, 100, 6), (64, 90, 10, 6), (9, 50, 10, 0)],
)
def test_one_process_is_cut_into_blocks(
    queries: int, percentile: float, unit: int, count: int
) -> None:
    found = samples_of(measurement(queries=queries), measurement(queries=queries), percentile)
    assert (found.test, found.unit) == ("rank-sum of blocks", unit)
    assert (len(found.a_ns), len(found.b_ns)) == (count, count)


def test_the_blocks_of_a_long_process_lie_evenly_and_are_as_long() -> None:
    long = measurement(latencies_ns=tuple(range(1, 10_001)))
    found = samples_of(measurement(queries=200), long, 50)
    assert found.unit == 10
    assert found.b_ns == tuple(500.0 * i + 5 for i in range(20))


def test_one_with_rounds_and_one_without_are_cut_into_blocks() -> None:
    with_rounds = measurement(queries=700, rounds=(350, 350))
    assert samples_of(with_rounds, measurement(), 50).test == "rank-sum of blocks"


@pytest.mark.parametrize("make", [blocks, rounds])
@pytest.mark.parametrize(
    ("level", "answer"),
    [(12 * MS, "slower"), (8 * MS, "faster"), (10 * MS, "same"), (10.2 * MS, "same")],
)
def test_a_clear_case_is_decided(make: Any, level: float, answer: str) -> None:
    found = find(make(noisy(10 * MS, 20, 1), noisy(level, 20, 2)), 0.5 * MS, 0.95)
    assert (found.answer, found.more) == (answer, None)


def test_a_significant_change_below_the_floor_is_the_same() -> None:
    a = [1000.0 + i for i in range(20)]
    found = find(blocks(a, [x + 500 for x in a]), 5000.0, 0.95)
    assert found.p_value is not None
    assert found.p_value < 0.001
    assert (found.answer, found.shift_ns) == ("same", 500.0)


def test_a_large_change_that_is_not_significant_is_undecided() -> None:
    found = find(rounds([10.0, 10, 10, 10, 10, 10], [20.0, 5, 19, 4, 20, 18]), 1.0, 0.95)
    assert found.answer == "undecided"
    # The estimate is 2.5, the interval from -6 to 10: (8.5 / 2.5)² times six rounds, less six.
    assert (found.more, found.more_of) == (64, "rounds")


def test_too_few_say_how_many_more() -> None:
    few = find(rounds([1.0] * 4, [2.0] * 4), 0.1, 0.95)
    assert (few.answer, few.shift_ns, few.interval) == ("undecided", 1.0, None)
    assert (few.more, few.more_of) == (2, "rounds")
    none = find(blocks([], [], unit=50), 0.1, 0.95)
    assert (none.answer, none.shift_ns, none.more) == ("undecided", None, 200)


def test_a_difference_at_the_threshold_asks_for_no_endless_data() -> None:
    a = noisy(10 * MS, 20, 3)
    threshold = find(blocks(a, [x * 1.05 for x in a]), 0.0, 0.95).shift_ns
    assert threshold is not None
    found = find(blocks(a, [x * 1.05 for x in a]), threshold, 0.95)
    assert (found.answer, found.more) == ("undecided", None)


@pytest.mark.parametrize(
    ("test", "confidence", "least"),
    [
        ("signed-rank of rounds", 0.95, 6),
        ("rank-sum of blocks", 0.95, 4),
        ("rank-sum of rounds", 0.99, 5),
    ],
)
def test_least_samples(test: Any, confidence: float, least: int) -> None:
    assert least_samples(test, confidence) == least
    same = tuple(float(i) for i in range(least))
    enough = Samples(test=test, a_ns=same, b_ns=same, unit=1)
    fewer = Samples(test=test, a_ns=same[1:], b_ns=same[1:], unit=1)
    assert find(enough, 1.0, confidence).interval is not None
    assert find(fewer, 1.0, confidence).interval is None


_TURNED = {"slower": "faster", "faster": "slower", "same": "same", "undecided": "undecided"}
_LEVELS = st.lists(st.integers(900, 1100).map(float), max_size=25)


@given(_LEVELS, _LEVELS, st.sampled_from([0.0, 10.0, 50.0]))
def test_a_swap_turns_the_answer_round(a: list[float], b: list[float], threshold: float) -> None:
    there, back = (find(s, threshold, 0.95) for s in (blocks(a, b), blocks(b, a)))
    assert back.answer == _TURNED[there.answer]
    assert back.more == there.more


def test_correlated_latencies_of_equal_models_are_rarely_called_slower() -> None:
    """Each process wanders; a test on single latencies would call most of these unlike."""
    wrong = 0
    for seed in range(100):
        chance, made = random.Random(seed), []
        for _ in range(2):
            level, latencies = 0.0, []
            for _ in range(2000):
                level = 0.9 * level + chance.gauss(0, 1)
                latencies.append(int(1e6 + 1e4 * level))
            made.append(measurement(latencies_ns=tuple(latencies)))
        answer = find(samples_of(made[0], made[1], 50), 0.0, 0.95).answer
        wrong += answer in ("slower", "faster")
    # 5 expected; blocks of 100 queries keep a little of the correlation.
    assert wrong <= 15


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0])
def test_no_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="a confidence lies between 0 and 1"):
        find(blocks([], []), 1.0, confidence)


@pytest.mark.parametrize(
    ("first", "second", "floor"),
    [(None, None, 5000.0), (100, 1000, 5000.0), (2000, 100, 6000.0)],
)
def test_the_floor_follows_the_loop(first: int | None, second: int | None, floor: float) -> None:
    a, b = (measurement(loop_overhead_ns=ns) for ns in (first, second))
    assert floor_ns(a, b) == floor


_RUNTIME = measurement().runtime


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"provenance": "emulated"}, ("provenance", "measured", "emulated", True)),
        ({"host": host(cpu_model="Cortex-A76")}, ("CPU model", "Cortex-A72", "Cortex-A76", True)),
        ({"host": host(board="Pi")}, ("board", "unknown", "Pi", True)),
        (
            {"host": host(cpu_features=("asimd", "a", "b", "c", "d", "e", "f"))},
            ("CPU features", "none beside those of both", "a b c d e and 1 more", True),
        ),
        (
            {"host": host(clock_most_hz=1_800_000_000)},
            ("highest clock", "unknown", "1.8 GHz", True),
        ),
        ({"host": host(boost=True)}, ("boost", "unknown", "yes", True)),
        (
            {"before": HostState(None, "powersave", None, None, None)},
            ("governor", "unknown", "powersave", True),
        ),
        (
            {"scenario": Scenario("server", target_qps=20)},
            ("scenario", "single-stream", "server at 20 queries/s", True),
        ),
        ({"host": host(memory_bytes=8 << 30)}, ("memory", "4 GiB", "8 GiB", False)),
        (
            {"runtime": dataclasses.replace(_RUNTIME, version="1.33.0")},
            ("runtime", "onnxruntime 1.32.0", "onnxruntime 1.33.0", False),
        ),
        (
            {"runtime": dataclasses.replace(_RUNTIME, threads=2)},
            ("threads", "4", "2", False),
        ),
        (
            {"config": SessionConfig("onnxruntime", 4, prepared=True)},
            ("prepared", "no", "yes", False),
        ),
        ({"edgekit_version": "0.2.0"}, ("edgekit", "0.1.0", "0.2.0", False)),
        (
            {"model": dataclasses.replace(measurement().model, sha256="ef" * 32)},
            ("model", "model.onnx cdcdcdcdcdcd", "model.onnx efefefefefef", False),
        ),
    ],
)
def test_what_is_unlike_is_named(changes: Any, line: tuple[str, str, str, bool]) -> None:
    found = unlike(measurement(), measurement(**changes))
    assert [(u.what, u.a, u.b, u.decides) for u in found] == [line]


def test_a_little_less_memory_is_the_same_machine() -> None:
    assert unlike(measurement(), measurement(host=host(memory_bytes=(4 << 30) - 1000))) == ()
