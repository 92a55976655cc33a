"""The probe of a bundle, with all that it can be asked for."""

import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import pytest

from edge.device.probe_arguments import scenario_of
from edge.errors import UsageError
from edge.records.codec import from_dict
from edge.records.measurement import Measurement
from edge.records.scenario import ONE_BY_ONE, Scenario
from edge.records.search import BatchCurve, LoadSearch
from edge.records.sweep import SweepResult

SHORT = ("--min-time", "0", "--max-time", "2", "--min-queries", "20", "--warm-up", "1")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    return tmp_path


def device(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(bundle), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def answer(bundle: Path, *arguments: str) -> Any:
    done = device(bundle, "probe", "--json", *SHORT, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("options", "scenario"),
    [
        ((), ONE_BY_ONE),
        (("--target-qps", "100", "--limit-ms", "50"), Scenario("server", target_qps=100, limit_ns=50_000_000)),
        (("--scenario", "multi-stream", "--samples-per-query", "3"), Scenario("multi-stream", 3)),
        (("--scenario", "offline"), Scenario("offline")),
    ],
)  # fmt: skip
def test_scenarios(small: Path, home: Path, options: tuple[str, ...], scenario: Scenario) -> None:
    found = from_dict(Measurement, answer(small, *options))
    # The model's batch is fixed, so several samples run one after the other.
    assert found.scenario == scenario
    assert found.duration_ns is not None
    assert found.loop_overhead_ns is not None
    assert len(found.latencies_ns) >= 20


def test_graph_levels_and_providers_are_asked_for(small: Path, home: Path) -> None:
    found = from_dict(Measurement, answer(small, "--graph-level", "basic", "--provider", "cpu"))
    assert (found.config.graph_level, found.config.provider) == ("basic", "cpu")
    done = device(small, "probe", *SHORT, "--provider", "nothing")
    assert done.returncode == 2
    assert "nothing" in done.stderr


def test_stages_of_a_program(small: Path, home: Path) -> None:
    samples = Path(__file__).parents[2] / "models" / "digits-cnn" / "samples.npz"
    found = from_dict(Measurement, answer(small, "--input", str(samples)))
    names = [stage.name for stage in found.stages]
    assert names[-1] == "end to end"
    assert "inference" in names
    counts = {len(stage.latencies_ns) for stage in found.stages}
    assert len(counts) == 1
    sound = home / "x.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))
    done = device(small, "probe", *SHORT, "--input", str(home / "nowhere.png"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere.png" in done.stderr


def test_a_sweep_and_its_settings(small: Path, home: Path) -> None:
    options = ("--sweep", "threads,graph-level", "--rounds", "2", "--save-settings")
    result = from_dict(SweepResult, answer(small, *options, "-o", str(home / "out")))
    assert result.is_whole
    assert result.best is not None
    best = result.rows[result.best].config
    assert all(row.measurement is not None for row in result.rows)
    assert {len(row.measurement.rounds) for row in result.rows if row.measurement} == {2}
    assert (home / "out" / "digits-host.sweep.json").is_file()
    # What it wrote is used from now on, unless an option says otherwise.
    usual = from_dict(Measurement, answer(small)).config
    assert usual.threads == best.threads
    assert usual.graph_level == (None if best.graph_level == "all" else best.graph_level)
    assert from_dict(Measurement, answer(small, "--threads", "1")).config.threads == 1
    again = device(
        small, "probe", *SHORT, "--sweep", "threads,graph-level", "--rounds", "2", "--resume",
        "-o", str(home / "out"),
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "> " in again.stdout or ">*" in again.stdout


def test_the_batch_curve_and_the_highest_load(small: Path, home: Path) -> None:
    curve = from_dict(BatchCurve, answer(small, "--batch-curve"))
    assert (curve.chosen, curve.batchable) == (1, False)
    found = from_dict(LoadSearch, answer(small, "--find-load", "--limit-ms", "0.000001"))
    assert found.highest_met_qps is None
    assert found.runs == ()
    lines = device(small, "probe", *SHORT, "--batch-curve").stdout.splitlines()
    assert lines[0].split() == ["batch", "samples", "a", "second", "95", "%", "interval", "a", "batch", "memory"]  # fmt: skip
    assert lines[1].startswith(">  1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sweep", "threads", "--batch-curve"), "--sweep and --batch-curve do not go together"),
        (("--resume",), "--resume goes with --sweep, --find-load or --batch-curve"),
        (("--find-load",), "--find-load needs --limit-ms"),
        (("--fps", "5"), "--fps goes with --input"),
        (("--scenario", "server"), "server needs --target-qps, or --find-load"),
        (("--scenario", "multi-stream"), "multi-stream needs --samples-per-query"),
        (("--sweep", "precision"), "a bundle has one model and one runtime: precision go with"),
    ],
)
def test_options_that_do_not_go_together(
    small: Path, home: Path, options: tuple[str, ...], message: str
) -> None:
    done = device(small, "probe", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_which_scenario_options_mean() -> None:
    assert scenario_of(None) == ONE_BY_ONE
    assert scenario_of("offline") is None
    assert scenario_of("offline", 4) == Scenario("offline", 4)
    assert scenario_of(None, target_qps=5.0) == Scenario("server", target_qps=5.0)
    for options in ({"samples": 4}, {"limit_ms": 5.0}, {"target_qps": -1.0}):
        with pytest.raises(UsageError):
            scenario_of(None, **options)  # type: ignore[arg-type]
