"""Searches over runs; what is measured is simulated, with fixed seeds."""

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_onnx
import pytest
from made_advice import measurement

from edge.adapters.data import data_folder
from edge.device.probe import ProbeOptions, model_ref, probe
from edge.device.searching import (
    batch_curve,
    highest_load,
    measure_batched,
    offline_scenario,
)
from edge.errors import RuntimeFailure, UsageError
from edge.reasoning.stats import quantile
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import Measurement, SessionConfig
from edge.records.scenario import Scenario
from edge.records.search import BatchCurve, LoadSearch

MS = 1_000_000
DIGITS = data_folder("models") / "digits-cnn" / "digits-cnn-fp32.onnx"


def served(scenario: Scenario, queries: int, chance: random.Random, spread: float) -> list[int]:
    """Return the latencies of a queue with one server: 10 ms a query, a log-normal spread."""
    arrived, free, found = 0.0, 0.0, []
    for _ in range(queries):
        service = 10 * MS * chance.lognormvariate(0, spread)
        if scenario.target_qps is None:
            found.append(int(service))
            continue
        arrived += chance.expovariate(scenario.target_qps) * 1e9
        free = max(arrived, free) + service
        found.append(int(free - arrived))
    return found


class Queue:
    """Measures scenarios on the simulated queue, and keeps what it was asked."""

    def __init__(self, queries: int = 3000, spread: float = 0.1, **changes: Any) -> None:
        self.queries, self.spread, self.changes = queries, spread, changes
        self.asked: list[Scenario] = []

    def __call__(self, scenario: Scenario) -> Measurement:
        self.asked.append(scenario)
        chance = random.Random(scenario.seed * 1000 + len(self.asked))
        latencies = tuple(served(scenario, self.queries, chance, self.spread))
        return dataclasses.replace(
            measurement(),
            scenario=scenario,
            latencies_ns=latencies,
            duration_ns=max(1, sum(latencies)),
            **self.changes,
        )


def true_p99(qps: float, spread: float) -> int:
    scenario = Scenario("server", target_qps=qps)
    return quantile(served(scenario, 200_000, random.Random(99), spread), 99)


@pytest.mark.parametrize("spread", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("limit_ms", [30, 60, 200])
def test_the_load_that_is_found_keeps_the_limit(limit_ms: int, spread: float) -> None:
    queue = Queue(spread=spread)
    found = highest_load(queue, limit_ms * MS)
    assert found.ended in (
        "the bracket is within 5 %",
        "it keeps the limit at all that a queue of such queries can carry",
    )
    low = found.highest_met_qps
    assert low is not None
    # What a run of some thousand queries can tell.
    assert true_p99(low, spread) <= limit_ms * MS * 1.1
    assert found.lowest_not_met_qps is None or low < found.lowest_not_met_qps <= low * 1.05
    # Not far below what the queue really carries, either.
    assert true_p99(min(low * 1.25, 99), spread) > limit_ms * MS or low > 80
    assert queue.asked[0] == Scenario()
    seeds = [s.seed for s in queue.asked[1:]]
    assert seeds == list(range(len(seeds)))
    assert {s.limit_ns for s in queue.asked[1:]} == {limit_ms * MS}
    assert sum(r.target_qps == low for r in found.runs) >= 2


def test_a_search_is_written_and_read_back() -> None:
    told: list[str] = []
    found = highest_load(Queue(300, flaws=("it was hot",)), 60 * MS, progress=told.append)
    assert found.flaws == ("it was hot",)
    assert from_dict(LoadSearch, json.loads(json.dumps(to_dict(found)))) == found
    assert told[0] == "single queries"
    assert told[1].startswith("run 1: ")
    assert len(told) == 1 + len(found.runs)


def test_a_limit_below_a_single_query_is_met_by_no_load() -> None:
    queue = Queue()
    found = highest_load(queue, 8 * MS)
    assert found.highest_met_qps is None
    assert found.runs == ()
    assert found.ended == "single queries, without any load, are over the limit already"
    assert len(queue.asked) == 1


def test_a_limit_that_only_an_idle_machine_keeps_is_met_by_no_load() -> None:
    # 2 % of the single queries are over 12.3 ms: too few to say so, too many for a p99.
    found = highest_load(Queue(400), int(12.3 * MS))
    assert found.highest_met_qps is None
    assert found.ended.startswith("no load keeps the limit, down to ")


def test_a_load_under_which_the_runtime_fails_is_not_met() -> None:
    queue = Queue()

    def measure(scenario: Scenario) -> Measurement:
        if (scenario.target_qps or 0) > 40:
            raise RuntimeFailure("the child died of SIGKILL")
        return queue(scenario)

    found = highest_load(measure, 60 * MS)
    assert found.highest_met_qps is not None
    assert 40 / 1.05 <= found.highest_met_qps <= 40
    assert {r.failure for r in found.runs} == {None, "the child died of SIGKILL"}
    assert found.unlike == ()


# ---------------------------------------------------------------- batches


def offline(
    rate: Callable[[int], float], memory: Callable[[int], int | None] = lambda b: b << 20
) -> Callable[[Scenario], Measurement]:
    """Return a measure whose batches reach rate(batch) samples/s and take memory(batch)."""

    def measure(scenario: Scenario) -> Measurement:
        assert scenario.kind == "offline"
        batch = scenario.samples_per_query
        assert scenario.batched == (batch > 1)
        batch_ns = int(batch / rate(batch) * 1e9)
        return dataclasses.replace(
            measurement(),
            scenario=scenario,
            latencies_ns=(batch_ns,) * 10,
            duration_ns=batch_ns * 10,
            peak_memory_bytes=memory(batch),
        )

    return measure


def test_the_smallest_batch_near_the_best_is_chosen() -> None:
    told: list[str] = []
    curve = batch_curve(offline(lambda b: 100 * min(b, 8) + min(b, 32) / 8), progress=told.append)
    assert [p.samples for p in curve.points] == [1, 2, 4, 8, 16, 32]
    assert curve.chosen == 8
    assert curve.ended == "the throughput no longer grows by 3 %"
    assert told == [f"batch {b}" for b in (1, 2, 4, 8, 16, 32)]
    assert offline_scenario(curve) == Scenario("offline", 8, batched=True)
    assert from_dict(BatchCurve, json.loads(json.dumps(to_dict(curve)))) == curve


def test_one_step_without_growth_is_no_end() -> None:
    rates = {1: 100.0, 2: 101.0, 4: 150.0, 8: 151.0, 16: 149.0}
    curve = batch_curve(offline(rates.__getitem__))
    assert [p.samples for p in curve.points] == [1, 2, 4, 8, 16]
    assert curve.chosen == 4


def test_memory_ends_it_before_it_would_go_over() -> None:
    curve = batch_curve(offline(float, lambda b: (100 + 10 * b) << 20), most_bytes=250 << 20)
    # 180 MiB at 8, of which 40 came with the last doubling: 16 would take 260.
    assert [p.samples for p in curve.points] == [1, 2, 4, 8]
    assert curve.ended == "a batch of 16 would need more memory than there is"
    assert curve.chosen == 8


def test_a_batch_that_took_too_much_is_not_chosen() -> None:
    memory = {1: 100, 2: 110, 4: 300}
    curve = batch_curve(offline(float, lambda b: memory[b] << 20), most_bytes=200 << 20)
    assert [p.samples for p in curve.points] == [1, 2, 4]
    assert curve.chosen == 2
    assert curve.ended == "a batch of 8 would need more memory than there is"


def test_unknown_memory_ends_nothing() -> None:
    curve = batch_curve(offline(float, lambda b: None), most_batch=64, most_bytes=1)
    assert curve.points[-1].samples == 64
    assert curve.ended == "a batch of 64 is the largest asked for"


def test_a_batch_that_fails_stays_as_a_finding() -> None:
    inner = offline(float)

    def measure(scenario: Scenario) -> Measurement:
        if scenario.samples_per_query == 4:
            raise RuntimeFailure("out of memory", where="net.onnx")
        return inner(scenario)

    curve = batch_curve(measure)
    assert [p.failure for p in curve.points] == [None, None, "net.onnx: out of memory"]
    assert curve.chosen == 2
    assert curve.ended == "a batch of 4 failed"


def test_a_model_of_a_fixed_batch_has_a_curve_of_one() -> None:
    inner = offline(float)

    def measure(scenario: Scenario) -> Measurement:
        if scenario.batched:
            raise UsageError("the batch of input x is fixed at 1")
        return inner(scenario)

    curve = batch_curve(measure)
    assert [p.samples for p in curve.points] == [1]
    assert not curve.batchable
    assert curve.ended == "the model takes no batch: the batch of input x is fixed at 1"
    assert offline_scenario(curve) == Scenario("offline", 1, batched=False)


def test_nothing_measured_has_no_offline_run() -> None:
    def measure(scenario: Scenario) -> Measurement:
        raise RuntimeFailure("the child died of SIGILL")

    curve = batch_curve(measure)
    assert curve.chosen is None
    with pytest.raises(RuntimeFailure, match="no batch can be run offline: a batch of 1 failed"):
        offline_scenario(curve)


def test_wrong_options_are_no_finding() -> None:
    def measure(scenario: Scenario) -> Measurement:
        raise UsageError("no such input")

    with pytest.raises(UsageError, match="no such input"):
        batch_curve(measure)


@pytest.mark.parametrize("batchable", [True, False])
def test_samples_of_a_query_are_one_batch_where_the_model_takes_one(*, batchable: bool) -> None:
    asked = []

    def measure(scenario: Scenario) -> Measurement:
        asked.append(scenario)
        if scenario.batched and not batchable:
            raise UsageError("fixed batch")
        return dataclasses.replace(measurement(), scenario=scenario)

    many = Scenario("multi-stream", 8)
    assert measure_batched(measure, many).scenario.batched == batchable
    assert asked[0] == dataclasses.replace(many, batched=True)
    asked.clear()
    assert measure_batched(measure, Scenario()).scenario == Scenario()
    assert asked == [Scenario()]


# ---------------------------------------------------------------- a real runtime


def real(path: Path) -> Callable[[Scenario], Measurement]:
    model = model_ref(str(path), path.name, "onnx")
    options = ProbeOptions(min_s=0, max_s=2, min_queries=64, warmup_queries=2)

    def measure(scenario: Scenario) -> Measurement:
        config = SessionConfig("onnxruntime", 1)
        return probe(str(path), config, options, model=model, scenario=scenario)

    return measure


def test_batches_of_a_real_model(tmp_path: Path) -> None:
    path = tmp_path / "free.onnx"
    proto = made_onnx.model([made_onnx.node("Relu", ["x"])], [made_onnx.value("x", ("n", 16))])
    path.write_bytes(proto.SerializeToString())
    curve = batch_curve(real(path), most_batch=4)
    assert [p.samples for p in curve.points][:3] == [1, 2, 4]
    assert curve.batchable
    assert curve.chosen in (1, 2, 4)
    assert all(p.throughput is not None and p.peak_memory_bytes for p in curve.points)
    found = real(path)(offline_scenario(curve))
    assert found.scenario.samples_per_query == curve.chosen


def test_a_real_model_of_a_fixed_batch() -> None:
    curve = batch_curve(real(DIGITS))
    assert [p.samples for p in curve.points] == [1]
    assert curve.ended == (
        "the model takes no batch: input input float32 1x1x8x8 has a fixed batch"
    )


def test_a_real_model_keeps_a_generous_limit_at_some_load() -> None:
    measure, asked = real(DIGITS), []

    def counted(scenario: Scenario) -> Measurement:
        asked.append(scenario)
        return measure(scenario)

    found = highest_load(counted, 10**10, percentile=90)
    assert found.highest_met_qps is not None
    assert {s.kind for s in asked[1:]} == {"server"}
    assert [r.target_qps for r in found.runs] == [s.target_qps for s in asked[1:]]
    assert all(r.count >= 64 and r.over == 0 for r in found.runs)
