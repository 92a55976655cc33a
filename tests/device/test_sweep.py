"""Which combinations a sweep measures, in which order, and what survives an interruption."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.device.combinations import (
    Combination,
    Plan,
    Variant,
    ask_providers,
    axes_of,
    combinations,
    plan_of,
    thread_counts,
)
from edge.device.facts import read_host_facts, read_host_state
from edge.device.journal import read_journal
from edge.device.sweep import merge_rounds, run_sweep
from edge.errors import RuntimeFailure, UsageError
from edge.records.codec import from_dict, to_dict
from edge.records.host import HostFacts, Telemetry
from edge.records.measurement import Measurement, ModelRef, RuntimeRef, SessionConfig
from edge.records.sweep import LeftOut, SweepResult

HOST = replace(read_host_facts(), cores_allowed=6, cpu_quota=None)
FP32 = Variant("fp32", "onnxruntime", "/m.onnx", "a" * 64, "onnxruntime 1", ("cpu",), 0.9)
INT8 = Variant("int8", "onnxruntime", "/q.onnx", "b" * 64, "onnxruntime 1", ("cpu",), 0.8)
LITE = Variant("fp32", "tflite", "/m.tflite", "c" * 64, "tflite 2", ("xnnpack", "none"), 0.9)
USUAL = SessionConfig("onnxruntime", 6)
STATE = read_host_state()


def measurement(config: SessionConfig, *latencies: int, **changes: Any) -> Measurement:
    made = Measurement(
        provenance="measured",
        started_unix_ns=1,
        edgekit_version="0",
        target=None,
        model=ModelRef("m", "onnx", "a" * 64, 1),
        config=config,
        runtime=RuntimeRef("onnxruntime", "1", ("CPUExecutionProvider",), config.threads),
        host=HOST,
        before=STATE,
        after=STATE,
        import_ns=1,
        load_ns=10,
        first_inference_ns=1,
        warmup_ns=(1,),
        latencies_ns=latencies,
        peak_memory_bytes=100,
        memory_before_load_bytes=50,
        flaws=(),
    )
    return replace(made, **changes)


def by_threads(combination: Combination, number: int) -> Measurement:
    threads = combination.config.threads
    return measurement(combination.config, *(1000 // threads + number,) * 100)


def plan(axes: tuple[str, ...] = ("threads",), rounds: int = 3, **changes: Any) -> Plan:
    given = {"variants": [FP32], "options": {"min_s": 1}, **changes}
    return plan_of(
        axes, given["variants"], given.get("host", HOST), USUAL, given["options"], rounds=rounds
    )


def names(found: tuple[Combination, ...]) -> list[str]:
    return [combination.name for combination in found]


@pytest.mark.parametrize(
    ("cores", "quota", "counts"),
    [
        (1, None, (1,)),
        (2, None, (1, 2)),
        (6, None, (1, 2, 4, 6)),
        (8, None, (1, 2, 4, 8)),
        (8, 3.5, (1, 2, 3)),
        (8, 0.5, (1,)),
    ],
)
def test_threads_go_up_to_the_cores_that_count(
    cores: int, quota: float | None, counts: tuple[int, ...]
) -> None:
    host: HostFacts = replace(HOST, cores_allowed=cores, cpu_quota=quota)
    assert thread_counts(host) == counts


def test_off_an_axis_everything_is_as_usual() -> None:
    found, left_out = combinations(("threads",), [FP32, INT8, LITE], HOST, USUAL)
    assert names(found) == [
        "fp32/onnxruntime, 1 thread",
        "fp32/onnxruntime, 2 threads",
        "fp32/onnxruntime, 4 threads",
        "fp32/onnxruntime, 6 threads",
    ]
    assert left_out == ()


def test_levels_are_one_runtimes_and_providers_each_ones_own() -> None:
    axes = ("runtime", "graph-level", "provider")
    found, left_out = combinations(axes, [FP32, INT8, LITE], HOST, USUAL)
    assert names(found) == [
        "fp32/onnxruntime, 6 threads, graph disabled, cpu",
        "fp32/onnxruntime, 6 threads, graph basic, cpu",
        "fp32/onnxruntime, 6 threads, graph extended, cpu",
        "fp32/onnxruntime, 6 threads, graph all, cpu",
        "fp32/tflite, 6 threads, xnnpack",
        "fp32/tflite, 6 threads, none",
    ]
    assert left_out == (
        LeftOut("fp32/onnxruntime, provider", "there is one only"),
        LeftOut("fp32/tflite, graph-level", "its runtime has none"),
    )


def test_what_there_is_not_is_left_out_with_a_reason() -> None:
    found, left_out = combinations(("precision", "runtime"), [FP32, INT8, INT8], HOST, USUAL)
    assert names(found) == ["fp32/onnxruntime, 6 threads", "int8/onnxruntime, 6 threads"]
    assert left_out == (
        LeftOut("int8/onnxruntime", "another file of the model is both, too"),
        LeftOut("runtime", "there is no other one of this model here"),
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [("threads,speed", "no such axis: speed"), (" , ", "no axis is named")],
)
def test_an_axis_that_there_is_not_is_refused(text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        axes_of(text)
    assert str(caught.value) == f"--sweep: {what}"
    assert caught.value.hint == "axes: threads,precision,runtime,graph-level,provider"
    assert axes_of("threads, provider") == ("threads", "provider")


def test_no_round_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^--rounds must be at least 1$"):
        plan(rounds=0)


def test_a_backend_tells_its_providers_in_a_child() -> None:
    assert ask_providers("tflite") == ("xnnpack", "none")
    assert ask_providers("onnxruntime")[0] == "cpu"


def test_every_combination_is_measured_once_a_round_in_another_order() -> None:
    seen: list[tuple[int, int]] = []

    def measure(combination: Combination, number: int) -> Measurement:
        seen.append((number, combination.config.threads))
        return by_threads(combination, number)

    result = run_sweep(plan(rounds=4), measure)
    assert [number for number, _ in seen] == sorted(number for number, _ in seen)
    assert Counter(seen) == Counter((n, t) for n in range(4) for t in (1, 2, 4, 6))
    places = [[t for n, t in seen if n == number] for number in range(4)]
    assert all(len({row[place] for row in places}) == 4 for place in range(4))
    assert [len(row.measurement.rounds) for row in result.rows if row.measurement] == [4] * 4


def test_the_result_names_the_best_and_the_pareto_set() -> None:
    result = run_sweep(plan(), by_threads)
    assert [row.is_pareto for row in result.rows] == [False, False, False, True]
    assert result.best == 3
    assert (result.is_whole, result.rounds, result.percentile) == (True, 3, 90.0)
    assert from_dict(SweepResult, to_dict(result)) == result


def test_progress_tells_what_comes_next_and_ends_at_one() -> None:
    told: list[tuple[float, float | None, str]] = []
    run_sweep(plan(rounds=1), by_threads, progress=lambda *now: told.append(now))
    assert [fraction for fraction, _, _ in told] == [0, 0.25, 0.5, 0.75, 1]
    assert told[0] == (0, None, "round 1 of 1: fp32/onnxruntime, 1 thread")
    assert all(rest is not None and rest >= 0 for _, rest, _ in told[1:])
    assert told[-1] == (1.0, 0.0, "done")


def test_a_crash_is_a_finding_and_the_others_go_on() -> None:
    asked: list[int] = []

    def measure(combination: Combination, number: int) -> Measurement:
        if combination.config.threads == 6 and number == 1:
            raise RuntimeFailure("the child died of SIGILL", where="m")
        asked.append(combination.config.threads)
        return by_threads(combination, number)

    result = run_sweep(plan(), measure)
    assert Counter(asked) == {1: 3, 2: 3, 4: 3, 6: 1}
    crashed = result.rows[3]
    assert crashed.error == "m: the child died of SIGILL"
    assert crashed.measurement is not None
    assert not crashed.is_pareto
    assert result.best == 2


def test_when_all_crash_there_is_no_best() -> None:
    def measure(_combination: Combination, _number: int) -> Measurement:
        raise RuntimeFailure("no")

    result = run_sweep(plan(), measure)
    assert (result.best, {row.error for row in result.rows}) == (None, {"no"})


def test_rounds_are_put_together_in_order() -> None:
    telemetry = Telemetry(1, 1, 1, None, ())
    rounds = {
        1: measurement(USUAL, 3, 4, 5, load_ns=30, flaws=("hot at 81 °C", "b"), duration_ns=12),
        0: measurement(
            USUAL, 1, 2, load_ns=20, flaws=("hot at 80.5 °C",), duration_ns=3, telemetry=telemetry
        ),
        2: measurement(USUAL, 6, load_ns=25, peak_memory_bytes=300, duration_ns=6),
    }
    merged = merge_rounds(rounds)
    assert merged.latencies_ns == (1, 2, 3, 4, 5, 6)
    assert merged.rounds == (2, 3, 1)
    assert merged.flaws == ("hot at 80.5 °C", "b")
    assert (merged.load_ns, merged.peak_memory_bytes, merged.duration_ns) == (25, 300, 21)
    assert merged.telemetry == telemetry
    assert merge_rounds({0: rounds[2]}).rounds == (1,)


class Interrupted(BaseException):
    """As SIGTERM becomes one."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Interrupted])
def test_an_interruption_gives_what_was_finished(tmp_path: Path, kind: type[BaseException]) -> None:
    journal = str(tmp_path / "journal")
    parts: list[SweepResult] = []
    done: list[int] = []

    def measure(combination: Combination, number: int) -> Measurement:
        if len(done) == 6:
            raise kind
        done.append(number)
        return by_threads(combination, number)

    with pytest.raises(kind):
        run_sweep(plan(), measure, journal_path=journal, stopped=parts.append)
    assert [part.is_whole for part in parts] == [False]
    assert sum(len(r.measurement.rounds) for r in parts[0].rows if r.measurement) == 6
    later: list[int] = []

    def go_on(combination: Combination, number: int) -> Measurement:
        later.append(number)
        return by_threads(combination, number)

    result = run_sweep(plan(), go_on, journal_path=journal, resume=True)
    assert len(later) == 6
    assert result.resumed_rounds == 6
    assert replace(result, resumed_rounds=0) == run_sweep(plan(), by_threads)
    assert run_sweep(plan(), go_on, journal_path=journal, resume=True).resumed_rounds == 12


def test_without_resume_a_sweep_begins_anew(tmp_path: Path) -> None:
    journal = str(tmp_path / "journal")
    for _ in range(2):
        assert run_sweep(plan(), by_threads, journal_path=journal).resumed_rounds == 0
    assert run_sweep(plan(), by_threads, journal_path=journal, resume=True).resumed_rounds == 12


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"host": replace(HOST, cpu_model="8086")}, "it was measured on another machine"),
        ({"options": {"min_s": 2}}, "it was measured with other options"),
        ({"variants": [INT8]}, "it was measured with another model file"),
        (
            {"variants": [replace(FP32, runtime="onnxruntime 2")]},
            "it was measured with another runtime",
        ),
        ({"axes": ("graph-level",)}, "this sweep does not ask for it"),
        ({"rounds": 1}, "this sweep does not ask for it"),
    ],
)
def test_rounds_of_something_else_are_not_taken_up(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    journal = str(tmp_path / "journal")
    run_sweep(plan(rounds=2), by_threads, journal_path=journal)
    result = run_sweep(plan(**changes), by_threads, journal_path=journal, resume=True)
    assert result.not_resumed == (reason,)
    assert result.resumed_rounds == (4 if changes == {"rounds": 1} else 0)


def test_finished_rounds_survive_a_kill(tmp_path: Path) -> None:
    program = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_sweep import by_threads, plan
from edge.device.sweep import run_sweep
done = []
def measure(combination, number):
    if len(done) == {{}}:
        os.kill(os.getpid(), 9)
    done.append(number)
    return by_threads(combination, number)
run_sweep(plan(), measure, journal_path={str(tmp_path / "journal")!r}, resume=True)
"""
    for killed in (2, 3):
        status = subprocess.call([sys.executable, "-c", program.format(killed)])
        assert status == -9
    documents = read_journal(os.fspath(tmp_path / "journal"))
    assert [told["sweep"] for told in documents] == ["round"] * 5
    result = run_sweep(plan(), by_threads, journal_path=str(tmp_path / "journal"), resume=True)
    assert (result.resumed_rounds, result.is_whole) == (5, True)
