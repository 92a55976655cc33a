import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edge
from edge.adapters.data import data_folder
from edge.backends import backend_names, load_backend
from edge.device import probe as module
from edge.device.facts import CpuTime, read_host_facts, read_host_state
from edge.device.probe import ProbeOptions, model_ref, probe
from edge.errors import HostError, RuntimeFailure, UsageError
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import Measurement, SessionConfig

DIGITS = data_folder("models") / "digits-cnn"
TREES = Path(__file__).parent / "trees"
SHORT = ProbeOptions(min_s=0, min_queries=20, warmup_queries=2)
ONNX = str(DIGITS / "digits-cnn-fp32.onnx")
ONE_THREAD = SessionConfig("onnxruntime", 1)


def measured(root: str = "/", **more: Any) -> Measurement:
    model = model_ref(ONNX, "digits", "onnx")
    return probe(ONNX, ONE_THREAD, SHORT, model=model, root=root, **more)


@pytest.mark.parametrize("backend", backend_names())
def test_a_measurement_is_complete_and_keeps_raw_latencies(backend: str) -> None:
    form = load_backend(backend).format
    path = str(DIGITS / f"digits-cnn-fp32.{form}")
    model = model_ref(path, "digits", form)
    config = SessionConfig(backend, 2)
    found = probe(path, config, SHORT, model=model, target="rpi4")
    assert (found.provenance, found.edgekit_version) == ("measured", edge.__version__)
    assert (found.target, found.model, found.config) == ("rpi4", model, config)
    assert (len(found.warmup_ns), len(found.latencies_ns)) == (2, 20)
    assert (found.runtime.distribution, found.runtime.version) == load_backend(backend).version()
    assert found.runtime.threads == 2
    assert found.host == replace(
        read_host_facts(), memory_available_bytes=found.host.memory_available_bytes
    )
    assert found.peak_memory_bytes is not None
    assert from_dict(Measurement, to_dict(found)) == found


def test_a_model_is_known_by_its_digest() -> None:
    model = model_ref(ONNX, "digits", "onnx")
    assert model.sha256 == hashlib.sha256(Path(ONNX).read_bytes()).hexdigest()
    assert model.file_bytes == Path(ONNX).stat().st_size
    with pytest.raises(HostError, match=r"^/nowhere: no such file or directory$"):
        model_ref("/nowhere", "x", "onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_s": -1.0}, "the minimum time must be 0 s or more, got -1"),
        ({"min_s": float("nan")}, "the minimum time must be 0 s or more, got nan"),
        ({"max_s": 0.0, "min_s": 0.0}, "the maximum time must be above 0 s"),
        ({"max_s": 1.0, "min_s": 2.0}, "not below the minimum of 2 s, got 1"),
        ({"max_s": float("inf")}, "the maximum time must be above 0 s"),
        ({"min_queries": 0}, "needs at least 1 query"),
        ({"warmup_queries": -1}, "needs at least 1 query, 0 warm-ups"),
    ],
)
def test_limits_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ProbeOptions(**options)


def test_the_longest_time_grows_with_the_minimum() -> None:
    assert ProbeOptions().longest_s == 60
    assert ProbeOptions(min_s=50).longest_s == 100
    assert ProbeOptions(min_s=50, max_s=55).longest_s == 55


def test_failures_name_the_model(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"garbage")
    with pytest.raises(RuntimeFailure) as caught:
        probe(str(path), ONE_THREAD, SHORT, model=model_ref(str(path), "my model", "onnx"))
    assert str(caught.value).startswith("my model: cannot load the model: ")


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="--shape input=2,1,8,8 does not fit"):
        measured(shapes={"input": (2, 1, 8, 8)})


def test_real_inputs_are_used() -> None:
    with pytest.raises(UsageError, match="/nowhere"):
        measured(inputs="/nowhere.npz")
    assert len(measured(inputs=str(DIGITS / "samples.npz")).latencies_ns) == 20


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Path]:
    def copy(tree: str) -> Path:
        return Path(shutil.copytree(TREES / tree, tmp_path / tree))

    return copy


def test_facts_are_read_under_the_root(machine: Callable[[str], Path]) -> None:
    root = str(machine("jetson-nano"))
    found = measured(root)
    assert found.host == read_host_facts(root)
    assert found.before == found.after == read_host_state(root)
    assert found.flaws == ()


def test_a_hot_processor_is_a_flaw(machine: Callable[[str], Path]) -> None:
    root = machine("raspberry-pi-4")
    zone = root / "sys/class/thermal/thermal_zone0/temp"
    zone.write_text("79900", encoding="utf-8")
    assert measured(str(root)).flaws == ()
    zone.write_text("81400", encoding="utf-8")
    flaw = "the processor was at 81 °C: it may have lowered its clock"
    assert measured(str(root)).flaws == (flaw,)


def test_a_quota_below_the_threads_is_a_flaw() -> None:
    flaw = "1 threads shared a CPU quota of 0.5 cores: the container is stopped in between"
    assert measured(str(TREES / "cgroup-v1-container")).flaws == (flaw,)
    assert measured(str(TREES / "cloud-container")).flaws == ()


def test_more_threads_than_cores_are_a_flaw() -> None:
    host = read_host_facts(str(TREES / "cgroup-v1-container"))
    flaws = module._quota_flaws(replace(host, cpu_quota=None), 4)
    assert flaws == ("4 threads shared 3 cores",)


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
    assert module._load_flaws(before, after, own_s, host, threads) == expected
    assert module._load_flaws(None, after, own_s, host, threads) == ()
    assert module._load_flaws(before, before, own_s, host, threads) == ()


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
    assert module._drift_flaws(latencies) == expected
