"""A bundle made again for a stand-in: the same model, samples and runtime, another Python."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_onnx import FLOAT

from edge.adapters.bundle import WrittenBundle
from edge.adapters.targets import load_target
from edge.device.bundle import open_bundle
from edge.errors import BundleError
from edge.reasoning.stand_in import stand_in_for, stand_in_target
from edge.records.manifest import Manifest
from edge.records.target import Target
from edge.workflows import stand_in_bundle as stand_in_module
from edge.workflows.models import ModelChoice, resolve_model
from edge.workflows.package import package_model
from edge.workflows.stand_in_bundle import runtime_difference, stand_in_bundle

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))


@pytest.fixture
def stand_in() -> Target:
    board = load_target("jetson-nano")
    return stand_in_target(board, stand_in_for(board))


def manifest_of(path: Path) -> Manifest:
    with open_bundle(str(path)) as bundle:
        bundle.verify_members()
        return bundle.manifest


def members(path: Path, names: set[str]) -> dict[str, bytes]:
    with open_bundle(str(path)) as bundle:
        return {
            listed.path: b"".join(bundle.blocks(listed))
            for listed in bundle.manifest.files
            if listed.path in names
        }


def with_external_data(folder: Path) -> Path:
    """Write a model whose weights lie in another file."""
    folder.mkdir()
    weights = np.arange(1024, dtype=np.float32).reshape(32, 32) / 1024
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", FLOAT, ["batch", 32])],
        [onnx.helper.make_tensor_value_info("y", FLOAT, ["batch", 32])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9
    )
    onnx.save(
        model,
        folder / "two parts.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    return folder / "two parts.onnx"


@pytest.fixture
def packaged(tmp_path: Path) -> WrittenBundle:
    choice = ModelChoice(path=with_external_data(tmp_path / "model"))
    output = tmp_path / "bundle.pyz"
    return package_model(
        choice, "jetson-nano", output=output, shapes={"x": (3, 32)}, threads=2, sequence=7
    )


def test_it_is_the_same_but_for_the_python(
    packaged: WrittenBundle, stand_in: Target, tmp_path: Path
) -> None:
    mine = packaged.manifest
    told: list[float] = []
    path = stand_in_bundle(packaged.path, mine, stand_in, tmp_path / "new", told.append)
    assert path == tmp_path / "new" / "stand-in.pyz"
    made = manifest_of(path)
    assert (mine.python, made.python) == ("3.8", "3.9")
    assert (made.target, made.architecture) == ("jetson-nano-stand-in", "aarch64")
    assert (made.runtime, made.runtime_version) == (mine.runtime, mine.runtime_version)
    assert (made.session, made.sequence, made.samples) == (mine.session, 7, mine.samples)
    assert (made.model.sha256, made.model.inputs) == (mine.model.sha256, mine.model.inputs)
    wheels = {wheel.filename for wheel in made.wheels if wheel.name == made.runtime}
    assert wheels == {
        "onnxruntime-1.19.2-cp39-cp39-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl"
    }
    assert made.apt_packages == ()
    same = {mine.model.path, "model/weights.bin", mine.samples.path}
    assert members(path, same) == members(packaged.path, same)
    assert len(members(path, same)) == 3
    assert runtime_difference(path, mine) == ()
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


def test_outputs_changed_by_hand_stay_changed(
    packaged: WrittenBundle,
    stand_in: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The expected outputs are the bundle's: nothing is run here to make new ones."""

    def no_run(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("the model was run")

    monkeypatch.setattr("edge.workflows.package.make_bundle_samples", no_run)
    rule = replace(packaged.manifest.samples, atol=0.25, reference="by hand")
    changed = replace(packaged.manifest, samples=rule)
    path = stand_in_bundle(packaged.path, changed, stand_in, tmp_path / "new")
    assert manifest_of(path).samples == rule


def test_a_version_without_a_wheel_gives_way_to_the_nearest(
    packaged: WrittenBundle, stand_in: Target, tmp_path: Path
) -> None:
    wanted = replace(packaged.manifest, runtime_version="1.19.3")
    path = stand_in_bundle(packaged.path, wanted, stand_in, tmp_path / "new")
    made = manifest_of(path)
    assert made.runtime_version == "1.19.2"
    assert runtime_difference(path, wanted) == (
        "The runtime is onnxruntime 1.19.2 and not 1.19.3, which has no wheel for Python 3.9.",
    )


def test_a_runtime_that_the_target_has_not_is_told(
    packaged: WrittenBundle, stand_in: Target, tmp_path: Path
) -> None:
    wanted = replace(packaged.manifest, runtime="ai-edge-litert")
    with pytest.raises(BundleError) as caught:
        stand_in_bundle(packaged.path, wanted, stand_in, tmp_path / "new")
    assert str(caught.value) == (
        f"{packaged.path}: no bundle of it can be made for what stands in for its target: "
        "jetson-nano-stand-in: --runtime ai-edge-litert runs TFLite models only; this one is ONNX"
    )
    assert caught.value.hint is not None


def test_a_damaged_bundle_is_refused(
    packaged: WrittenBundle, stand_in: Target, tmp_path: Path
) -> None:
    data = bytearray(packaged.path.read_bytes())
    data[len(data) // 2] ^= 1
    packaged.path.write_bytes(data)
    with pytest.raises(BundleError, match="the file is damaged"):
        stand_in_bundle(packaged.path, packaged.manifest, stand_in, tmp_path / "new")


def test_the_nearest_version_is_the_one_with_the_nearest_numbers(
    packaged: WrittenBundle, stand_in: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ("2.0.0", "1.20.1", "1.19.4", "1.19.0", "1.9.0")
    monkeypatch.setattr(stand_in_module, "pip_versions", lambda *_arguments: there)
    for wanted, expected in {
        "1.19.2": "1.19.0",
        "1.19.3": "1.19.4",
        "1.21.0": "1.20.1",
        "1.14": "1.9.0",
        "3.0.0": "2.0.0",
    }.items():
        manifest = replace(packaged.manifest, runtime_version=wanted)
        assert stand_in_module._nearest_version(manifest, stand_in) == expected
    monkeypatch.setattr(stand_in_module, "pip_versions", lambda *_arguments: ())
    assert stand_in_module._nearest_version(packaged.manifest, stand_in) is None


def test_a_target_in_memory_can_be_packaged_for(stand_in: Target, tmp_path: Path) -> None:
    written = package_model(resolve_model(None), stand_in, output=tmp_path / "bundle.pyz")
    assert written.manifest.target == "jetson-nano-stand-in"
    assert written.manifest.python == "3.9"
