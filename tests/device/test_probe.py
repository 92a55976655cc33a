import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edge
from edge.adapters.data import data_folder
from edge.backends import backend_names, load_backend
from edge.device import energy
from edge.device.facts import read_host_facts, read_host_state
from edge.device.probe import ProbeOptions, model_ref, preset, probe
from edge.errors import HostError, RuntimeFailure, UsageError
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import Measurement, SessionConfig
from edge.records.scenario import ONE_BY_ONE, Scenario

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


def test_what_holds_the_processor_back_meanwhile_is_a_flaw(
    machine: Callable[[str], Path],
) -> None:
    root = machine("raspberry-pi-4")
    bits = root / "sys/devices/platform/soc/soc:firmware/get_throttled"
    assert measured(str(root)).flaws == ()

    def fall(_: float) -> None:
        bits.write_text("d0008", encoding="utf-8")

    long = ProbeOptions(min_s=1.2, max_s=2.4, min_queries=20, warmup_queries=2)
    model = model_ref(ONNX, "digits", "onnx")
    found = probe(ONNX, ONE_THREAD, long, model=model, root=str(root), progress=fall)
    assert found.before.throttled == ()
    assert found.after.throttled == ("soft temperature limit",)
    assert "the processor was held back: soft temperature limit" in found.flaws
    assert found.telemetry is not None
    assert found.telemetry.readings[-1].throttled == ("soft temperature limit",)


def test_the_machine_is_read_meanwhile(machine: Callable[[str], Path]) -> None:
    root = str(machine("jetson-nano"))
    allowed = os.sched_getaffinity(0)
    found = measured(root).telemetry
    assert found is not None
    assert os.sched_getaffinity(0) == allowed
    assert found.core == (None if len(allowed) == 1 else max(allowed))
    assert found.interval_ns == 250_000_000
    assert 0 < found.cost_ns <= found.total_cost_ns
    first = found.readings[0]
    assert (first.clock_hz, first.temperature_celsius) == (1_479_000_000, 37.25)
    assert (first.throttled, first.power_watts) == ((), 2.214)


def test_the_scenario_reaches_the_child() -> None:
    plain = measured()
    assert plain.scenario == ONE_BY_ONE
    assert plain.duration_ns is not None
    assert plain.duration_ns >= sum(plain.latencies_ns)
    assert plain.loop_overhead_ns is not None
    server = Scenario("server", target_qps=1e6, seed=3)
    many = ProbeOptions(min_s=0, min_queries=2000, warmup_queries=2)
    model = model_ref(ONNX, "digits", "onnx")
    found = probe(ONNX, ONE_THREAD, many, model=model, scenario=server)
    assert found.scenario == server
    behind = "it fell behind: queries arrived faster than they were served"
    assert behind in found.flaws


@pytest.mark.parametrize(
    ("name", "expected"),
    [("quick", (1, 10, 64)), ("full", (60, 120, 662)), ("soak", (600, 1200, 662))],
)
def test_presets(name: str, expected: tuple[float, float, int]) -> None:
    options = preset(name)
    assert (options.min_s, options.longest_s, options.min_queries) == expected


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^there is no preset slow$") as caught:
        preset("slow")
    assert caught.value.hint == "one of quick, full, soak"


def test_no_energy_is_asked_for() -> None:
    found = measured()
    assert (found.energy, found.energy_missing) == (None, None)


def test_energy_of_a_real_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "_IDLE_S", 0.1)
    monkeypatch.setattr(energy, "FILE_PASS_S", 0.3)
    meter = tmp_path / "plug.csv"
    now = time.time_ns() / 1e9
    rows = [f"{now - 60 + place / 100},5.0\n" for place in range(60_00 * 4)]
    meter.write_text("time,watts\n" + "".join(rows), encoding="utf-8")
    found = measured(energy=True, meter=str(meter))
    assert found.energy_missing is None
    told = found.energy
    assert told is not None
    assert told.source == "meter file plug.csv"
    assert told.watts == pytest.approx(5.0)
    assert told.duration_ns >= 300_000_000
    assert told.joules_per_inference * told.inferences == pytest.approx(
        5.0 * told.duration_ns / 1e9
    )
    assert told.above_idle_joules == pytest.approx(0, abs=1e-9)
    assert len(found.latencies_ns) == 20


def test_energy_that_cannot_be_told_has_a_reason(
    machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "_IDLE_S", 0.1)
    monkeypatch.setattr(energy, "PASS_S", 0.5)
    found = measured(str(machine("laptop")), energy=True)
    reason = "RAPL package-0 stood still during the pass"
    assert (found.energy, found.energy_missing) == (None, reason)
    found = measured(str(TREES / "raspberry-pi-4"), energy=True)
    assert found.energy_missing is not None
    assert found.energy_missing.startswith("no power meter: neither INA3221 rails (/sys/bus/i2c")
