"""Which numpy compiled modules ask for: by the names inside, and in the wheels that there are."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from small_bundle import tiny_wheel
from test_elf import small_elf

from edge.adapters.numpy_abi import NumpyNeeds, all_numpy_needs, numpy_misfit, numpy_needs
from edge.adapters.targets import load_target
from edge.adapters.wheel_audit import audited
from edge.adapters.wheelhouse import audit_wheels, wheels_for
from edge.errors import BundleError
from edge.reasoning.bundling import runtime_at
from edge.records.platform import platform_of
from edge.records.target import TargetRuntime, WheelPin

PI = platform_of(load_target("rpi4"))
PI_32 = platform_of(load_target("rpi4-32bit"))
NEW = b"\0numpy._core._multiarray_umath\0"
OLD = b"\0numpy.core._multiarray_umath\0"
FLOOR = b"module was compiled against NumPy C-API version 0x%x (NumPy 1.23) but the running\0"


@pytest.mark.parametrize(
    ("data", "needs"),
    [
        (b"", NumpyNeeds()),
        (b"numpy is only spoken of: numpy.core.multiarray failed to import\0", NumpyNeeds()),
        (OLD, NumpyNeeds(below_2=True)),
        (b"\0numpy.core.multiarray\0", NumpyNeeds(below_2=True)),
        # pybind11 2.12 knows both names; what the headers put in decides.
        (b"\0numpy._core\0numpy.core\0" + OLD, NumpyNeeds(below_2=True)),
        (b"\0numpy._core\0numpy.core\0", NumpyNeeds()),
        (NEW + OLD, NumpyNeeds()),
        (NEW + OLD + FLOOR, NumpyNeeds(oldest="1.23")),
        (NEW + FLOOR.replace(b"1.23", b"1.9") + FLOOR, NumpyNeeds(oldest="1.23")),
    ],
)
def test_the_names_inside(data: bytes, needs: NumpyNeeds) -> None:
    assert numpy_needs(data) == needs


@pytest.mark.parametrize(
    ("needs", "version", "misfit"),
    [
        (NumpyNeeds(below_2=True), "1.26.4", None),
        (NumpyNeeds(below_2=True), "2.0.0", "is compiled for numpy 1"),
        (NumpyNeeds(oldest="1.23"), "1.23.0", None),
        (NumpyNeeds(oldest="1.23"), "2.4.6", None),
        (NumpyNeeds(oldest="1.23"), "1.9.9", "is compiled for numpy 1.23 or newer"),
        (NumpyNeeds(oldest="2.1"), "1.26.4", "is compiled for numpy 2.1 or newer"),
        (NumpyNeeds(), "1.0", None),
    ],
)
def test_which_numpy_fits(needs: NumpyNeeds, version: str, misfit: str | None) -> None:
    assert numpy_misfit(needs, version) == misfit


def test_what_several_files_need_together() -> None:
    both = [NumpyNeeds(below_2=True), NumpyNeeds(oldest="1.9"), NumpyNeeds(oldest="1.16")]
    assert all_numpy_needs(both) == NumpyNeeds(below_2=True, oldest="1.16")
    assert all_numpy_needs([]) == NumpyNeeds()


def wheel(
    folder: Path, name: str, version: str, data: bytes = b"", *, wide: bool = True
) -> tuple[WheelPin, Path]:
    pin = WheelPin(
        name=name,
        version=version,
        filename=f"{name}-{version}-py3-none-any.whl",
        sha256=hashlib.sha256(repr((name, version, data)).encode()).hexdigest(),
        size_bytes=1,
    )
    path = folder / pin.filename
    path.write_bytes(tiny_wheel({"native.so": small_elf(extra=data, wide=wide)}))
    return pin, path


RUNTIME = TargetRuntime(backend="tflite", distribution="runtime", version="1.0")


def test_a_set_with_the_wrong_numpy_is_refused(tmp_path: Path) -> None:
    old = wheel(tmp_path, "runtime", "1.0", OLD)
    audit_wheels([old, wheel(tmp_path, "numpy", "1.26.4", NEW + OLD + FLOOR)], PI, RUNTIME)
    with pytest.raises(BundleError) as caught:
        audit_wheels([old, wheel(tmp_path, "numpy", "2.4.6", NEW)], PI, RUNTIME)
    assert str(caught.value) == (
        "rpi4: runtime-1.0-py3-none-any.whl is compiled for numpy 1, and numpy 2.4.6 comes beside it"
    )
    assert caught.value.hint == (
        "pin a numpy below 2 (numpy<2), or take another version of runtime"
    )


def test_the_numpy_of_the_targets_own_archive_counts(tmp_path: Path) -> None:
    new = wheel(tmp_path, "runtime", "1.0", NEW + FLOOR.replace(b"1.23", b"2.1"), wide=False)
    given = replace(RUNTIME, provided=("numpy==1.24.2",))
    with pytest.raises(BundleError) as caught:
        audit_wheels([new], PI_32, given)
    assert str(caught.value) == (
        "rpi4-32bit: runtime-1.0-py3-none-any.whl is compiled for numpy 2.1 or newer, "
        "and numpy 1.24.2 comes from its own archive"
    )
    audit_wheels([new], PI_32, replace(given, provided=("numpy==2.2.4",)))


def test_a_provided_package_has_an_exact_version() -> None:
    with pytest.raises(ValueError, match=r"provided must be like numpy==1\.24\.2, got numpy>=1"):
        replace(RUNTIME, provided=("numpy>=1",))


@pytest.fixture
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    return shared_cache


@pytest.mark.network
@pytest.mark.parametrize(
    ("target", "distribution", "version", "needs"),
    [
        ("jetson-nano", "tflite-runtime", "2.13.0", NumpyNeeds(below_2=True)),
        ("jetson-nano", "onnxruntime", "1.19.2", NumpyNeeds(below_2=True)),
        ("rpi4-32bit", "tflite-runtime", "2.14.0", NumpyNeeds(below_2=True)),
        ("rpi4", "tflite-runtime", "2.14.0", NumpyNeeds(below_2=True)),
        ("rpi4", "onnxruntime", "1.18.1", NumpyNeeds(below_2=True)),
        ("rpi4", "onnxruntime", "1.19.2", NumpyNeeds(oldest="1.16")),
        ("rpi4", "onnxruntime", "1.32.0", NumpyNeeds(oldest="1.23")),
        ("rpi4", "ai-edge-litert", "2.3.0", NumpyNeeds(oldest="1.20")),
    ],
)
def test_the_runtimes_that_there_are(
    cache: Path,
    *,
    target: str,
    distribution: str,
    version: str,
    needs: NumpyNeeds,
) -> None:
    platform = platform_of(load_target(target))
    (pinned,) = (r for r in platform.runtimes if r.distribution == distribution)
    wheels = wheels_for(platform, runtime_at(pinned, version))
    found = {pin.name: audited(pin, path).numpy for pin, path in wheels}
    assert found[distribution] == needs
    numpy = {pin.name: pin.version for pin, _ in wheels}.get("numpy")
    # Whether it was pinned or resolved, the set that comes out holds together.
    assert numpy is None or numpy_misfit(needs, numpy) is None
    audit_wheels(wheels, platform, pinned)
