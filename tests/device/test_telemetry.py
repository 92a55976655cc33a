import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.device import telemetry as module
from edge.device.facts import read_host_facts
from edge.device.telemetry import Machine, Sampler, spare_core, telemetry_of
from edge.records.host import Reading

TREES = Path(__file__).parent / "trees"
PI = read_host_facts(str(TREES / "raspberry-pi-4"))
NOTHING = Reading(0, None, None, None, None)

READINGS = {
    "raspberry-pi-4": Reading(0, 1_800_000_000, 48.312, (), 3386712 << 10),
    "raspberry-pi-5": Reading(0, 1_500_000_000, 52.35, ("under-voltage",), 7425360 << 10),
    "jetson-nano": Reading(0, 1_479_000_000, 37.25, (), 2711044 << 10, 2.214),
    "laptop": Reading(0, 2_100_000_000, 61.0, (), 9212004 << 10),
    "cpuset-container": Reading(0, None, None, None, 21000000 << 10),
}


class Counted:
    """Reads numbers, and says when there were enough of them."""

    def __init__(self, enough: int) -> None:
        self.read_by: set[int] = set()
        self.cores: set[frozenset[int]] = set()
        self.done = threading.Event()
        self._count, self._enough = 0, enough

    def __call__(self) -> int:
        self.read_by.add(threading.get_ident())
        self.cores.add(frozenset(os.sched_getaffinity(0)))
        self._count += 1
        if self._count >= self._enough:
            self.done.set()
        return self._count


@pytest.fixture
def child() -> Iterator["subprocess.Popen[str]"]:
    """A process that says on which cores it may run once it is asked."""
    code = "import os; input(); print(sorted(os.sched_getaffinity(0)))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def open_below(root: Path) -> list[str]:
    found = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    return [path for path in found if path.startswith(str(root.resolve()) + "/")]


def test_readings_come_from_a_thread_that_ends() -> None:
    read = Counted(5)
    with Sampler(read, interval_s=0.001) as sampler:
        assert not read.done.is_set()
        sampler.start(os.getpid())
        assert read.done.wait(10)
    assert [value for _, value in sampler.readings] == list(range(1, len(sampler.readings) + 1))
    times = [at_ns for at_ns, _ in sampler.readings]
    assert sampler.started_ns <= times[0]
    assert times == sorted(times)
    assert len(sampler.costs_ns) == len(times)
    assert len(read.read_by) == 1
    assert threading.get_ident() not in read.read_by
    assert "telemetry" not in [thread.name for thread in threading.enumerate()]


def test_without_a_start_nothing_is_read() -> None:
    read = Counted(1)
    with Sampler(lambda: replace(NOTHING, at_ns=read())) as sampler:
        pass
    assert not read.done.is_set()
    assert telemetry_of(sampler) is None


def test_it_ends_with_the_block_whatever_happens() -> None:
    allowed = os.sched_getaffinity(0)
    core = max(allowed) if len(allowed) > 1 else None

    def fails() -> None:
        with Sampler(Counted(1), interval_s=60, core=core) as sampler:
            sampler.start(os.getpid())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert "telemetry" not in [thread.name for thread in threading.enumerate()]
    assert os.sched_getaffinity(0) == allowed


def test_long_runs_keep_every_second_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_READINGS", 8)
    read = Counted(30)
    with Sampler(read, interval_s=0.001) as sampler:
        sampler.start(os.getpid())
        assert read.done.wait(10)
    # Nine readings leave five, and each four more double it again: six times at 29.
    assert round(sampler.interval_s / 0.001) in (64, 128)
    values = [value for _, value in sampler.readings]
    assert values[0] == 1
    assert values == sorted(values)
    assert len(values) <= 8
    assert len(sampler.costs_ns) >= 30


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_the_child_and_the_readings_part_the_cores(child: "subprocess.Popen[str]") -> None:
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    read = Counted(2)
    with Sampler(read, interval_s=0.001, core=core) as sampler:
        sampler.start(child.pid)
        told, _ = child.communicate("\n", 30)
        assert read.done.wait(10)
        assert os.sched_getaffinity(0) == {core}
    assert told == f"{sorted(allowed - {core})}\n"
    assert read.cores == {frozenset({core})}
    assert os.sched_getaffinity(0) == allowed
    assert sampler.core == core


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_child_that_is_gone_leaves_the_cores_alone(child: "subprocess.Popen[str]") -> None:
    child.communicate("\n", 30)
    allowed = os.sched_getaffinity(0)
    read = Counted(1)
    with Sampler(read, core=max(allowed)) as sampler:
        sampler.start(child.pid)
        assert read.done.wait(10)
        assert os.sched_getaffinity(0) == allowed
    assert sampler.core is None


def test_what_was_read_becomes_a_record() -> None:
    sampler = Sampler(lambda: NOTHING, interval_s=0.5, core=3)
    sampler.started_ns = 1000
    reading = replace(NOTHING, clock_hz=7)
    sampler.readings = [(1000, NOTHING), (501000, reading)]
    sampler.costs_ns = [90, 20, 40]
    told = telemetry_of(sampler)
    assert told is not None
    assert (told.interval_ns, told.core) == (500_000_000, 3)
    assert (told.cost_ns, told.total_cost_ns) == (40, 150)
    assert told.readings == (NOTHING, replace(reading, at_ns=500_000))


@pytest.mark.parametrize("tree", READINGS)
def test_a_reading_of_a_machine_like_this(tree: str) -> None:
    machine = Machine(str(TREES / tree))
    assert machine.read() == READINGS[tree]
    machine.close()
    assert machine.read() == NOTHING


def test_files_are_read_anew_and_closed(tmp_path: Path) -> None:
    root = Path(shutil.copytree(TREES / "jetson-orin-nano", tmp_path / "tree"))
    machine = Machine(str(root))
    assert len(open_below(root)) == 8
    assert machine.read().power_watts == 4.912 * 0.928
    clock = root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    clock.write_text("1510400\n", encoding="utf-8")
    rail = root / "sys/class/hwmon/hwmon1/curr1_input"
    rail.write_text("2000\n", encoding="utf-8")
    for device in (0, 2):
        cooling = root / f"sys/class/thermal/cooling_device{device}/cur_state"
        cooling.write_text("0\n", encoding="utf-8")
    zone = root / "sys/class/thermal/thermal_zone0/temp"
    zone.write_text("61250\n", encoding="utf-8")
    memory = 5604112 << 10
    assert machine.read() == Reading(0, 1_510_400_000, 61.25, (), memory, 9.824)
    machine.close()
    assert open_below(root) == []


def test_power_of_a_counter_is_its_rise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(shutil.copytree(TREES / "laptop", tmp_path / "tree"))
    times = iter([1_000_000_000, 1_500_000_000])
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter_ns=lambda: next(times)))
    machine = Machine(str(root))
    assert machine.read().power_watts is None
    counter = root / "sys/class/powercap/intel-rapl:0/energy_uj"
    counter.write_text("262004000000\n", encoding="utf-8")
    assert machine.read().power_watts == pytest.approx(8.0)
    machine.close()


@pytest.mark.parametrize(
    ("allowed", "limits", "core"),
    [
        ({0, 1, 2, 3}, (None, 3), 3),
        ({0, 1, 2, 3}, (None, 4), None),
        ({0, 1, 5}, (None, 1), 5),
        ({2}, (None, 1), None),
        ({0, 1, 2, 3}, (1.5, 1), 3),
        ({0, 1, 2, 3}, (2.0, 2), None),
        # The tree says four.
        ({0, 1, 2, 3, 4, 5}, (None, 4), None),
    ],
)
def test_a_core_is_spared_where_there_is_one(
    allowed: set[int],
    limits: tuple[float | None, int],
    core: int | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed)
    quota, threads = limits
    assert spare_core(replace(PI, cpu_quota=quota), threads, str(tmp_path)) == core


def test_a_slow_core_is_spared_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    for core, capacity in enumerate([446, 446, 1024, 1024]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}"
        folder.mkdir(parents=True)
        (folder / "cpu_capacity").write_text(f"{capacity}\n", encoding="utf-8")
    assert spare_core(PI, 2, str(tmp_path)) == 1
