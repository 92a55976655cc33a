import gc
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.adapters.data import data_folder
from edge.backends import backend_names, load_backend
from edge.device import worker
from edge.device.feeds import read_arrays
from edge.device.parent import Limits, run_child
from edge.errors import RuntimeFailure, UsageError

DIGITS = data_folder("models") / "digits-cnn"
LIMITS = Limits(wall_s=60)


def request(backend: str, **more: Any) -> dict[str, Any]:
    model = DIGITS / f"digits-cnn-fp32.{load_backend(backend).format}"
    config = {"backend": backend, "threads": 1}
    return {"model": str(model), "config": config, "shapes": {}, **more}


def child(task: str, request_: dict[str, Any]) -> Any:
    return run_child(f"edge.device.worker:{task}", request_, limits=LIMITS, what="digits")


class Clock:
    """Counts its reads; each inference takes the next of `durations`, a read takes nothing."""

    def __init__(self, durations: list[int]) -> None:
        self.now, self.reads, self.log = 1000, 0, list[str]()
        self._durations = iter(durations)

    def perf_counter_ns(self) -> int:
        self.reads += 1
        self.log.append("clock")
        return self.now

    def run(self) -> None:
        self.log.append("run")
        self.now += next(self._durations)


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[int]], Clock]:
    def make(durations: list[int]) -> Clock:
        clock = Clock(durations)
        monkeypatch.setattr(worker, "time", SimpleNamespace(perf_counter_ns=clock.perf_counter_ns))
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
    latencies = worker._timing_loop(clock.run, min_queries, min_ns, max_ns)
    assert latencies.tolist() == expected


def test_between_two_clock_reads_stands_the_inference_alone(
    clocked: Callable[[list[int]], Clock],
) -> None:
    clock = clocked([10] * 20)
    worker._timing_loop(
        clock.run, 0, 200, 1000, lambda fraction: clock.log.append(f"{fraction:.0%}")
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
    worker._timing_loop(clock.run, min_queries, min_ns, max_ns, told.append)
    assert told == pytest.approx(expected)


def test_progress_is_told_a_hundred_times_at_most(
    clocked: Callable[[list[int]], Clock],
) -> None:
    clock = clocked([1] * 10_000)
    told: list[float] = []
    worker._timing_loop(clock.run, 10**6, 1, 10_000, told.append)
    assert len(told) == 100


def test_no_garbage_is_collected_meanwhile() -> None:
    seen: list[bool] = []
    limits = {"warmup_queries": 1, "min_queries": 2, "min_ns": 0, "max_ns": 10**9}
    worker._time_queries(lambda: seen.append(gc.isenabled()), limits)
    assert seen == [False] * 3
    assert gc.isenabled()


def test_warming_up_takes_a_tenth_of_the_time(clocked: Callable[[list[int]], Clock]) -> None:
    clock = clocked([10] * 1000)
    limits = {"warmup_queries": 2, "min_queries": 1, "min_ns": 1000, "max_ns": 2000}
    warmup, _, latencies = worker._time_queries(clock.run, limits)
    assert (len(warmup), len(latencies)) == (10, 100)
    clock = clocked([500] * 100)
    warmup, _, latencies = worker._time_queries(clock.run, {**limits, "warmup_queries": 9})
    assert (len(warmup), len(latencies)) == (1, 2)


@pytest.mark.parametrize("backend", backend_names())
def test_measure_times_every_part(backend: str) -> None:
    limits = {"warmup_queries": 3, "min_queries": 20, "min_ns": 0, "max_ns": 10**10}
    answer = child("measure", request(backend, seed=1, **limits))
    assert sorted(answer) == [
        "first_inference_ns",
        "import_ns",
        "latencies_ns",
        "load_ns",
        "memory_before_load_bytes",
        "peak_memory_bytes",
        "runtime",
        "started_unix_ns",
        "warmup_ns",
    ]
    assert (len(answer["warmup_ns"]), len(answer["latencies_ns"])) == (3, 20)
    assert min(answer["latencies_ns"]) > 0
    assert min(answer["import_ns"], answer["load_ns"], answer["first_inference_ns"]) > 0
    assert answer["peak_memory_bytes"] > answer["memory_before_load_bytes"] > 1 << 20
    assert answer["runtime"]["threads"] == 1


@pytest.mark.parametrize("backend", backend_names())
def test_samples_give_the_same_outputs_when_they_are_run(backend: str, tmp_path: Path) -> None:
    made, got = tmp_path / "made.npz", tmp_path / "got.npz"
    answer = child("make_samples", request(backend, count=4, seed=7, out=str(made)))
    again = child("infer", request(backend, inputs=str(made), outputs=str(got)))
    assert answer == again
    assert answer["count"] == 4
    (input_,), (output,) = answer["inputs"], answer["outputs"]
    assert (input_["dtype"], input_["shape"]) == ("float32", [1, 1, 8, 8])
    assert (output["dtype"], output["shape"]) == ("float32", [1, 10])
    samples = read_arrays(str(made))
    with np.load(got) as outputs:
        assert samples[f"input.{input_['name']}"].shape == (4, 1, 1, 8, 8)
        expected = samples[f"output.{output['name']}"]
        assert expected.shape == (4, 1, 10)
        assert len(np.unique(expected)) > 4
        assert list(outputs) == [f"output.{output['name']}"]
        assert np.array_equal(outputs[f"output.{output['name']}"], expected)


def test_samples_have_the_same_bytes_each_time(tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        path = tmp_path / f"{number}.npz"
        child("make_samples", request("onnxruntime", count=2, seed=7, out=str(path)))
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_samples_of_the_users_own_inputs(tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    inputs = str(DIGITS / "samples.npz")
    answer = child("make_samples", request("onnxruntime", count=5, inputs=inputs, out=str(path)))
    assert answer["count"] == 5
    with np.load(path) as samples, np.load(inputs) as users:
        assert np.array_equal(samples["input.input"][:, 0], users["images"][:5])
        assert (samples["output.logits"].argmax(-1)[:, 0] == users["labels"][:5]).sum() >= 4


def test_a_backend_that_does_not_exist_is_told(tmp_path: Path) -> None:
    wrong = {**request("onnxruntime"), "config": {"backend": "tensorrt", "threads": 1}}
    with pytest.raises(UsageError, match=r"^tensorrt: no such backend$"):
        child("make_samples", {**wrong, "count": 1, "out": str(tmp_path / "x.npz")})


def test_outputs_that_change_their_shape_are_no_samples(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.INT64, (4,))],
        [helper.make_tensor_value_info("y", TensorProto.INT64, (1, "found"))],
    )
    path = tmp_path / "nonzero.onnx"
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    wanted = {**request("onnxruntime"), "model": str(path), "out": str(tmp_path / "x.npz")}
    np.savez(tmp_path / "in.npz", x=np.array([[0, 1, 0, 0], [1, 1, 1, 0]]))
    with pytest.raises(RuntimeFailure) as caught:
        child("make_samples", {**wanted, "inputs": str(tmp_path / "in.npz"), "count": 2})
    what = "output y int64 1xfound changes its shape from sample to sample"
    assert (str(caught.value), caught.value.hint) == (f"digits: {what}", "use one sample")
    answer = child("make_samples", {**wanted, "inputs": str(tmp_path / "in.npz"), "count": 1})
    assert json.dumps(answer["outputs"]) == '[{"name": "y", "dtype": "int64", "shape": [1, 1]}]'
