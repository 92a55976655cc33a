import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import edge.backends.onnxruntime as module
from edge.backends import load_backend
from edge.backends.protocol import Session
from edge.device.parent import Limits, run_child
from edge.errors import RuntimeFailure, UsageError
from edge.records.measurement import GRAPH_LEVELS, SessionConfig
from edge.records.tensor import TensorSpec

BACKEND = load_backend("onnxruntime")
CONFIG = SessionConfig("onnxruntime", 1)


def tensor(name: str, kind: int, shape: tuple[int | str | None, ...]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> str:
    graph = helper.make_graph(nodes, "graph", inputs, outputs)
    opset = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 2)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return str(path)


@pytest.fixture
def dynamic(tmp_path: Path) -> Session:
    """x (N, ?, 3) and a scalar, to x + scalar of x's shape."""
    path = save(
        tmp_path / "dynamic.onnx",
        [helper.make_node("Add", ["x", "scalar"], ["y"])],
        [tensor("x", TensorProto.INT64, ("N", None, 3)), tensor("scalar", TensorProto.INT64, ())],
        [tensor("y", TensorProto.INT64, ("N", None, 3))],
    )
    return BACKEND.open(path, CONFIG)


def test_free_dimensions_are_told_as_they_are(dynamic: Session) -> None:
    assert dynamic.inputs == (
        TensorSpec("x", "int64", ("N", None, 3)),
        TensorSpec("scalar", "int64", ()),
    )
    assert dynamic.outputs == (TensorSpec("y", "int64", ("N", None, 3)),)


def test_outputs_of_unknown_shape_can_be_bound(dynamic: Session) -> None:
    feeds = {"x": np.ones((2, 5, 3), "int64"), "scalar": np.array(4)}
    run = dynamic.bind(feeds)
    run()
    run()
    assert np.array_equal(dynamic.run(feeds)[0], np.full((2, 5, 3), 5))


def test_a_bound_inference_writes_to_memory_of_ours(tmp_path: Path) -> None:
    path = save(
        tmp_path / "static.onnx",
        [helper.make_node("Neg", ["x"], ["y"])],
        [tensor("x", TensorProto.FLOAT, (2, 2))],
        [tensor("y", TensorProto.FLOAT, (2, 2))],
    )
    session = BACKEND.open(path, CONFIG)
    run: Any = session.bind({"x": np.ones((2, 2), "float32")})
    run()
    (binding,) = run.args
    assert np.array_equal(binding.copy_outputs_to_cpu()[0], -np.ones((2, 2)))


def test_strings_as_input_are_refused(tmp_path: Path) -> None:
    path = save(
        tmp_path / "strings.onnx",
        [helper.make_node("Identity", ["words"], ["y"])],
        [tensor("words", TensorProto.STRING, (1,))],
        [tensor("y", TensorProto.STRING, (1,))],
    )
    with pytest.raises(RuntimeFailure, match=r"^input words: strings are not supported$"):
        BACKEND.open(path, CONFIG)


def test_strings_as_output_can_be_timed(tmp_path: Path) -> None:
    path = save(
        tmp_path / "labels.onnx",
        [
            helper.make_node(
                "LabelEncoder",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                keys_int64s=[0, 1],
                values_strings=["cat", "dog"],
            )
        ],
        [tensor("x", TensorProto.INT64, (2,))],
        [tensor("y", TensorProto.STRING, (2,))],
    )
    session = BACKEND.open(path, CONFIG)
    feeds = {"x": np.array([1, 0])}
    assert session.outputs[0].dtype == "str"
    run: Any = session.bind(feeds)
    assert run()[0].tolist() == ["dog", "cat"]


def test_a_map_as_output_is_refused_with_the_remedy(tmp_path: Path) -> None:
    kind = helper.make_sequence_type_proto(
        helper.make_map_type_proto(
            TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, ())
        )
    )
    path = save(
        tmp_path / "zipmap.onnx",
        [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
        [tensor("x", TensorProto.FLOAT, (1, 2))],
        [helper.make_value_info("y", kind)],
    )
    with pytest.raises(RuntimeFailure, match="output y: the type seq") as caught:
        BACKEND.open(path, CONFIG)
    assert caught.value.hint == "export the classifier without ZipMap"


def negation(tmp_path: Path) -> str:
    return save(
        tmp_path / "model.onnx",
        [helper.make_node("Neg", ["x"], ["y"])],
        [tensor("x", TensorProto.FLOAT, (1,))],
        [tensor("y", TensorProto.FLOAT, (1,))],
    )


def test_another_provider_than_asked_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    available = importlib.import_module("onnxruntime").get_available_providers()
    other = next(p for p in available if p != "CPUExecutionProvider")
    path = negation(tmp_path)
    # This is how ONNX Runtime falls back: it takes the CPU, and says so only when it is asked.
    monkeypatch.setattr(module, "_provider", lambda config: "CPUExecutionProvider")
    session = module._session(path, module._options(CONFIG), CONFIG)
    with pytest.raises(RuntimeFailure, match=f"^it runs on CPUExecutionP.*, asked for {other}$"):
        module._check_provider(session, other)
    module._check_provider(session, "CPUExecutionProvider")


def test_a_provider_that_takes_no_operator_is_refused(tmp_path: Path) -> None:
    """Azure is in every wheel and registers itself; what is no remote call the CPU runs."""
    config = SessionConfig("onnxruntime", 1, provider="azure")
    with pytest.raises(RuntimeFailure) as caught:
        BACKEND.open(negation(tmp_path), config)
    what = "AzureExecutionProvider takes no operator of the model: it runs on CPUExecutionProvider"
    assert str(caught.value) == what


def test_a_provider_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^this ONNX Runtime has no provider CUDA$") as caught:
        BACKEND.open(negation(tmp_path), SessionConfig("onnxruntime", 1, provider="CUDA"))
    assert caught.value.hint == "it has cpu"


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"])
def test_a_provider_may_be_named_in_short(name: str, tmp_path: Path) -> None:
    session = BACKEND.open(negation(tmp_path), SessionConfig("onnxruntime", 1, provider=name))
    assert session.runtime().providers == ("CPUExecutionProvider",)


def test_graph_levels_are_those_of_the_runtime() -> None:
    levels = importlib.import_module("onnxruntime").GraphOptimizationLevel
    got = [
        module._options(SessionConfig("onnxruntime", 1, graph_level=level)).graph_optimization_level
        for level in (None, *GRAPH_LEVELS)
    ]
    assert got == [
        levels.ORT_ENABLE_ALL,
        levels.ORT_DISABLE_ALL,
        levels.ORT_ENABLE_BASIC,
        levels.ORT_ENABLE_EXTENDED,
        levels.ORT_ENABLE_ALL,
    ]


def test_each_sample_has_memory_of_its_own(dynamic: Session) -> None:
    samples = [{"x": np.full((1, 2, 3), n), "scalar": np.array(0)} for n in (1, 2, 3)]
    run: Any = dynamic.bind_each(samples)
    run()
    bindings = [one.args[0] for one in run.__closure__[0].cell_contents]
    got = [binding.copy_outputs_to_cpu()[0].tolist() for binding in bindings]
    assert got == [feeds["x"].tolist() for feeds in samples]


def test_a_failing_inference_is_told_without_the_runtimes_prefix(tmp_path: Path) -> None:
    path = save(
        tmp_path / "gather.onnx",
        [helper.make_node("Gather", ["x", "at"], ["y"])],
        [tensor("x", TensorProto.FLOAT, (3,)), tensor("at", TensorProto.INT64, (1,))],
        [tensor("y", TensorProto.FLOAT, (1,))],
    )
    session = BACKEND.open(path, CONFIG)
    feeds = {"x": np.zeros(3, "float32"), "at": np.array([99])}
    with pytest.raises(RuntimeFailure, match=r"^the inference failed: Non-zero status code"):
        session.run(feeds)
    with pytest.raises(BACKEND.failures()):
        session.bind(feeds)()


def test_a_memory_bomb_is_a_clear_failure(tmp_path: Path) -> None:
    """A model of some 100 bytes that asks for 8 GB."""
    path = save(
        tmp_path / "bomb.onnx",
        [helper.make_node("ConstantOfShape", ["shape"], ["y"])],
        [tensor("shape", TensorProto.INT64, (1,))],
        [tensor("y", TensorProto.FLOAT, ("n",))],
    )
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, shape=np.array([[2 << 30]]))
    request = {
        "model": path,
        "config": {"backend": "onnxruntime", "threads": 1},
        "inputs": str(inputs),
        "warmup_queries": 0,
        "min_queries": 1,
        "min_ns": 0,
        "max_ns": 1_000_000_000,
    }
    with pytest.raises(RuntimeFailure, match=r"(alloc|memory)") as caught:
        run_child("edge.device.worker:measure", request, limits=Limits(wall_s=60), what="bomb")
    assert str(caught.value).startswith("bomb: the inference failed: ")


def test_a_file_that_is_no_model_is_not_prepared(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model at all")
    with pytest.raises(RuntimeFailure, match=r"^cannot load the model: \S"):
        BACKEND.prepare(str(path), CONFIG, str(tmp_path))
    assert list(tmp_path.iterdir()) == [path]


def test_a_prepared_model_has_its_weights_beside_it(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).random((64, 64)).astype("float32")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "graph",
        [tensor("x", TensorProto.FLOAT, (1, 64))],
        [tensor("y", TensorProto.FLOAT, (1, 64))],
        [helper.make_tensor("weights", TensorProto.FLOAT, (64, 64), weights.ravel())],
    )
    path = tmp_path / "matmul.onnx"
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    folder = tmp_path / "ready"
    folder.mkdir()
    assert BACKEND.prepare(str(path), CONFIG, str(folder)) == "model.onnx"
    assert (folder / "model.weights").stat().st_size >= weights.nbytes
    assert (folder / "model.onnx").stat().st_size < weights.nbytes
    prepared = BACKEND.open(
        str(folder / "model.onnx"), SessionConfig("onnxruntime", 1, prepared=True)
    )
    x = np.ones((1, 64), "float32")
    expected = BACKEND.open(str(path), CONFIG).run({"x": x})[0]
    assert np.array_equal(prepared.run({"x": x})[0], expected)
