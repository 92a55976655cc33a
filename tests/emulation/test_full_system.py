"""Machines with the memory of a Zero 2 W really boot, and run bundles in it or not."""

import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.adapters.debian_sources import KEYRING
from edge.adapters.targets import load_target
from edge.errors import ConfigError
from edge.records.manifest import Manifest
from edge.workflows.full_system import FullSystem, full_system
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

pytestmark = pytest.mark.network

MIB = 1 << 20
# Two arrays of 160 MB are alive at once, and from the second inference on onnxruntime holds as much
# again, as the plan that the first one gave it: 700 MB with its own 50.
ELEMENTS = 40_000_000


@pytest.fixture(autouse=True)
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("apt-get") is None or not KEYRING.is_file():
        if os.environ.get("CI"):
            pytest.fail("missing here: Debian's apt with its keys")
        pytest.skip("missing here: Debian's apt with its keys")
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    return shared_cache


def large_model(path: Path) -> None:
    """Write a small file whose activations are large."""
    nodes = [
        helper.make_node("Expand", ["x", "shape"], ["wide"]),
        helper.make_node("Add", ["wide", "column"], ["sum"]),
        helper.make_node("ReduceMax", ["sum"], ["y"], keepdims=0, axes=[1, 2]),
    ]
    column = np.linspace(0, 1, 1000, dtype=np.float32).reshape(1, 1, 1000)
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [
            numpy_helper.from_array(np.array([1, ELEMENTS // 1000, 1000], np.int64), "shape"),
            numpy_helper.from_array(column, "column"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def booted(
    model: str | None, made_for: str, target: str, folder: Path, inputs: Path | None = None
) -> FullSystem:
    output = folder / "bundle.pyz"
    # Threads that wait for each other on fewer cores than the machine has only take longer.
    choice = resolve_model(model)
    bundle = package_model(choice, made_for, output=output, inputs=inputs, threads=1)
    told: list[float] = []
    shown = full_system(bundle.path, bundle.manifest, load_target(target), progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    return shown


def test_the_default_bundle_runs_on_a_zero_2_w(tmp_path: Path) -> None:
    shown = booted(None, "rpi-zero2w", "rpi-zero2w", tmp_path)
    assert shown.findings == ()
    assert (shown.step.name, shown.step.outcome) == ("memory", "passed")
    memory = shown.memory
    assert (memory.mode, memory.machine_bytes) == ("full-system", 512 * MIB)
    assert memory.usable_bytes == 300 * MIB
    assert memory.sufficient_bytes is None
    # The kernel's own share changes with its version; what is left is set, in steps of 2 MiB.
    assert memory.available_bytes is not None
    assert 280 * MIB < memory.available_bytes <= 304 * MIB
    assert memory.peak_bytes is not None
    assert 30 * MIB < memory.peak_bytes < 150 * MIB
    assert shown.step.note.startswith("it takes ")


def test_a_model_that_needs_700_mb_is_killed_there(tmp_path: Path) -> None:
    large_model(tmp_path / "large.onnx")
    # The second inference is the one that takes most; more of them only take longer.
    np.savez(tmp_path / "inputs.npz", x=np.array([[[[1]]], [[[2]]]], np.float32))
    large, inputs = str(tmp_path / "large.onnx"), tmp_path / "inputs.npz"
    shown = booted(large, "rpi4", "rpi-zero2w", tmp_path, inputs)
    (finding,) = shown.findings
    assert (finding.kind, finding.step) == ("out-of-memory", "memory")
    assert finding.what == shown.step.note
    assert finding.what.startswith("out of memory: the kernel killed python3.11 when it had ")
    assert finding.remedy.endswith(", or a board with 1 GB")
    assert finding.peak_bytes is not None
    assert finding.peak_bytes == shown.memory.peak_bytes
    assert 200 * MIB < finding.peak_bytes < 512 * MIB
    # Those 700, and 260 that the system takes on any machine.
    assert finding.sufficient_bytes == shown.memory.sufficient_bytes
    assert finding.sufficient_bytes in {size * MIB for size in (832, 896, 960, 1024)}
    assert f"a machine with {finding.sufficient_bytes // MIB} MiB suffices" in finding.what


def test_another_processor_is_refused(tmp_path: Path) -> None:
    manifest = object.__new__(Manifest)
    with pytest.raises(ConfigError) as raised:
        full_system(tmp_path / "none.pyz", manifest, load_target("cloud-cpu"))
    assert raised.value.what == "only machines with a 64-bit Arm processor can be booted"
