"""What is said about wheels that do not exist for a platform, or do not run on it."""

from collections.abc import Sequence

import pytest

from edge.adapters import wheel_search
from edge.adapters.registry import NotInRegistry
from edge.adapters.targets import load_target
from edge.adapters.wheel_search import known_to_run, missing_wheel
from edge.adapters.wheelhouse import wheels_for
from edge.errors import BundleError
from edge.reasoning.bundling import runtime_at
from edge.records.platform import platform_of
from edge.records.target import TargetRuntime, WheelPin

ORIN = platform_of(load_target("jetson-orin-nano"))
JETSON = platform_of(load_target("jetson-nano"))
ONNX = TargetRuntime(backend="onnxruntime", distribution="onnxruntime", version="1.30.0")


def error(requirement: str | None) -> NotInRegistry:
    return NotInRegistry("nothing", where="x", requirement=requirement)


def python_of(options: Sequence[str]) -> tuple[int, ...]:
    return tuple(map(int, options[0].partition("=")[2].split(".")))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry with 1.30.0 from Python 3.11 on for 64-bit Arm, and 1.23.2 for older ones."""

    def versions(_name: str, options: Sequence[str]) -> tuple[str, ...]:
        if not any("aarch64" in option for option in options):
            return ()
        return ("1.30.0", "1.23.2") if python_of(options) >= (3, 11) else ("1.23.2",)

    monkeypatch.setattr(wheel_search, "pip_versions", versions)


@pytest.mark.usefixtures("registry")
def test_the_version_the_python_and_the_targets_that_do() -> None:
    told = missing_wheel(error("onnxruntime==1.30.0"), ORIN, ONNX)
    assert str(told) == (
        "jetson-orin-nano: onnxruntime 1.30.0 has no wheel for Python 3.10 and glibc 2.35 on aarch64"
    )
    assert told.hint == (
        "the newest that has one is 1.23.2: --runtime-version 1.23.2; there is one for Python 3.11; "
        "targets that it has one for: rpi-zero2w, rpi3, rpi4, rpi5, cloud-cpu-arm"
    )


def test_nothing_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel_search, "pip_versions", lambda *_: ())
    told = missing_wheel(error(None), ORIN, ONNX)
    assert told.hint == "the registry has no onnxruntime 1.30.0 for any target"


def test_what_it_needs_has_no_wheel() -> None:
    told = missing_wheel(error("NumPy>=1.22"), JETSON, ONNX)
    assert str(told) == (
        "jetson-nano: onnxruntime 1.30.0 needs NumPy>=1.22, and that has no wheel for "
        "Python 3.8 and glibc 2.27 on aarch64"
    )
    assert told.hint == "take another version with --runtime-version, or another target"


def pin(name: str, version: str) -> WheelPin:
    filename = f"{name.replace('-', '_')}-{version}-cp38-cp38-manylinux2014_aarch64.whl"
    return WheelPin(name=name, version=version, filename=filename, sha256="0" * 64, size_bytes=1)


def test_the_pins_of_the_targets_say_what_runs() -> None:
    assert known_to_run(pin("onnxruntime", "1.32.0"), JETSON, is_runtime=True) == (
        "take onnxruntime 1.19.2 (--runtime-version 1.19.2), which runs on such a system, or take a "
        "target that has it: rpi-zero2w, rpi3, rpi4, rpi5, cloud-cpu-arm, cloud-cpu, cloud-cpu-4c"
    )
    assert known_to_run(pin("numpy", "1.99"), JETSON, is_runtime=False) == (
        "take numpy 1.24.4, which runs on such a system"
    )
    assert known_to_run(pin("unheard-of", "1"), JETSON, is_runtime=False) == (
        "take an older version of it, or a newer system"
    )


@pytest.mark.network
def test_the_real_registry() -> None:
    (onnx,) = (r for r in JETSON.runtimes if r.distribution == "onnxruntime")
    with pytest.raises(BundleError) as caught:
        wheels_for(JETSON, runtime_at(onnx, "1.32.0"))
    assert str(caught.value) == (
        "jetson-nano: onnxruntime 1.32.0 has no wheel for Python 3.8 and glibc 2.27 on aarch64"
    )
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(
        "the newest that has one is 1.19.2: --runtime-version 1.19.2; "
    )
    assert "rpi4" in caught.value.hint
