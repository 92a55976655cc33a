"""The lock file of a bundle: packaging's own reader takes it, and selects what the target gets."""

from dataclasses import replace
from pathlib import Path

import pytest
from packaging.pylock import Pylock, PylockSelectError, is_valid_pylock_path

from edge.adapters.files import read_toml
from edge.adapters.pylock import lock_text
from edge.adapters.targets import load_target
from edge.adapters.wheelhouse import platform_tags
from edge.errors import BundleError
from edge.reasoning.bundle_parts import target_environment
from edge.records.manifest import LOCK_PATH
from edge.records.platform import Platform, platform_of
from edge.records.target import TargetRuntime

PLATFORMS = [platform_of(load_target(name)) for name in ("rpi4", "rpi4-32bit", "jetson-nano")]
PINNED = [(platform, runtime) for platform in PLATFORMS for runtime in platform.runtimes]
PI_32 = PLATFORMS[1]
(TFLITE,) = PI_32.runtimes


def locked(folder: Path, platform: Platform, runtime: TargetRuntime) -> Pylock:
    path = folder / LOCK_PATH
    path.write_bytes(lock_text(runtime.wheels, platform, runtime))
    assert is_valid_pylock_path(path)
    return Pylock.from_dict(read_toml(path))


@pytest.mark.parametrize(
    ("platform", "runtime"), PINNED, ids=[f"{p.name}-{r.distribution}" for p, r in PINNED]
)
def test_the_target_gets_exactly_its_wheels(
    tmp_path: Path, platform: Platform, runtime: TargetRuntime
) -> None:
    lock = locked(tmp_path, platform, runtime)
    chosen = lock.select(environment=target_environment(platform), tags=platform_tags(platform))
    found = {wheel.filename: wheel.hashes["sha256"] for _, wheel in chosen}
    assert found == {pin.filename: pin.sha256 for pin in runtime.wheels}
    assert runtime.wheels


def test_the_file_is_as_it_is() -> None:
    (pin,) = TFLITE.wheels
    assert (
        lock_text(TFLITE.wheels, PI_32, TFLITE).decode("utf-8")
        == f"""\
# The wheels of this bundle as the registry has them, by name and digest; the bundle itself carries
# what of each is used at run time. No index is named: put the wheels into wheels/ beside this file.

lock-version = "1.0"
environments = [
    "implementation_name == \\"cpython\\" and sys_platform == \\"linux\\" and \
(platform_machine == \\"aarch64\\" or platform_machine == \\"armv7l\\" or \
platform_machine == \\"armv8l\\")",
]
requires-python = "==3.11.*"
created-by = "edgekit"

[[packages]]
name = "tflite-runtime"
version = "2.14.0"

[[packages.wheels]]
name = "{pin.filename}"
path = "wheels/{pin.filename}"
size = {pin.size_bytes}

[packages.wheels.hashes]
sha256 = "{pin.sha256}"

[tool.edgekit]
target = "rpi4-32bit"
architecture = "armv7l"
glibc = "2.36"
runtime = "tflite-runtime"
runtime-version = "2.14.0"
apt-packages = [
    "python3-numpy",
]
"""
    )


def test_another_python_or_machine_is_refused(tmp_path: Path) -> None:
    platform, runtime = PINNED[0]
    lock = locked(tmp_path, platform, runtime)
    other = target_environment(replace(platform, python="3.13"))
    with pytest.raises(PylockSelectError, match="does not satisfy the Python version"):
        list(lock.select(environment=other, tags=platform_tags(platform)))
    other = target_environment(replace(platform, architecture="x86_64"))
    with pytest.raises(PylockSelectError, match="does not satisfy any of the environments"):
        list(lock.select(environment=other, tags=platform_tags(platform)))


def test_the_order_of_the_pins_changes_nothing() -> None:
    platform, runtime = PINNED[0]
    backwards = runtime.wheels[::-1]
    assert lock_text(backwards, platform, runtime) == lock_text(runtime.wheels, platform, runtime)


def test_pins_that_contradict_themselves_are_refused() -> None:
    (pin,) = TFLITE.wheels
    with pytest.raises(BundleError) as caught:
        lock_text([replace(pin, version="9.9")], PI_32, TFLITE)
    assert str(caught.value) == (
        f"rpi4-32bit: its wheels cannot be locked: Version in '{pin.filename}' is not consistent "
        "with package version '9.9' in 'packages[0].wheels[0]'"
    )
    with pytest.raises(BundleError, match="its wheels cannot be locked: Invalid version"):
        lock_text([replace(pin, version="latest")], PI_32, TFLITE)
