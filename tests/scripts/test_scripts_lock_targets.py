"""The script that pins the wheels: closed on the target, and nothing else in the file changes."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge.adapters.data import data_folder
from edge.adapters.resolution import closure, marker_environment, provided_versions
from edge.adapters.targets import load_target, load_targets
from edge.errors import ConfigError
from edge.records.platform import platform_of
from edge.records.target import WheelPin

SCRIPT = Path(__file__).parents[2] / "scripts" / "lock_targets.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock_targets", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LOCK = script()
PIN = WheelPin(
    name="numpy", version="1.0", filename="numpy-1.0-any.whl", sha256="0" * 64, size_bytes=1234
)


def entry(name: str, version: str, *requirements: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "version": version, "requires_dist": list(requirements)}}


def closed(name: str, *entries: dict[str, Any], given: dict[str, str] | None = None) -> Any:
    environment = marker_environment(platform_of(load_target(name)))
    reached, missing = closure(entries, "Runtime", environment, given or {})
    return [e["metadata"]["name"] for e in reached], missing


def test_markers_are_those_of_the_target_and_not_of_this_machine() -> None:
    runtime = entry(
        "runtime",
        "1",
        "old-only>=1; python_version < '3.9'",
        "arm-only; platform_machine == 'aarch64'",
        "windows-only; sys_platform == 'win32'",
        "extra-only; extra == 'more'",
    )
    assert closed("jetson-nano", runtime) == (["runtime"], ["old-only>=1", "arm-only"])
    assert closed("rpi4", runtime) == (["runtime"], ["arm-only"])
    assert closed("cloud-cpu", runtime) == (["runtime"], [])


def test_what_only_this_machine_needs_is_left_out() -> None:
    runtime = entry("runtime", "1", "Needed_By.Target", "x; python_version > '3.9'")
    others = (entry("needed-by-target", "2"), entry("x", "1"), entry("y", "1"))
    assert closed("jetson-nano", runtime, *others) == (["runtime", "needed-by-target"], [])


def test_a_wrong_version_does_not_close_it() -> None:
    runtime = entry("runtime", "1", "numpy>=2")
    assert closed("rpi4", runtime, entry("numpy", "1.26.4")) == (["runtime"], ["numpy>=2"])


def test_what_apt_provides_is_given() -> None:
    runtime = entry("runtime", "1", "numpy>=1.23.2")
    target = load_target("rpi4-32bit")
    given = provided_versions(target.runtimes[0])
    assert given == {"numpy": "1.24.2"}
    assert closed("rpi4-32bit", runtime, given=given) == (["runtime"], [])
    newer = entry("runtime", "1", "numpy>=1.25")
    assert closed("rpi4-32bit", newer, given=given) == (["runtime"], ["numpy>=1.25"])


def test_only_what_stands_between_the_markers_changes() -> None:
    before = "a = 1\n# begin wheels of x: written by scripts/lock_targets.py\n"
    after = "# end wheels of x\n\n[[calibrations]]\nrows = 7\n"
    text = LOCK.replace_wheels(f"{before}wheels = []\n{after}", "x", [PIN])
    assert text == (
        f'{before}wheels = [\n  {{ name = "numpy", version = "1.0", '
        f'filename = "numpy-1.0-any.whl", sha256 = "{"0" * 64}", size_bytes = 1_234 }},\n]\n{after}'
    )
    assert LOCK.replace_wheels(text, "x", [PIN]) == text


@pytest.mark.parametrize("times", [0, 2])
def test_one_pair_of_marker_lines(times: int) -> None:
    begin, end = LOCK.markers("x")
    with pytest.raises(ConfigError, match="needs exactly one pair of marker lines for x"):
        LOCK.replace_wheels((begin + "wheels = []\n" + end) * times, "x", [PIN])


@pytest.mark.parametrize("target", load_targets(), ids=lambda target: target.name)
def test_the_pins_that_are_committed_are_what_the_script_writes(target: Any) -> None:
    path = data_folder("targets") / f"{target.name}.toml"
    text = path.read_text(encoding="utf-8")
    for runtime in target.runtimes:
        if target.kind == "cloud-gpu":
            assert LOCK.markers(runtime.distribution)[0] not in text
        else:
            assert LOCK.replace_wheels(text, runtime.distribution, runtime.wheels) == text


@pytest.mark.network
def test_a_target_is_locked_again_to_the_same_pins() -> None:
    # What exists for Python 3.8 and for armv7l has come to its end, so these pins do not move.
    for name in ("rpi4-32bit", "jetson-nano"):
        target = load_target(name)
        (tflite,) = (r for r in target.runtimes if r.backend == "tflite")
        pins = LOCK.pin_wheels(target, tflite)
        assert tuple(pins) == tflite.wheels


@pytest.mark.network
def test_lock_target_restores_lost_pins(tmp_path: Path) -> None:
    target = load_target("rpi4-32bit")
    original = data_folder("targets") / "rpi4-32bit.toml"
    copy = tmp_path / "rpi4-32bit.toml"
    shutil.copy(original, copy)
    copy.write_text(
        LOCK.replace_wheels(copy.read_text(encoding="utf-8"), "tflite-runtime", []),
        encoding="utf-8",
    )
    LOCK.lock_target(target, copy)
    assert copy.read_text(encoding="utf-8") == original.read_text(encoding="utf-8")
