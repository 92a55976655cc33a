import gc
import hashlib
import json
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.adapters.data import data_folder
from edge.backends import backend_names, load_backend
from edge.device import worker
from edge.device.feeds import read_arrays
from edge.device.parent import Limits as ChildLimits
from edge.device.parent import run_child
from edge.device.timing import Limits, Timed
from edge.errors import RuntimeFailure, UsageError
from edge.records.codec import to_dict
from edge.records.scenario import ONE_BY_ONE, Scenario
from edge.records.tensor import TensorSpec

DIGITS = data_folder("models") / "digits-cnn"
LIMITS = ChildLimits(wall_s=60)


def request(backend: str, **more: Any) -> dict[str, Any]:
    model = DIGITS / f"digits-cnn-fp32.{load_backend(backend).format}"
    config = {"backend": backend, "threads": 1}
    return {"model": str(model), "config": config, "shapes": {}, **more}


def child(task: str, request_: dict[str, Any]) -> Any:
    return run_child(f"edge.device.worker:{task}", request_, limits=LIMITS, what="digits")


def test_no_garbage_is_collected_meanwhile() -> None:
    limits = {"warmup_queries": 1, "min_queries": 2, "min_ns": 0, "max_ns": 10**9}
    for scenario in (ONE_BY_ONE, Scenario("server", target_qps=1e5)):
        seen: list[bool] = []
        worker._time_queries(lambda seen=seen: seen.append(gc.isenabled()), scenario, limits)
        assert seen == [False] * 3
        assert gc.isenabled()


def test_warming_up_takes_a_tenth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Limits] = []

    def loop(_run: object, limits: Limits, *_progress: object) -> Timed:
        asked.append(limits)
        return Timed(array("q"), 0)

    monkeypatch.setattr(worker, "closed_loop", loop)
    limits = {"warmup_queries": 2, "min_queries": 1, "min_ns": 1000, "max_ns": 2000}
    worker._time_queries(lambda: None, ONE_BY_ONE, limits)
    assert asked == [Limits(2, 100, 200), Limits(1, 1000, 2000)]


@pytest.mark.parametrize("backend", backend_names())
def test_measure_times_every_part(backend: str) -> None:
    limits = {"warmup_queries": 3, "min_queries": 20, "min_ns": 0, "max_ns": 10**10}
    answer = child("measure", request(backend, seed=1, **limits))
    assert sorted(answer) == [
        "batchable",
        "duration_ns",
        "first_inference_ns",
        "import_ns",
        "latencies_ns",
        "load_ns",
        "loop_overhead_ns",
        "memory_before_load_bytes",
        "peak_memory_bytes",
        "runtime",
        "started_unix_ns",
        "timed_unix_ns",
        "warmup_ns",
    ]
    assert (len(answer["warmup_ns"]), len(answer["latencies_ns"])) == (3, 20)
    assert min(answer["latencies_ns"]) > 0
    assert sum(answer["latencies_ns"]) <= answer["duration_ns"]
    assert answer["loop_overhead_ns"] > 0
    assert answer["batchable"] is False
    assert min(answer["import_ns"], answer["load_ns"], answer["first_inference_ns"]) > 0
    assert answer["peak_memory_bytes"] > answer["memory_before_load_bytes"] > 1 << 20
    assert answer["runtime"]["threads"] == 1


SHORT = {"warmup_queries": 1, "min_queries": 20, "min_ns": 0, "max_ns": 10**10}


def measured(backend: str, scenario: Scenario, **more: Any) -> Any:
    return child("measure", request(backend, scenario=to_dict(scenario), **SHORT, **more))


@pytest.mark.parametrize("backend", backend_names())
@pytest.mark.parametrize("kind", ["multi-stream", "offline"])
def test_a_query_of_several_samples_takes_an_inference_of_each(backend: str, kind: str) -> None:
    answer = measured(backend, Scenario(kind, samples_per_query=64), seed=1)
    assert len(answer["latencies_ns"]) == 20
    one = measured(backend, ONE_BY_ONE, seed=1)
    # 64 inferences after another never take less than a few.
    assert sorted(answer["latencies_ns"])[10] > 4 * sorted(one["latencies_ns"])[10]
    assert "overloaded" not in answer


@pytest.mark.parametrize("backend", backend_names())
def test_a_server_is_asked_at_random(backend: str) -> None:
    answer = measured(backend, Scenario("server", target_qps=1000.0, seed=5), seed=1)
    assert len(answer["latencies_ns"]) == 20
    assert answer["overloaded"] is False
    # Twenty arrivals at 1000 a second, the same as those of this seed always are.
    arrivals = worker.arrivals_ns(1000.0, 5, Limits(20, 0, 10**10))
    assert answer["duration_ns"] == arrivals[-1] + answer["latencies_ns"][-1]


def test_a_server_that_cannot_follow_is_told() -> None:
    scenario = Scenario("server", target_qps=1e6)
    answer = child(
        "measure",
        request("onnxruntime", scenario=to_dict(scenario), **{**SHORT, "min_queries": 5000}),
    )
    assert answer["overloaded"] is True
    assert 64 <= len(answer["latencies_ns"]) < 5000


@pytest.mark.parametrize("backend", backend_names())
def test_a_model_with_a_fixed_batch_is_not_run_in_batches(backend: str) -> None:
    with pytest.raises(UsageError) as caught:
        measured(backend, Scenario("offline", samples_per_query=4, batched=True))
    name = {"tflite": "serving_default_input"}.get(backend, "input")
    assert str(caught.value) == f"digits: input {name} float32 1x1x8x8 has a fixed batch"
    hint = "export the model with a free first dimension, or measure without batches"
    assert caught.value.hint == hint


@pytest.fixture
def free_batch(tmp_path: Path) -> Path:
    """x and y (N, 3) to their sum, and the number of samples in it."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "y"], ["sum"]), helper.make_node("Shape", ["x"], ["size"])],
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 3)) for name in "xy"],
        [
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, ("N", 3)),
            helper.make_tensor_value_info("size", TensorProto.INT64, (2,)),
        ],
    )
    path = tmp_path / "free.onnx"
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def test_a_model_with_a_free_batch_is(free_batch: Path) -> None:
    scenario = Scenario("multi-stream", samples_per_query=3, batched=True)
    answer = measured("onnxruntime", scenario, model=str(free_batch))
    assert answer["batchable"] is True
    assert len(answer["latencies_ns"]) == 20


class Recorder:
    """A session that keeps what it is given to bind."""

    inputs = (TensorSpec("x", "float32", ("N", 3)),)
    outputs = ()

    def __init__(self) -> None:
        self.bound: list[Any] = []

    def run(self, feeds: Any) -> Any:
        raise NotImplementedError

    def bind(self, feeds: Any) -> Any:
        self.bound.append({name: array.tolist() for name, array in feeds.items()})
        return len

    def bind_each(self, samples: Any) -> Any:
        return [self.bind(feeds) for feeds in samples]

    def runtime(self) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (ONE_BY_ONE, [[[0, 0, 0]]]),
        (Scenario("offline", 2), [[[0, 0, 0]], [[1, 1, 1]]]),
        # There are two, so the third is the first again.
        (Scenario("offline", 3), [[[0, 0, 0]], [[1, 1, 1]], [[0, 0, 0]]]),
        (Scenario("offline", 3, batched=True), [[[0, 0, 0], [1, 1, 1], [0, 0, 0]]]),
        (Scenario("server", target_qps=1.0), [[[0, 0, 0]]]),
    ],
)
def test_the_samples_are_taken_in_turn(
    scenario: Scenario, expected: list[Any], tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", x=np.array([[[0.0] * 3], [[1.0] * 3]], "float32"))
    recorder = Recorder()
    worker._query(recorder, scenario, {"inputs": str(tmp_path / "in.npz")})
    assert recorder.bound == [{"x": sample} for sample in expected]


def test_made_samples_differ_from_each_other() -> None:
    recorder = Recorder()
    worker._query(recorder, Scenario("multi-stream", 3), {"seed": 4})
    assert len({str(feeds) for feeds in recorder.bound}) == 3


def test_a_fork_tells_how_long_its_parent_imported() -> None:
    answer = measured("onnxruntime", ONE_BY_ONE, imported_ns=1234567)
    assert answer["import_ns"] == 1234567


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
