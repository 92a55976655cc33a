"""Which measurements count, and what they say at most."""

import dataclasses
from typing import Any

import pytest
from made_advice import SHA256, host, measurement, target

from edge.reasoning.evidence import from_measurements, why_not_used
from edge.records.measurement import Measurement, RuntimeRef
from edge.records.scenario import Scenario

MS = 1_000_000
BOARD = target()
CLOUD = target("cloud", "cloud-cpu")
GPU = target("gpu", "cloud-gpu")


@pytest.mark.parametrize(
    ("title", "board"),
    [
        ("Raspberry Pi 4 Model B, 4 GB", "Raspberry Pi 4 Model B Rev 1.4"),
        ("Raspberry Pi 3 Model B+, 1 GB", "Raspberry Pi 3 Model B Plus Rev 1.3"),
        ("Raspberry Pi Zero 2 W, 512 MB", "Raspberry Pi Zero 2 W Rev 1.0"),
        ("NVIDIA Jetson Nano, 4 GB", "NVIDIA Jetson Nano Developer Kit"),
    ],
)
def test_a_board_is_known_by_its_name(title: str, board: str) -> None:
    on = dataclasses.replace(BOARD, title=title)
    assert why_not_used(measurement(host=host(board=board)), on, SHA256) is None
    other = measurement(host=host(board="Raspberry Pi 5 Model B Rev 1.0"))
    assert why_not_used(other, on, SHA256) == "its machine is a Raspberry Pi 5 Model B Rev 1.0"


def test_a_board_without_a_name_is_known_by_its_cores() -> None:
    assert why_not_used(measurement(), BOARD, SHA256) is None
    unlike = measurement(host=host(cpu_model="Cortex-A76"))
    assert why_not_used(unlike, BOARD, SHA256) == (
        "its machine (Cortex-A76) is not known to be a The board"
    )
    fewer = measurement(host=host(cores_online=2))
    assert why_not_used(fewer, BOARD, SHA256) is not None


X86 = host(machine="x86_64", cpu_model="Some Xeon")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"cores_allowed": 8}, "its machine allowed 8 cores, cloud has 4"),
        ({"cpu_quota": 1.5}, "its CPU quota is 1.5 cores, cloud has 4"),
        ({"cpu_quota": 4.0}, None),
        ({"machine": "aarch64"}, "its machine is aarch64, cloud is x86_64"),
    ],
)
def test_a_cloud_machine_is_known_by_its_cores(changes: dict[str, Any], reason: str | None) -> None:
    found = measurement(for_target="cloud", host=dataclasses.replace(X86, **changes))
    assert why_not_used(found, CLOUD, SHA256) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"provenance": "emulated"}, "emulated time is no time"),
        ({"flaws": ("it was throttled", "it drifted")}, "it was throttled; it drifted"),
        ({"target": None}, "it was made for no target (probe with --target)"),
    ],
)
def test_what_does_not_count(changes: dict[str, Any], reason: str) -> None:
    found = dataclasses.replace(measurement(), **changes)
    assert why_not_used(found, None if found.target is None else BOARD, SHA256) == reason


def test_another_model_or_an_unknown_target_does_not_count() -> None:
    assert why_not_used(measurement(), BOARD, "ef" * 32) == "it is of another model, model.onnx"
    assert why_not_used(measurement(), None, SHA256) == (
        "its target board is not among the candidates"
    )


def test_a_gpu_target_needs_a_gpu() -> None:
    cpu = measurement(for_target="gpu", host=X86)
    assert why_not_used(cpu, GPU, SHA256) == "it ran on the CPU, not on the GPU"
    providers = ("CUDAExecutionProvider", "CPUExecutionProvider")
    cuda = dataclasses.replace(cpu, runtime=RuntimeRef("onnxruntime-gpu", "1.31", providers, 1))
    assert why_not_used(cuda, GPU, SHA256) is None


def test_32_bit_code_may_run_under_a_64_bit_kernel() -> None:
    cpu = dataclasses.replace(BOARD.cpu, architecture="armv7l")
    board = dataclasses.replace(BOARD, cpu=cpu)
    for machine in ("armv7l", "aarch64"):
        assert why_not_used(measurement(host=host(machine=machine)), board, SHA256) is None


def test_one_process_is_widened_by_a_fifth() -> None:
    found = from_measurements([measurement(10 * MS)], 90)
    assert found is not None
    assert found.provenance == "measured"
    assert found.high is not None
    # All latencies lie within 2 % of 10 ms, and their p90 within 1.8 % above it.
    assert found.high.points_ns[-1] == pytest.approx(1.2 * 10.2 * MS, rel=0.01)
    assert found.low.points_ns[0] == pytest.approx(9.8 * MS / 1.2, rel=0.01)
    assert found.typical_ns == 10 * MS
    assert found.basis == "700 queries in 1 process, onnxruntime 1.32.0, 4 threads"
    assert found.memory_high_bytes == 80 << 20


def test_more_processes_are_widened_less_and_by_what_they_differ() -> None:
    runs = [measurement(ms * MS) for ms in (10, 10, 11)]
    found = from_measurements(runs, 90)
    assert found is not None
    assert found.high is not None
    assert found.high.points_ns[-1] == pytest.approx(1.05 * 11.2 * MS, rel=0.02)
    assert found.basis.startswith("2100 queries in 3 processes")


def test_too_few_queries_give_no_upper_end() -> None:
    found = from_measurements([measurement(10 * MS, queries=40)], 90)
    assert found is not None
    assert found.high is None
    assert found.queries_missing == 24
    assert found.basis == "40 queries measured, p90 needs 64"
    # A p99 needs more than a p90.
    assert from_measurements([measurement(queries=100)], 99).queries_missing == 562  # type: ignore[union-attr]


def test_the_fastest_configuration_counts() -> None:
    def with_threads(ms: int, threads: int) -> Measurement:
        runtime = RuntimeRef("onnxruntime", "1.32.0", ("CPUExecutionProvider",), threads)
        return dataclasses.replace(measurement(ms * MS), runtime=runtime)

    found = from_measurements([with_threads(20, 1), with_threads(8, 4)], 90)
    assert found is not None
    assert found.typical_ns == 8 * MS


def test_nothing_measured_is_no_evidence() -> None:
    assert from_measurements([], 90) is None


def in_scenario(scenario: Scenario, typical_ns: int = 10 * MS, **changes: Any) -> Measurement:
    return dataclasses.replace(measurement(typical_ns), scenario=scenario, **changes)


def under(qps: float, typical_ns: int = 10 * MS, **changes: Any) -> Measurement:
    return in_scenario(Scenario("server", target_qps=qps), typical_ns, **changes)


@pytest.mark.parametrize(
    ("scenario", "load", "reason"),
    [
        (Scenario(), None, None),
        (Scenario(), 1000.0, None),
        (
            Scenario("offline", 8, batched=True),
            0.0,
            "it is of the scenario offline: a throughput, not the time of a query",
        ),
        (
            Scenario("multi-stream", 4),
            0.0,
            "it is of the scenario multi-stream: 4 samples a query",
        ),
        (Scenario("server", target_qps=20.0), 20.0, None),
        (Scenario("server", target_qps=20.0), 0.0, None),
        (
            Scenario("server", target_qps=20.0),
            21.0,
            "it was measured under 20 queries/s, what is asked is 21",
        ),
        (
            Scenario("server", target_qps=20.0),
            None,
            "it was measured under 20 queries/s, what is asked is not known",
        ),
    ],
)
def test_only_a_scenario_that_fits_counts(
    scenario: Scenario, load: float | None, reason: str | None
) -> None:
    assert why_not_used(in_scenario(scenario), BOARD, SHA256, load) == reason


def test_what_tells_no_time_of_a_query_is_no_evidence_even_when_it_is_given() -> None:
    batches = in_scenario(Scenario("offline", 8, batched=True), 1 * MS)
    streams = in_scenario(Scenario("multi-stream", 4), 1 * MS)
    flawed = dataclasses.replace(measurement(1 * MS), flaws=("it was throttled",))
    assert from_measurements([batches, streams, flawed], 90) is None
    found = from_measurements([batches, measurement(10 * MS), streams, flawed], 90)
    assert found == from_measurements([measurement(10 * MS)], 90)
    assert found is not None
    assert found.served_per_s is None


def test_a_server_run_alone_bounds_the_service_from_both_sides() -> None:
    found = from_measurements([under(20.0, 10 * MS)], 90)
    assert found is not None
    assert found.basis == (
        "700 queries in 1 process, onnxruntime 1.32.0, 4 threads, under 20 queries/s"
    )
    assert found.low.points_ns == (pytest.approx(9.8 * MS / 1.2),)
    assert found.high is not None
    assert found.high.points_ns[-1] == pytest.approx(1.2 * 10.2 * MS, rel=0.01)


def test_single_queries_are_preferred_to_responses() -> None:
    runs = [under(20.0, 8 * MS), measurement(10 * MS)]
    found = from_measurements(runs, 90, 30 * MS)
    alone = from_measurements([measurement(10 * MS)], 90)
    assert alone is not None
    assert found == dataclasses.replace(alone, served_per_s=20.0)


@pytest.mark.parametrize(
    ("limit_ms", "rounds", "served"),
    [
        # One process is given a fifth of room, two a tenth: all responses are up to 10.2 ms.
        (12.3, (), 20.0),
        (12.0, (), None),
        (12.0, (350, 350), 20.0),
        (None, (), None),
    ],
)
def test_a_load_is_served_if_its_responses_keep_the_limit_with_room(
    limit_ms: float | None, rounds: tuple[int, ...], served: float | None
) -> None:
    limit = None if limit_ms is None else limit_ms * MS
    found = from_measurements([under(20.0, rounds=rounds), under(15.0, 30 * MS)], 99, limit)
    assert found is not None
    assert found.served_per_s == served


def test_the_highest_load_that_was_served_counts() -> None:
    found = from_measurements([under(20.0), under(30.0), under(40.0, 80 * MS)], 99, 50 * MS)
    assert found is not None
    assert found.served_per_s == 30.0


def test_rounds_count_as_processes_and_widen_by_what_they_differ() -> None:
    parts = [measurement(ms * MS).latencies_ns for ms in (10, 10, 11)]
    together = dataclasses.replace(
        measurement(), latencies_ns=parts[0] + parts[1] + parts[2], rounds=(700, 700, 700)
    )
    found = from_measurements([together], 90)
    assert found is not None
    assert found.high is not None
    assert found.basis.startswith("2100 queries in 3 processes")
    assert found.high.points_ns[-1] == pytest.approx(1.05 * 11.2 * MS, rel=0.02)
    # As one process it would be widened by a fifth.
    single = from_measurements([dataclasses.replace(together, rounds=())], 90)
    assert single is not None
    assert single.high is not None
    assert single.high.points_ns[-1] > found.high.points_ns[-1]
