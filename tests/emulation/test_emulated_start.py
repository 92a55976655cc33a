"""Bundles really start on what they were made for: under qemu where that is a 64-bit Arm.

The outputs are compared with this machine's: those that the bundle carries, and those of inputs
that it does not carry. The processor is emulated and its time is no time, so none is looked at.

The Jetson Nano's stand-in differs from the board: Python is 3.9 and not 3.8, which no release of
Debian has, so every compiled wheel is another file of the same project (onnxruntime of the same
version; numpy of a newer one); the system is Debian 11 with glibc 2.31 and not Ubuntu 18.04 with
2.27, though the wheels must still do with 2.27; and there is no GPU.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_root import ArmRoot, dressed_root, make_root, missing_tools, run_program

from edge.adapters.bundle import WrittenBundle
from edge.adapters.data import data_folder
from edge.adapters.targets import load_target
from edge.backends import load_backend
from edge.device.fit import this_machine
from edge.records.measurement import SessionConfig
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

pytestmark = pytest.mark.network

MODELS = data_folder("models") / "digits-cnn"
STAND_IN = "jetson-nano-stand-in"
# The release of Debian whose C library and Python stand in for those of a target.
SUITES = {"3.11": "bookworm", "3.9": "bullseye"}


@dataclass(frozen=True)
class Case:
    target: str
    model: str
    runtime: str

    @property
    def is_int8(self) -> bool:
        return "int8" in self.model


CASES = (
    Case("rpi4", "digits-cnn-fp32.onnx", "onnxruntime"),
    Case("rpi4", "digits-cnn-int8.tflite", "ai-edge-litert"),
    # Its cores have dot-product instructions, for which the runtimes have other int8 kernels.
    Case("rpi5", "digits-cnn-int8.onnx", "onnxruntime"),
    Case("rpi5", "digits-cnn-fp32.tflite", "ai-edge-litert"),
    Case(STAND_IN, "digits-cnn-fp32.onnx", "onnxruntime"),
    Case("cloud-cpu", "digits-cnn-fp32.onnx", "onnxruntime"),
)


@dataclass(frozen=True)
class Started:
    """A bundle with what starts it on its target; what it unpacks stays from test to test."""

    case: Case
    bundle: WrittenBundle
    command: Callable[..., Any]

    def run(self, *arguments: str) -> str:
        """Run a command of the bundle, which must end well, and return what it printed."""
        done = self.command(self.bundle.path, *arguments)
        assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
        return str(done.stdout)


def require_emulator() -> None:
    missing = missing_tools()
    if not missing:
        return
    what = f"missing here: apt-get install {' '.join(missing)}"
    # There it can be installed, and nobody reads what was skipped.
    if os.environ.get("CI") and os.geteuid() == 0:
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")
def cache(shared_cache: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(shared_cache))
        yield shared_cache


@pytest.fixture(scope="module")
def bases(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the root of a Python version, made once."""
    made: dict[str, Path] = {}

    def base(python: str) -> Path:
        if python not in made:
            folder = tmp_path_factory.mktemp(SUITES[python])
            made[python] = make_root(folder, SUITES[python], python)
        return made[python]

    return base


def stand_in(folder: Path) -> Path:
    """Write the target that the Jetson Nano's file becomes with Debian 11's Python."""
    text = (data_folder("targets") / "jetson-nano.toml").read_text(encoding="utf-8")
    for old, new in (
        (r'^name = "jetson-nano"$', f'name = "{STAND_IN}"'),
        (r'^python = "3\.8"$', 'python = "3.9"'),
        (r"^aliases = .*\n|^apt_packages = .*\n|^wheels = \[\n(?: .*\n)*\]\n", ""),
    ):
        text, count = re.subn(old, new, text, flags=re.MULTILINE)
        assert count > 0, old
    path = folder / f"{STAND_IN}.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case.target}-{case.model}")
def started(
    request: pytest.FixtureRequest,
    cache: Path,
    bases: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Started:
    case: Case = request.param
    place = tmp_path_factory.mktemp("started")
    name = str(stand_in(place)) if case.target == STAND_IN else case.target
    target = load_target(name)
    home = place / "home"
    home.mkdir()
    if target.cpu.architecture == "aarch64":
        require_emulator()
        root = dressed_root(bases(target.os.python), place / "root", target)

        def command(program: Path, *arguments: str) -> Any:
            return root.start(program, *arguments, home=home)
    else:
        machine = this_machine()
        if (machine.architecture, machine.python) != (target.cpu.architecture, target.os.python):
            pytest.skip(f"{case.target} has {target.cpu.architecture}, Python {target.os.python}")

        def command(program: Path, *arguments: str) -> Any:
            # -S: as on a machine where nothing is installed beside Python.
            return run_program([sys.executable, "-S", str(program), *arguments], home)

    choice = resolve_model(f"digits-cnn:{case.model}")
    output = place / "bundle.pyz"
    bundle = package_model(choice, name, output=output, runtime=case.runtime)
    return Started(case, bundle, command)


def test_it_is_intact_and_fits(started: Started) -> None:
    lines = started.run("verify").splitlines()
    assert lines[0].startswith("the file is intact: ")
    manifest = started.bundle.manifest
    fits = f"this machine fits: {manifest.architecture}, Python {manifest.python}, glibc "
    assert [line for line in lines if line.startswith(fits)] != []


def test_it_says_what_it_is(started: Started) -> None:
    told = json.loads(started.run("info", "--json"))
    assert told["model"]["name"] == started.case.model
    assert told["target"] == started.case.target


def test_its_own_samples_come_out_as_here(started: Started) -> None:
    answer = json.loads(started.run("run", "--json"))
    assert (answer["count"], answer["agreed"]) == (16, 16)
    # It is the bundle's runtime that ran: this machine's is built for another processor.
    manifest = started.bundle.manifest
    told = (answer["runtime"]["distribution"], answer["runtime"]["version"])
    assert told == (started.case.runtime, manifest.runtime_version)


def test_other_inputs_come_out_as_here(started: Started, tmp_path: Path) -> None:
    # Dimmed and moved, so that no output is one that the bundle carries.
    images = np.roll(np.load(MODELS / "samples.npz")["images"], 1, axis=3) * np.float32(0.8)
    images = images[:, np.newaxis]
    here = outputs_here(started.case, images)
    inputs, outputs = tmp_path / "inputs.npz", tmp_path / "outputs.npz"
    (name,) = (spec.name for spec in started.bundle.manifest.model.inputs)
    np.savez(inputs, **{name: images})
    started.run("run", "--inputs", str(inputs), "--outputs", str(outputs))
    with np.load(outputs) as arrays:
        (there,) = (arrays[key] for key in arrays.files)
    assert there.shape == here.shape == (16, 1, 10)
    if started.case.is_int8:
        assert there.argmax(-1).tolist() == here.argmax(-1).tolist()
    else:
        np.testing.assert_allclose(there, here, rtol=0, atol=1e-4)


def outputs_here(case: Case, images: Any) -> Any:
    """Return what this machine's own runtime gives."""
    backend = "tflite" if case.model.endswith(".tflite") else "onnxruntime"
    session = load_backend(backend).open(str(MODELS / case.model), SessionConfig(backend, 1))
    (spec,) = session.inputs
    return np.stack([session.run({spec.name: image})[0] for image in images])


def test_a_bundle_for_another_python_is_refused(
    bases: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    require_emulator()
    target = load_target("rpi4")
    bundle = package_model(resolve_model(None), "rpi4", output=tmp_path / "bundle.pyz")
    dressed = dressed_root(bases("3.9"), tmp_path / "root", target)
    root = ArmRoot(dressed.folder, "3.9", dressed.cpu)
    done = root.start(bundle.path, "run", home=tmp_path)
    assert done.returncode == 5
    assert "made for Python 3.11, this is 3.9" in done.stderr
