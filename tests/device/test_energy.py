import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.device import energy
from edge.device.energy import Window, cumulated, joules_between, measure_energy, window_of
from edge.errors import RuntimeFailure

TREES = Path(__file__).parent / "trees"
S = 1_000_000_000


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "_IDLE_S", 0.05)
    monkeypatch.setattr(energy, "_INTERVAL_S", 0.01)
    monkeypatch.setattr(energy, "_LATE_S", 0.3)
    monkeypatch.setattr(energy, "_LOOK_S", 0.01)


def tree(tmp_path: Path, name: str) -> Path:
    return Path(shutil.copytree(TREES / name, tmp_path / name))


def replaced(path: Path, text: str) -> None:
    """Write in place: sysfs keeps its inode, and no reader may see an empty file."""
    with path.open("r+", encoding="utf-8") as file:
        file.write(text.ljust(24) + "\n")


class Pass:
    """A pass of ten queries, during which `each` is called before each of its steps."""

    def __init__(self, each: Callable[[int], None], steps: int = 20, step_s: float = 0.01) -> None:
        self._each, self._steps, self._step_s = each, steps, step_s
        self.answer: dict[str, Any] = {}

    def __call__(self, started: Callable[[int], None] | None) -> Mapping[str, Any]:
        if started is not None:
            started(os.getpid())
            # A child imports its runtime first.
            time.sleep(0.02)
        begun = time.time_ns()
        changing = threading.Thread(target=self._change)
        changing.start()
        changing.join()
        length = time.time_ns() - begun
        self.answer = {
            "timed_unix_ns": begun,
            "duration_ns": length,
            "latencies_ns": [length // 10] * 10,
        }
        return self.answer

    def _change(self) -> None:
        for step in range(self._steps):
            self._each(step)
            time.sleep(self._step_s)


def nothing(_: int) -> None:
    pass


def test_rails_are_integrated(tmp_path: Path) -> None:
    root = tree(tmp_path, "jetson-orin-nano")
    current = root / "sys/class/hwmon/hwmon1/curr1_input"
    run = Pass(lambda _: replaced(current, "2000"))
    told, missing = measure_energy(run, root=str(root))
    assert missing is None
    assert told is not None
    assert (told.source, told.inferences) == ("rails VDD_IN", 10)
    assert told.duration_ns == run.answer["duration_ns"]
    # 4.912 V at 0.928 A at rest, and at 2 A from the start of the pass on.
    assert told.idle_watts == pytest.approx(4.912 * 0.928)
    assert told.watts <= 4.912 * 2 + 1e-9
    assert told.watts >= 4.912 * 1.5
    joules = told.watts * told.duration_ns / S
    assert told.joules_per_inference == pytest.approx(joules / 10)
    idle = 4.912 * 0.928 * told.duration_ns / S
    assert told.above_idle_joules == pytest.approx((joules - idle) / 10)


def test_all_rails_are_added_where_none_carries_all(tmp_path: Path) -> None:
    root = tree(tmp_path, "jetson-orin-nano")
    (root / "sys/class/hwmon/hwmon1/in1_label").write_text("NC\n", encoding="utf-8")
    told, _ = measure_energy(Pass(nothing), samples_per_query=8, root=str(root))
    assert told is not None
    assert told.source == "rails VDD_CPU_GPU_CV + VDD_SOC"
    assert told.watts == pytest.approx(4.904 * 0.128 + 4.904 * 0.272)
    assert told.inferences == 80


def test_an_old_drivers_rails_are_in_milliwatts() -> None:
    told, _ = measure_energy(Pass(nothing), root=str(TREES / "jetson-nano"))
    assert told is not None
    assert told.source == "rails POM_5V_IN"
    assert told.watts == pytest.approx(2.214)
    assert told.above_idle_joules == pytest.approx(0, abs=1e-9)


def test_a_counter_that_wraps_around(tmp_path: Path) -> None:
    root = tree(tmp_path, "laptop")
    folder = root / "sys/class/powercap/intel-rapl:0"
    top = 262_143_328_850
    first = top - 900_000
    replaced(folder / "energy_uj", str(first))

    # A tenth of a joule at each of twenty steps; at the tenth it wraps around.
    run = Pass(lambda step: replaced(folder / "energy_uj", str((first + step * 100_000) % top)))
    told, missing = measure_energy(run, root=str(root))
    assert missing is None
    assert told is not None
    assert told.source == "RAPL package-0"
    joules = told.joules_per_inference * told.inferences
    assert 1.5 <= joules <= 1.9 + 1e-6
    assert told.idle_watts == 0
    assert told.above_idle_joules == pytest.approx(joules / 10)


def test_a_counter_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, "laptop")
    counter = root / "sys/class/powercap/intel-rapl:0/energy_uj"
    counter.unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    reason = (
        "RAPL package-0 is there, but its energy_uj cannot be read: since Linux 5.10 only root may"
    )
    assert measure_energy(Pass(nothing), root=str(root)) == (None, reason)


def test_no_meter_at_all_needs_no_pass(tmp_path: Path) -> None:
    def never(_: object) -> Mapping[str, Any]:
        raise AssertionError

    told, reason = measure_energy(never, root=str(tmp_path))
    assert told is None
    assert reason == (
        "no power meter: neither INA3221 rails (/sys/bus/i2c/drivers/ina3221x, /sys/class/hwmon) "
        "nor RAPL (/sys/class/powercap/intel-rapl:*)"
    )


def test_a_pass_that_fails_is_a_reason() -> None:
    def fails(_: object) -> Mapping[str, Any]:
        raise RuntimeFailure("the child died of SIGKILL", where="digits")

    expected = "the energy pass failed: digits: the child died of SIGKILL"
    assert measure_energy(fails, root=str(TREES / "jetson-nano")) == (None, expected)


def test_a_meters_file_that_is_written_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "plug.csv"
    path.write_text("time,watts\n", encoding="utf-8")

    def write(watts: float) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{time.time_ns() / S:.6f},{watts}\n")

    write(3.0)
    run = Pass(lambda _: write(3.0))

    def run_and_go_on(started: Callable[[int], None] | None) -> Mapping[str, Any]:
        answer = run(started)
        write(3.0)
        # The meter is in the middle of its line.
        with path.open("a", encoding="utf-8") as file:
            file.write("17")
        return answer

    told, missing = measure_energy(run_and_go_on, meter=str(path))
    assert missing is None
    assert told is not None
    assert told.source == "meter file plug.csv"
    assert told.watts == pytest.approx(3.0)
    assert told.idle_watts == pytest.approx(3.0)


def test_a_file_that_comes_afterwards_may_be_late(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    run = Pass(nothing)
    timers: list[threading.Timer] = []

    def copied() -> None:
        begun = run.answer["timed_unix_ns"] / S
        rows = [f"{begun - 0.01 + place / 100:.3f};12.5" for place in range(200)]
        staged = tmp_path / "staged"
        staged.write_text("\n".join(rows) + "\n", encoding="utf-8")
        staged.rename(path)

    def run_and_copy(started: Callable[[int], None] | None) -> Mapping[str, Any]:
        answer = run(started)
        timers.append(threading.Timer(0.05, copied))
        timers[0].start()
        return answer

    told, missing = measure_energy(run_and_copy, meter=str(path))
    timers[0].join()
    assert missing is None
    assert told is not None
    assert told.watts == pytest.approx(12.5)
    # It does not reach back to the rest before the pass.
    assert (told.idle_watts, told.above_idle_joules) == (None, None)


def test_a_file_that_does_not_cover_the_pass(tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    assert measure_energy(Pass(nothing), meter=str(path)) == (
        None,
        f"{path}: no such file or directory",
    )
    path.write_text("1,5\n2,5\n", encoding="utf-8")
    told, reason = measure_energy(Pass(nothing), meter=str(path))
    assert told is None
    assert reason is not None
    assert reason.startswith("meter file meter.csv: 0 readings within the pass of 0.")
    assert reason.endswith(" s, and not from its start to its end")
    now = time.time()
    path.write_text(f"{now - 100},5\n{now + 100},5\n", encoding="utf-8")
    _, reason = measure_energy(Pass(nothing), meter=str(path))
    assert reason is not None
    assert reason.endswith(" s, and 3 are needed")


def test_energy_between_two_times() -> None:
    # Two watts for a second, then a rise to four.
    curve = cumulated([(0, 2.0), (S, 2.0), (2 * S, 4.0)])
    assert curve == [(0, 0.0), (S, 2.0), (2 * S, 5.0)]
    assert joules_between(curve, Window(0, 2 * S)) == 5.0
    assert joules_between(curve, Window(S // 2, S)) == 1.0
    assert joules_between(curve, Window(S // 2, 3 * S // 2)) == 2.5
    assert joules_between(curve, Window(-1, S)) is None
    assert joules_between(curve, Window(S, 2 * S + 1)) is None
    assert joules_between([], Window(0, S)) is None


@given(
    st.floats(0.1, 1e4),
    st.lists(st.integers(0, 10**12), min_size=2, max_size=50, unique=True),
    st.data(),
)
def test_constant_power_makes_its_energy_everywhere(
    watts: float, times: list[int], data: st.DataObject
) -> None:
    curve = cumulated([(at_ns, watts) for at_ns in sorted(times)])
    start = data.draw(st.integers(min(times), max(times)))
    end = data.draw(st.integers(start, max(times)))
    joules = joules_between(curve, Window(start, end))
    assert joules == pytest.approx(watts * (end - start) / S, rel=1e-6, abs=1e-6 * watts)


def test_the_window_begins_after_what_went_before() -> None:
    answer = {
        "started_unix_ns": 1000,
        "import_ns": 10,
        "load_ns": 20,
        "first_inference_ns": 30,
        "warmup_ns": [5, 5],
        "latencies_ns": [7, 8],
    }
    assert window_of(answer) == Window(1070, 1085)
    assert window_of({**answer, "duration_ns": 50}) == Window(1070, 1120)
    assert window_of({**answer, "timed_unix_ns": 1200}) == Window(1200, 1215)
