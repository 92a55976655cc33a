import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.adapters.data import data_folder
from edge.adapters.results import load_result
from edge.device.facts import default_threads, read_host_facts
from edge.device.probe import ProbeOptions
from edge.errors import BundleError, ConfigError, HostError, ModelError, RuntimeFailure, UsageError
from edge.records.codec import to_dict
from edge.records.measurement import Measurement
from edge.records.scenario import Scenario
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice, resolve_model
from edge.workflows.probe import (
    probe_anything,
    probe_model,
    results_folder,
    save_measurement,
)
from edge.workflows.probe_bundle import bundle_arguments, is_bundle
from edge.workflows.probe_request import ProbeRequest

DIGITS = data_folder("models") / "digits-cnn"
SHORT = ProbeOptions(min_s=0, max_s=5, min_queries=15, warmup_queries=1)


@pytest.fixture(scope="module")
def measurement() -> Measurement:
    path = DIGITS / "digits-cnn-fp32.onnx"
    return probe_model(path, inspect_model(path), ProbeRequest(options=SHORT, threads=1))


def test_an_onnx_model_is_measured(measurement: Measurement) -> None:
    assert measurement.config.backend == "onnxruntime"
    assert measurement.model.format == "onnx"
    content = (DIGITS / "digits-cnn-fp32.onnx").read_bytes()
    assert measurement.model.sha256 == hashlib.sha256(content).hexdigest()
    assert len(measurement.latencies_ns) == 15


def test_a_tflite_model_is_measured_on_all_allowed_cores() -> None:
    request = ProbeRequest(options=SHORT, target="rpi4")
    found = probe_anything(ModelChoice(path=DIGITS / "digits-cnn-int8.tflite"), request)
    assert found.config.backend == "tflite"
    assert found.config.threads == default_threads(read_host_facts())
    assert found.target == "rpi4"


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_what_is_no_model_is_a_model_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        probe_anything(ModelChoice(path=path), ProbeRequest(options=SHORT))
    assert str(path) in str(caught.value)


def test_a_measurement_is_saved_and_comes_back(measurement: Measurement, tmp_path: Path) -> None:
    path = save_measurement(measurement, tmp_path / "results")
    stem = f"{measurement.model.name}-onnxruntime-t1"
    assert path == tmp_path / "results" / f"{stem}.measurement.json"
    assert load_result(Measurement, path) == measurement
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_models_name_cannot_lead_out_of_the_folder(
    measurement: Measurement, tmp_path: Path
) -> None:
    data = to_dict(measurement)
    data["model"]["name"] = "../../etc/x y\n"
    hostile = load_result(Measurement, write(tmp_path / "in.json", data))
    path = save_measurement(hostile, tmp_path / "out")
    assert path == tmp_path / "out" / "_.._etc_x_y_-onnxruntime-t1.measurement.json"


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_folder_that_cannot_be_made_is_told_before_measuring(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(HostError, match="file/results"),
        results_folder(tmp_path / "file" / "results"),
    ):
        raise AssertionError("measured all the same")
    with results_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert (tmp_path / "a" / "b").is_dir()


def test_a_failure_leaves_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name in ("new", "old"):
        with pytest.raises(ModelError), results_folder(tmp_path / name):
            raise ModelError("no model")
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


def test_a_picture_and_the_cards_shapes(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    picture = tmp_path / "x.png"
    assert cv2.imwrite(str(picture), np.zeros((8, 8), np.uint8))
    choice = resolve_model(None)
    assert (
        len(probe_anything(choice, ProbeRequest(options=SHORT, inputs=str(picture))).latencies_ns)
        == 15
    )


def test_the_file_name_says_the_target(measurement: Measurement, tmp_path: Path) -> None:
    path = save_measurement(replace(measurement, target="rpi4"), tmp_path)
    assert path.name == f"{measurement.model.name}-rpi4-onnxruntime-t1.measurement.json"


def bundle(path: Path, program: str) -> Path:
    """A file that looks like a bundle from outside: a zip with a manifest that Python can run."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "{}")
        archive.writestr("__main__.py", program)
    return path


def test_a_bundle_is_known_by_its_content(tmp_path: Path) -> None:
    assert is_bundle(bundle(tmp_path / "x.onnx", ""))
    with zipfile.ZipFile(tmp_path / "x.pyz", "w") as archive:
        archive.writestr("other", "")
    assert not is_bundle(tmp_path / "x.pyz")
    assert not is_bundle(DIGITS / "digits-cnn-fp32.onnx")
    assert not is_bundle(tmp_path)
    assert not is_bundle(tmp_path / "nowhere")


def test_a_bundle_is_run_with_the_options_given(tmp_path: Path, measurement: Measurement) -> None:
    document = json.dumps(to_dict(measurement))
    asked = tmp_path / "asked"
    program = (
        f"import sys; open({str(asked)!r}, 'w').write(' '.join(sys.argv[1:]));"
        f"sys.stdout.write({document!r})"
    )
    path = bundle(tmp_path / "digits.pyz", program)
    assert (
        probe_anything(ModelChoice(path=path), ProbeRequest(options=SHORT, threads=3))
        == measurement
    )
    assert asked.read_text(encoding="utf-8") == (
        "probe --json --min-time 0 --max-time 5 --min-queries 15 --warm-up 1 --threads 3"
    )
    assert (
        probe_anything(ModelChoice(path=path), ProbeRequest(options=SHORT, target="rpi4")).target
        == "rpi4"
    )


@pytest.mark.parametrize(
    ("program", "family", "message"),
    [
        (
            "import sys; sys.stderr.write('error: x.pyz: made for aarch64\\n'); sys.exit(5)",
            BundleError,
            "x.pyz: made for aarch64",
        ),
        ("print('hello')", RuntimeFailure, "its probe printed no JSON"),
        ("print('{}')", ConfigError, "schema_version: missing key"),
    ],
)
def test_a_bundle_that_fails_is_told(
    tmp_path: Path, program: str, family: type[Exception], message: str
) -> None:
    with pytest.raises(family, match=message):
        probe_anything(
            ModelChoice(path=bundle(tmp_path / "x.pyz", program)), ProbeRequest(options=SHORT)
        )


def test_a_bundle_has_its_own_shapes(tmp_path: Path) -> None:
    request = ProbeRequest(options=SHORT, shapes={"input": (1,)})
    with pytest.raises(UsageError) as caught:
        probe_anything(ModelChoice(path=bundle(tmp_path / "x.pyz", "")), request)
    assert str(caught.value) == "a bundle has its own shapes: leave out --shape"


def test_every_option_is_passed_on_to_a_bundle() -> None:
    request = ProbeRequest(
        options=ProbeOptions(1, 2, 3, 4),
        scenario=Scenario("server", target_qps=12.5, limit_ns=50_000_000),
        threads=2,
        graph_level="basic",
        provider="cpu",
        inputs="clip.avi",
        fps=15,
        energy=True,
        meter="watts.csv",
    )
    assert " ".join(bundle_arguments(request)) == (
        "--min-time 1 --max-time 2 --min-queries 3 --warm-up 4 --threads 2 --graph-level basic "
        "--provider cpu --meter watts.csv --input clip.avi --fps 15 --scenario server "
        "--target-qps 12.5 --limit-ms 50.0 --energy"
    )
    many = replace(request, scenario=Scenario("multi-stream", 8))
    assert bundle_arguments(many)[-5:] == [
        "--scenario", "multi-stream", "--samples-per-query", "8", "--energy",
    ]  # fmt: skip
    assert bundle_arguments(ProbeRequest(options=SHORT, scenario=None))[-2:] == [
        "--scenario", "offline",
    ]  # fmt: skip
