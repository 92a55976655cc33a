"""The default model and real ones, fp32 and int8, through every Arm target, as shipped.

Each goes through the matrix: packaged, its commands run on the emulated processor, its samples
compared with what this machine gave. What is counted is shown elsewhere; no time is looked at.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emulated_models import MODELS, EmulatedModel, choice_of, other_inputs, outputs_here

from edge.adapters.targets import load_target, load_targets
from edge.device.bundle import open_bundle
from edge.reasoning.stand_in import stand_in_for
from edge.records.emulation import Emulation
from edge.records.manifest import Manifest
from edge.workflows.emulate import EmulateOptions, emulate_bundle
from edge.workflows.emulated_place import set_up
from edge.workflows.emulation_matrix import emulate_matrix
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

_LONGEST_S = 600.0
# How far an fp32 output may be off, or by which part of the largest where that is above 1.
_NEAR = 1e-4


@pytest.fixture(autouse=True)
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    return shared_cache


def test_no_arm_target_is_left_out() -> None:
    arm = {
        target.name
        for target in load_targets()
        if target.kind != "cloud-gpu" and target.cpu.architecture != "x86_64"
    }
    assert {name for model in MODELS for name in model.targets} == arm
    # Each of them has both precisions, and the default model in a form that it has a runtime for.
    for name in arm:
        mine = [model for model in MODELS if name in model.targets]
        assert {model.is_int8 for model in mine} == {True, False}
        assert [model for model in mine if model.name.startswith("digits")] != []


@pytest.fixture
def emulated(tmp_path: Path) -> Callable[[EmulatedModel, ModelChoice, Path], Any]:
    def matrix(model: EmulatedModel, choice: ModelChoice, inputs: Path | None) -> Any:
        return emulate_matrix(
            choice,
            model.targets,
            lambda bundle, target, progress: emulate_bundle(
                bundle, EmulateOptions(target=target, count=False), progress
            ),
            inputs=inputs,
            keep=tmp_path / "bundles",
        )

    return matrix


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_it_comes_out_on_every_target_as_here(
    model: EmulatedModel, emulated: Callable[..., Any], tmp_path: Path
) -> None:
    choice = choice_of(model, tmp_path)
    info = inspect_model(choice.path, choice.shapes)
    # Of the model without pictures in its card the same few everywhere; the digits have theirs.
    inputs = None if choice.samples is not None else own_inputs(info.inputs, tmp_path)
    matrix = emulated(model, choice, inputs)
    assert matrix.not_emulated == ()
    assert [row.target for row in matrix.emulations] == list(model.targets)
    here = outputs_here(choice.path, model.format, other_inputs(info.inputs))
    for emulation, path in zip(matrix.emulations, by_target(tmp_path, model), strict=True):
        require_passed(emulation, path, model)
    # Outputs that no bundle carries, from the first target.
    there = outputs_there(by_target(tmp_path, model)[0], model.targets[0], info.inputs, tmp_path)
    for got, expected in zip(there, here, strict=True):
        assert got.shape == expected.shape
        if model.is_int8:
            assert same_class(got, expected)
        else:
            np.testing.assert_allclose(got, expected, rtol=0, atol=allowed(expected))


def own_inputs(specs: Any, folder: Path) -> Path:
    path = folder / "own.npz"
    np.savez(path, **{name: values[:2] for name, values in other_inputs(specs, seed=3).items()})
    return path


def by_target(folder: Path, model: EmulatedModel) -> list[Path]:
    """Return the bundles in the order of the model's targets."""
    found = []
    for target in model.targets:
        (path,) = (folder / "bundles").glob(f"*-{target}.pyz")
        found.append(path)
    return found


def allowed(values: Any) -> float:
    """Return how far outputs may be off: 1e-4, or as much of the largest where that is above 1."""
    return _NEAR * max(1.0, float(np.abs(values).max()))


def same_class(got: Any, expected: Any) -> bool:
    """Whether every sample of scores has its largest at the same place, and the rest is near."""
    if got.shape[-1] == 16:
        # Places of boxes are no scores: an int8 network's may be a step off.
        return bool(np.abs(got - expected).max() <= 0.05 * np.abs(expected).max())
    if got.size == len(got):
        # One score of a query: heard or not, and at most a step off.
        assert expected.max() > 0
        return bool(np.abs(got.astype(int) - expected.astype(int)).max() <= 1)
    flat = (len(got), -1)
    return bool((got.reshape(flat).argmax(1) == expected.reshape(flat).argmax(1)).all())


def require_passed(emulation: Emulation, path: Path, model: EmulatedModel) -> None:
    assert emulation.findings == (), emulation.target
    outcomes = {step.name: step.outcome for step in emulation.steps}
    assert [outcomes[name] for name in ("audit", "verify", "run")] == ["passed"] * 3
    assert emulation.place.qemu_cpu is not None
    outputs = emulation.outputs
    assert outputs is not None
    assert outputs.agreed == outputs.samples > 0
    manifest, largest = carried(path)
    assert outputs.samples == manifest.samples.count
    assert emulation.model_sha256 == manifest.model.sha256
    if model.is_int8:
        # Classes are compared where the outputs are classes, else the values.
        assert outputs.compare == ("top1" if model.name.startswith("digits") else "close")
    else:
        assert outputs.compare == "close"
        assert outputs.largest_difference is not None
        assert outputs.largest_difference <= _NEAR * max(1.0, largest)


def carried(path: Path) -> tuple[Manifest, float]:
    """Return a bundle's manifest and the largest magnitude of its expected outputs."""
    with open_bundle(str(path)) as bundle:
        samples = path.with_suffix(".npz")
        listed = bundle.listed(bundle.manifest.samples.path)
        samples.write_bytes(b"".join(bundle.blocks(listed)))
        manifest = bundle.manifest
    with np.load(samples) as arrays:
        outputs = [arrays[name] for name in arrays.files if name.startswith("output.")]
    return manifest, max(float(np.abs(values.astype(float)).max()) for values in outputs)


def outputs_there(bundle: Path, name: str, specs: Any, folder: Path) -> list[Any]:
    """Return what the bundle gives on its target for inputs that it does not carry."""
    target = load_target(name)
    inputs, outputs = folder / "others.npz", folder / "outputs.npz"
    np.savez(inputs, **other_inputs(specs))
    stand_in = stand_in_for(target)
    assert stand_in.exact
    with set_up(target, stand_in, count=False, progress=lambda _fraction: None) as place:
        home = place.folder / "home"
        home.mkdir()
        words = ("run", "--inputs", str(inputs), "--outputs", str(outputs))
        ran = place.runner.run(bundle, *words, home=home, wall_s=_LONGEST_S)
    assert ran.status == 0, ran.stderr
    with np.load(outputs) as arrays:
        return [arrays[key] for key in arrays.files]
