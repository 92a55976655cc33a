"""Packaging: what is refused and why, and bundles that run where there is nothing but Python."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.adapters.bundle import WrittenBundle
from edge.adapters.targets import load_target
from edge.device.bundle import open_bundle
from edge.errors import BundleError, ConfigError, HostError, ModelError, UsageError
from edge.reasoning.bundling import (
    choose_runtime,
    comparison,
    require_memory,
    require_processor,
)
from edge.records.model import ModelInfo
from edge.records.platform import platform_of
from edge.records.tensor import TensorSpec
from edge.workflows.models import ModelChoice, resolve_model
from edge.workflows.package import package_model

FORMATS = {"onnxruntime": "onnx", "tflite": "tflite"}
PI = platform_of(load_target("rpi4"))
PI_32 = platform_of(load_target("rpi4-32bit"))
TFLITE = "digits-cnn:digits-cnn-int8.tflite"


def model_info(**changes: object) -> ModelInfo:
    info = ModelInfo(
        name="m",
        format="onnx",
        sha256="0" * 64,
        file_bytes=1000,
        external_files=(),
        producer="",
        ir_version=8,
        opsets=(),
        operator_versions=(),
        inputs=(),
        outputs=(),
        parameters=1,
        weights_bytes=1000,
        peak_activation_bytes=None,
        precision="fp32",
        looks_like="",
        custom_operators=(),
        operators=(),
        risks=(),
    )
    return replace(info, **changes)  # type: ignore[arg-type]


# Decisions.


def test_the_runtime_is_chosen_by_the_format() -> None:
    assert choose_runtime(PI, "onnx", FORMATS, None, ()).distribution == "onnxruntime"
    assert choose_runtime(PI, "tflite", FORMATS, None, ()).backend == "tflite"
    assert choose_runtime(PI, "onnx", FORMATS, "onnxruntime", ()).backend == "onnxruntime"


def test_a_runtime_of_another_name_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        choose_runtime(PI, "onnx", FORMATS, "tflite", ())
    assert str(caught.value) == "rpi4: --runtime tflite runs TFLite models only; this one is ONNX"
    assert caught.value.hint == "take --runtime onnxruntime, or convert the model to TFLite"


def test_a_target_without_a_runtime_for_the_format() -> None:
    with pytest.raises(BundleError) as caught:
        choose_runtime(PI_32, "onnx", FORMATS, None, ("rpi4", "rpi5"))
    assert str(caught.value) == "rpi4-32bit: it has no runtime for ONNX models"
    assert caught.value.hint == ("convert the model to TFLite, or take another target: rpi4, rpi5")


def test_a_model_that_cannot_fit_into_memory() -> None:
    zero = platform_of(load_target("rpi-zero2w"))
    runtime = zero.runtimes[0]
    require_memory(zero, model_info(weights_bytes=100 << 20), runtime)
    with pytest.raises(BundleError) as caught:
        require_memory(zero, model_info(weights_bytes=300 << 20), runtime)
    assert str(caught.value) == (
        "rpi-zero2w: the model needs at least 360 MiB of memory with its runtime, "
        "and 300 MiB can be used"
    )
    assert caught.value.hint == "take a smaller or quantised model, or a target with more memory"


def test_a_processor_that_is_too_old() -> None:
    old = replace(PI, architecture="x86_64", cpu_features=("sse2", "pni", "cx16"))
    with pytest.raises(BundleError, match="its processor lacks popcnt, sse4_1, sse4_2, ssse3"):
        require_processor(old)
    require_processor(replace(old, cpu_features=()))


@pytest.mark.parametrize(
    ("precision", "shape", "real", "compare", "atol"),
    [
        ("fp32", (1, 10), True, "close", 1e-4),
        ("fp16", (1, 10), True, "close", 1e-2),
        ("int8", (1, 10), True, "top1", 0.0),
        ("int8", (1, 10), False, "close", 0.2),
        ("int8", (1, 1), True, "close", 0.2),
        ("mixed", (1, 100, 4), True, "close", 0.2),
    ],
)
def test_how_outputs_are_compared(
    precision: str, shape: tuple[int, ...], *, real: bool, compare: str, atol: float
) -> None:
    rule = comparison(
        precision,  # type: ignore[arg-type]
        [TensorSpec("y", "float32", shape)],
        4.0,
        real_inputs=real,
    )
    assert (rule.compare, rule.atol) == (compare, pytest.approx(atol))


# What is refused before anything is downloaded: no network is needed for these.


@pytest.mark.parametrize(
    ("model", "target", "options", "error", "what"),
    [
        (None, "rpi44", {}, ConfigError, "rpi44: no such target"),
        (
            None,
            "cloud-gpu-t4",
            {},
            BundleError,
            (
                "cloud-gpu-t4: a bundle carries no GPU driver and no CUDA libraries: "
                "use the provider's image"
            ),
        ),
        (None, "rpi4-32bit", {}, BundleError, "rpi4-32bit: it has no runtime for ONNX models"),
        (None, "rpi4", {"output": Path("/no/x.pyz")}, HostError, "/no/x.pyz: no such file or dir"),
        (None, "rpi4", {"output": Path("/tmp")}, HostError, "/tmp: is a directory"),
        (None, "rpi4", {"runtime": "torch"}, UsageError, "rpi4: --runtime torch: no such runtime"),
        (None, "rpi4", {"shapes": {"input": (2, 1, 8, 8)}}, UsageError, ""),
    ],
)
def test_what_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    model: str | None,
    target: str,
    options: dict[str, object],
    error: type[Exception],
    what: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        package_model(resolve_model(model), target, **options)  # type: ignore[arg-type]
    assert str(caught.value).startswith(what)
    assert list(tmp_path.glob("*.pyz")) == []


def test_a_model_that_is_none(tmp_path: Path) -> None:
    picture = tmp_path / "cat.onnx"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(ModelError, match="PNG picture"):
        package_model(ModelChoice(path=picture), "rpi4", output=tmp_path / "x.pyz")


def save_model(path: Path, *, opset: int = 17, external: bool = False) -> Path:
    """Write y = x @ w for a batch of any size, its weights inside or beside it."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    where = f"{path.name}.data" if external else None
    onnx.save(model, path, save_as_external_data=external, location=where, size_threshold=0)
    return path


def test_an_opset_that_the_targets_runtime_lacks(tmp_path: Path) -> None:
    model = save_model(tmp_path / "new.onnx", opset=24)
    with pytest.raises(BundleError) as caught:
        package_model(ModelChoice(path=model), "jetson-nano", output=tmp_path / "x.pyz")
    assert str(caught.value) == (
        "jetson-nano: onnxruntime 1.19.2 cannot run the model: opset 24 is newer than it has (21)"
    )


# Real bundles. The target's own wheels come from the registry, once for all of these tests.

network = pytest.mark.network


@pytest.fixture
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    return shared_cache


def packaged(tmp_path: Path, target: str, model: str | None = None) -> WrittenBundle:
    return package_model(resolve_model(model), target, output=tmp_path / "bundle.pyz")


def has_no_network_namespace() -> bool:
    unshare = shutil.which("unshare")
    return unshare is None or subprocess.run([unshare, "-n", "true"], check=False).returncode != 0


NO_NETWORK: list[str] = [] if has_no_network_namespace() else ["unshare", "-n"]


def empty_python(folder: Path) -> str:
    """Return a Python of this version that has no packages at all, not even pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


def on_device(
    python: str, bundle: Path, home: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a bundle with nothing but Python: no environment, and no network where we may say so."""
    # A proxy that nobody serves, for where the namespace is not ours to take away.
    environment = {"HOME": str(home), "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        [*NO_NETWORK, python, str(bundle), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "PATH": os.environ["PATH"]} if NO_NETWORK else environment,
        cwd="/",
    )


@network
@pytest.mark.parametrize("target", ["cloud-cpu", "host"])
@pytest.mark.parametrize("model", [None, TFLITE], ids=["onnx", "tflite"])
def test_a_bundle_runs_where_there_is_nothing(
    cache: Path, tmp_path: Path, target: str, model: str | None
) -> None:
    bundle = packaged(tmp_path, target, model)
    manifest = bundle.manifest
    python = empty_python(tmp_path / "venv")
    home = tmp_path / "home"
    home.mkdir()
    if manifest.python != "{}.{}".format(*sys.version_info[:2]):
        pytest.skip(f"{target} has Python {manifest.python}")
    verified = on_device(python, bundle.path, home, "verify")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "this machine fits" in verified.stdout
    told = json.loads(on_device(python, bundle.path, home, "info", "--json").stdout)
    assert told["target"] == target
    ran = on_device(python, bundle.path, home, "run", "--json")
    answer = json.loads(ran.stdout)
    assert (ran.returncode, answer["count"], answer["agreed"]) == (0, 16, 16)
    # It is the bundle's own runtime that ran, not one of this machine.
    assert answer["runtime"]["version"] == manifest.runtime_version
    assert answer["runtime"]["distribution"] == manifest.runtime
    options = ("--min-time", "0.1", "--min-queries", "70", "--json")
    probed = on_device(python, bundle.path, home, "probe", *options)
    measurement = json.loads(probed.stdout)
    assert probed.returncode == 0
    assert measurement["target"] == target
    assert measurement["model"]["sha256"] == manifest.model.sha256
    assert len(measurement["latencies_ns"]) >= 70
    assert [p.name for p in (home / ".cache" / "edgekit" / "bundles").iterdir()] != []


@network
def test_a_bundle_for_a_pi_has_the_wheels_of_a_pi(cache: Path, tmp_path: Path) -> None:
    bundle = packaged(tmp_path, "rpi")
    manifest = bundle.manifest
    assert (manifest.target, manifest.architecture) == ("rpi4", "aarch64")
    assert (manifest.python, manifest.runtime) == ("3.11", "onnxruntime")
    assert manifest.glibc == "2.28"
    assert tuple(map(int, manifest.glibc.split("."))) <= (2, 36)
    for wheel in manifest.wheels:
        assert wheel.filename.endswith(("_aarch64.whl", "-none-any.whl"))
        assert wheel.path == f"wheels/{wheel.filename}.xz"
    pins = {pin.filename: pin.sha256 for pin in PI.runtimes[0].wheels}
    assert {wheel.filename: wheel.sha256 for wheel in manifest.wheels} == pins
    # ONNX Runtime's wheel holds the runtime twice, and Python uses one of them.
    assert sum(wheel.left_out_bytes for wheel in manifest.wheels) > 25_000_000
    verified = subprocess.run(
        [sys.executable, str(bundle.path), "verify"], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 5
    assert verified.stdout.splitlines()[0].startswith("the file is intact: ")
    assert verified.stdout.splitlines()[1] == "signature: unsigned"
    assert verified.stdout.splitlines()[2].startswith(
        "this machine does not fit: made for aarch64, this machine is "
    )


@network
def test_the_second_time_needs_no_network_and_gives_the_same_bytes(
    cache: Path, tmp_path: Path
) -> None:
    for target in ("host", "rpi"):
        first = packaged(tmp_path, target)
        out = tmp_path / "again.pyz"
        subprocess.run(
            [*NO_NETWORK, sys.executable, "-m", "edge", "package", "--target", target, "-o", out],
            check=True,
            capture_output=True,
            env={**os.environ, "http_proxy": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"},
        )
        assert out.read_bytes() == first.path.read_bytes()


@network
def test_a_model_with_external_data_and_a_free_shape(cache: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "my model.onnx", external=True)
    with pytest.raises(BundleError, match="a bundle cannot hold a file of that name"):
        package_model(ModelChoice(path=model), "host", output=tmp_path / "x.pyz")
    model = save_model(tmp_path / "wide.onnx", external=True)
    bundle = package_model(
        ModelChoice(path=model), "host", output=tmp_path / "wide.pyz", shapes={"x": (5, 4)}
    )
    paths = [file.path for file in bundle.manifest.files if file.path.startswith("model/")]
    assert paths == ["model/wide.onnx", "model/wide.onnx.data"]
    assert bundle.manifest.model.inputs == (TensorSpec("x", "float32", (5, 4)),)
    assert bundle.manifest.model.outputs == (TensorSpec("y", "float32", (5, 3)),)
    assert bundle.manifest.samples.count == 4
    ran = on_device(sys.executable, bundle.path, tmp_path, "run")
    assert (ran.returncode, ran.stdout) == (0, "4 of 4 samples agree\n")


@network
def test_samples_of_ones_own(cache: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "matmul.onnx")
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, x=np.ones((20, 1, 4), np.float32))
    bundle = package_model(
        ModelChoice(path=model), "host", output=tmp_path / "x.pyz", inputs=inputs, threads=1
    )
    assert bundle.manifest.samples.count == 16
    assert bundle.manifest.session.threads == 1
    with open_bundle(str(bundle.path)) as opened, zipfile.ZipFile(bundle.path) as archive:
        opened.verify_members()
        with archive.open("samples.npz") as file, np.load(file) as arrays:
            assert arrays["output.y"][0].tolist() == [[18.0, 22.0, 26.0]]
    np.savez(inputs, x=np.ones((2, 1, 5), np.float32))
    with pytest.raises(UsageError, match="x float32"):
        package_model(ModelChoice(path=model), "host", output=tmp_path / "y.pyz", inputs=inputs)
    assert not (tmp_path / "y.pyz").exists()
