"""Every target that is no GPU: each model is packaged for it, or refused for the reason that is true."""

import zipfile
from pathlib import Path

import pytest

from edge.adapters.targets import load_targets
from edge.errors import BundleError
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

TARGETS = [target for target in load_targets() if target.kind != "cloud-gpu"]
# The runtime that a target takes by itself: for ONNX models, and for TFLite models.
RUNTIMES: dict[str, tuple[str | None, str]] = {
    "rpi-zero2w": ("onnxruntime 1.32.0", "ai-edge-litert 2.3.0"),
    "rpi3": ("onnxruntime 1.32.0", "ai-edge-litert 2.3.0"),
    "rpi4": ("onnxruntime 1.32.0", "ai-edge-litert 2.3.0"),
    "rpi4-32bit": (None, "tflite-runtime 2.14.0"),
    "rpi5": ("onnxruntime 1.32.0", "ai-edge-litert 2.3.0"),
    "jetson-nano": ("onnxruntime 1.19.2", "tflite-runtime 2.13.0"),
    "jetson-orin-nano": ("onnxruntime 1.23.2", "ai-edge-litert 2.3.0"),
    "cloud-cpu-arm": ("onnxruntime 1.32.0", "ai-edge-litert 2.3.0"),
    "cloud-cpu": ("onnxruntime 1.32.0", "ai-edge-litert 2.3.0"),
    "cloud-cpu-4c": ("onnxruntime 1.32.0", "ai-edge-litert 2.3.0"),
}
# What has to be there already; a bundle has everything else inside.
APT = {"rpi4-32bit": ("python3-numpy",), "jetson-nano": ("python3.8",)}
# The default model in both formats, and three real ones.
MODELS: dict[str | None, str] = {
    None: "onnx",
    "digits-cnn:digits-cnn-int8.tflite": "tflite",
    "blazeface-128-onnx": "onnx",
    "silero-vad": "onnx",
    "hand-landmark-lite": "tflite",
}
NO_ONNX = "rpi4-32bit: it has no runtime for ONNX models"
ELSEWHERE = ", ".join(target.name for target in TARGETS if target.name != "rpi4-32bit")
# A real model that only the newer of the two TFLite runtimes has the operators for.
SEGMENTATION = "selfie-segmentation"
LACKS = "cannot run the model: custom operators that it lacks: Convolution2DTransposeBias"


@pytest.fixture
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    return shared_cache


def test_no_target_is_forgotten() -> None:
    assert set(RUNTIMES) == {target.name for target in TARGETS}


@pytest.mark.network
@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("target", RUNTIMES)
def test_each_pair_is_built_or_refused(
    cache: Path, tmp_path: Path, target: str, model: str | None
) -> None:
    output = tmp_path / "bundle.pyz"
    for_onnx, for_tflite = RUNTIMES[target]
    runtime = for_onnx if MODELS[model] == "onnx" else for_tflite
    if runtime is None:
        with pytest.raises(BundleError) as caught:
            package_model(resolve_model(model), target, output=output)
        assert str(caught.value) == NO_ONNX
        remedy = f"convert the model to TFLite, or take another target: {ELSEWHERE}"
        assert caught.value.hint == remedy
        assert not output.exists()
        return
    manifest = package_model(resolve_model(model), target, output=output).manifest
    assert f"{manifest.runtime} {manifest.runtime_version}" == runtime
    assert (manifest.target, manifest.apt_packages) == (target, APT.get(target, ()))
    with zipfile.ZipFile(output) as archive:
        assert archive.testzip() is None
        assert {wheel.path for wheel in manifest.wheels} <= set(archive.namelist())
    numpy = [wheel.version for wheel in manifest.wheels if wheel.name == "numpy"]
    assert len(numpy) == (0 if target == "rpi4-32bit" else 1)
    if manifest.runtime == "tflite-runtime":
        assert all(version.startswith("1.") for version in numpy)


@pytest.mark.network
@pytest.mark.parametrize("target", ["rpi4-32bit", "jetson-nano"])
def test_an_operator_that_only_the_successor_has(cache: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(BundleError) as caught:
        package_model(resolve_model(SEGMENTATION), target, output=tmp_path / "bundle.pyz")
    assert str(caught.value) == f"{target}: {RUNTIMES[target][1]} {LACKS}"


@pytest.mark.network
def test_tflite_runtime_is_there_on_request(cache: Path, tmp_path: Path) -> None:
    model = resolve_model("digits-cnn:digits-cnn-int8.tflite")
    output = tmp_path / "bundle.pyz"
    manifest = package_model(model, "rpi4", output=output, runtime="tflite-runtime").manifest
    wheels = {wheel.name: wheel.version for wheel in manifest.wheels}
    assert wheels == {"tflite-runtime": "2.14.0", "numpy": "1.26.4"}
    with pytest.raises(BundleError) as caught:
        package_model(resolve_model(SEGMENTATION), "rpi4", output=output, runtime="tflite-runtime")
    assert str(caught.value) == f"rpi4: tflite-runtime 2.14.0 {LACKS}"
