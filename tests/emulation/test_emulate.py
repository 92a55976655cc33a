"""`edgekit emulate` as a user runs it: a bundle on its emulated target, the gate, a native target."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from edge.adapters.targets import load_target
from edge.reasoning.stand_in import stand_in_for
from edge.workflows.emulate import emulate_bundle
from edge.workflows.emulated_place import set_up
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

pytestmark = pytest.mark.network

SCHEMAS = Path(__file__).parent.parent.parent / "edge" / "schemas"


@pytest.fixture(autouse=True)
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture(scope="module")
def bundle(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a LiteRT bundle for the Raspberry Pi 4: it unpacks in half the time of the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(shared_cache))
        path = tmp_path_factory.mktemp("bundle") / "digits.pyz"
        package_model(resolve_model("digits-cnn:digits-cnn-fp32.tflite"), "rpi4", output=path)
        return path


def edgekit(*arguments: str, folder: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "edge", "emulate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        **options,
    )


def test_a_bundle_and_the_gate(bundle: Path, tmp_path: Path) -> None:
    first = edgekit(str(bundle), "-o", "first.json", folder=tmp_path)
    assert (first.returncode, first.stderr) == (0, "saved: first.json\n")
    told = json.loads((tmp_path / "first.json").read_text(encoding="utf-8"))
    schema = json.loads((SCHEMAS / "emulation.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(told, schema)
    assert {step["name"]: step["outcome"] for step in told["steps"]} == dict.fromkeys(
        ("audit", "verify", "run", "count", "memory"), "passed"
    )
    assert told["findings"] == []
    assert told["provenance"] == "emulated"
    assert told["place"]["qemu_cpu"] == "cortex-a72"
    assert told["outputs"]["agreed"] == told["outputs"]["samples"] == 16
    assert told["outputs"]["largest_difference"] <= 1e-4
    # A tiny network: some hundred thousand instructions an inference, some millions to import.
    counts = told["counts"]
    assert 10_000 < counts["steady_counts"][0] < 1_000_000
    assert counts["import_count"] > 50_000_000
    # An interpreter with a runtime, and not the emulator with its translated code.
    assert 20 << 20 < told["memory"]["peak_bytes"] < 150 << 20
    assert "counted with one thread; no time follows from it" in first.stdout

    # Held to itself it passes, without the network: PATH has no apt. Held to a tenth less it fails.
    programs = tmp_path / "programs"
    programs.mkdir()
    emulator = shutil.which("qemu-aarch64")
    if emulator is not None:
        (programs / "qemu-aarch64").symlink_to(emulator)
    offline = {**os.environ, "PATH": str(programs), "CC": shutil.which("cc") or ""}
    again = edgekit(
        str(bundle), "--baseline", "first.json", "--format", "junit", folder=tmp_path, env=offline
    )
    assert (again.returncode, again.stderr) == (0, "")
    suites = ET.fromstring(again.stdout)
    assert (suites.get("failures"), suites.get("errors")) == ("0", "0")

    counts["steady_counts"] = [count * 9 // 10 for count in counts["steady_counts"]]
    (tmp_path / "cheaper.json").write_text(json.dumps(told), encoding="utf-8")
    dearer = edgekit(
        str(bundle), "--baseline", "cheaper.json", "--max-increase", "5%", "--json", folder=tmp_path
    )
    assert dearer.returncode == 13
    (finding,) = json.loads(dearer.stdout)["findings"]
    assert (finding["kind"], finding["step"]) == ("cost-increase", "count")
    assert finding["what"].startswith("a steady inference takes ")
    assert "(allowed: 5 %)" in finding["what"]


def test_it_says_what_it_is_on_the_target(bundle: Path, tmp_path: Path) -> None:
    target = load_target("rpi4")
    with set_up(target, stand_in_for(target), count=False, progress=lambda _part: None) as place:
        ran = place.runner.run(bundle, "info", "--json", home=tmp_path, wall_s=300.0)
        # Only an emulator counts: anywhere else nobody would see the marks.
        refused = place.runner.run(bundle, "count", home=tmp_path, wall_s=300.0)
    assert ran.status == 0
    assert json.loads(ran.stdout)["target"] == "rpi4"
    assert refused.status == 2
    assert refused.stderr == "error: nothing counts here: run it by `edgekit emulate`\n"


def test_a_cloud_cpu_runs_natively(tmp_path: Path) -> None:
    target = load_target("cloud-cpu")
    if os.uname().machine != target.cpu.architecture:
        pytest.skip(f"{target.name} is {target.cpu.architecture}")
    path = tmp_path / "digits.pyz"
    package_model(resolve_model(None), target.name, output=path)
    emulation = emulate_bundle(path)
    assert emulation.findings == ()
    assert [(step.name, step.outcome) for step in emulation.steps] == [
        ("audit", "passed"),
        ("verify", "passed"),
        ("run", "passed"),
        ("count", "skipped"),
        ("memory", "passed"),
    ]
    assert emulation.outputs is not None
    assert emulation.outputs.agreed == 16
    assert emulation.place.emulator is None
    assert emulation.memory is not None
    assert emulation.memory.mode == "native"
    assert 20 << 20 < (emulation.memory.peak_bytes or 0) < 400 << 20
