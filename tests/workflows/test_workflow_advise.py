"""From a real model and the real targets to a verdict, and what measurements change."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from made_advice import SHA256, host, info, measurement, support, target

from edge.adapters.results import load_results, save_result
from edge.adapters.targets import load_target, load_targets
from edge.adapters.workloads import load_workload
from edge.errors import UsageError
from edge.reasoning.support import runtime_support
from edge.records.measurement import Measurement
from edge.records.verdict import Candidate, Verdict
from edge.records.workload import Workload
from edge.workflows.advise import (
    advise,
    advise_on_file,
    probe_command,
    save_advice,
    workload_of,
)
from edge.workflows.inspect import inspect_model

ROOT = Path(__file__).parent.parent.parent
DIGITS = ROOT / "models" / "digits-cnn" / "digits-cnn-fp32.onnx"
MS = 1_000_000
BOARD = target()
LIMIT = Workload(latency_limit_ms=50)


def advised(workload: Workload, *measurements: Measurement) -> Verdict:
    """Advise on 1,600 M MACs at 2 to 8 GMAC/s: 200 to 800 ms."""
    model = info(macs=1_600_000_000)
    return advise(model, support(BOARD), workload, (BOARD,), measurements)


def only(found: Verdict) -> Candidate:
    (one,) = found.candidates
    return one


def unused(found: Verdict) -> list[str]:
    return [a.value for a in found.assumptions if a.name == "measurement not used"]


def test_a_measurement_decides_what_a_prediction_could_not() -> None:
    limit = Workload(latency_limit_ms=500)
    predicted = advised(limit)
    assert predicted.answer == "undecided"
    assert only(predicted).provenance == "predicted"
    quick = advised(limit, measurement(300 * MS))
    assert (quick.answer, only(quick).provenance) == ("edge", "measured")
    assert quick.next_command is None
    assert unused(quick) == []
    slow = advised(limit, measurement(700 * MS))
    assert slow.answer == "nothing-fits"
    # One process may be a fifth off.
    close = advised(limit, measurement(450 * MS))
    assert (close.answer, only(close).binding) == ("undecided", "latency")


def test_a_flawed_measurement_is_named_and_the_prediction_stands() -> None:
    flawed = dataclasses.replace(measurement(1 * MS), flaws=("it was throttled",))
    found = advised(LIMIT, flawed)
    assert only(found).provenance == "predicted"
    assert unused(found) == ["model.onnx on board: it was throttled"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"provenance": "emulated"}, "emulated time is no time"),
        ({"host": host(machine="x86_64")}, "its machine is x86_64, board is aarch64"),
        ({"target": "elsewhere"}, "its target elsewhere is not among the candidates"),
    ],
)
def test_what_does_not_count_never_decides(changes: dict[str, Any], reason: str) -> None:
    found = advised(LIMIT, dataclasses.replace(measurement(1 * MS), **changes))
    assert not only(found).fits
    assert unused(found)[0].endswith(reason)


def test_too_few_queries_ask_for_more_with_the_command() -> None:
    found = advised(
        Workload(latency_limit_ms=50, percentile=99.9), measurement(1 * MS, queries=3000)
    )
    assert found.answer == "undecided"
    assert only(found).reason == (
        "3000 queries measured, p99.9 needs 6636: 3636 more queries are needed"
    )
    assert found.next_command == (
        "edgekit package model.onnx --target board -o model-board.pyz\n"
        "python3 model-board.pyz probe --min-queries 6636 -o results"
    )


def test_the_memory_that_was_not_measured_is_predicted() -> None:
    unknown = dataclasses.replace(measurement(1 * MS), peak_memory_bytes=None)
    tight = dataclasses.replace(LIMIT, memory_limit_mib=10)
    assert only(advised(tight, unknown)).binding == "memory"
    assert only(advised(tight, unknown)).fit == "does-not-fit"


def test_the_command_quotes_what_the_user_calls_the_model() -> None:
    command = probe_command("my models/a b.onnx", BOARD, LIMIT)
    assert command == (
        "edgekit package 'my models/a b.onnx' --target board -o 'a b-board.pyz'\n"
        "python3 'a b-board.pyz' probe -o results"
    )
    # Our backends compute on the CPU alone, so a GPU cannot be measured with them.
    assert probe_command("a.onnx", load_target("cloud-gpu-t4"), LIMIT) is None


def test_the_default_model_fits_on_a_board_by_its_calibration() -> None:
    # The quickstart's case. The network has 56 k MACs: milliseconds on the smallest board.
    found = advise_on_file(None, Workload(latency_limit_ms=50, load_per_s=5)).verdict
    assert found.answer == "edge"
    chosen = next(c for c in found.candidates if c.target == found.chosen)
    assert chosen.provenance == "predicted"
    assert chosen.high_ns is not None
    assert chosen.high_ns < 10 * MS
    assert chosen.replicas == 1
    assert found.model == DIGITS.name
    by_name = {c.target: c for c in found.candidates}
    assert len(by_name) == len(load_targets())
    assert by_name["rpi4-32bit"].binding == "operators"
    assert by_name["cloud-gpu-t4"].fits
    assert found.next_command is not None
    assert found.next_command.startswith("edgekit package digits-cnn --target ")


def test_a_large_transformer_goes_to_a_gpu() -> None:
    # BERT-base at 128 tokens: 11.2 G MACs in matrix products, 435 MB.
    operators = tuple(
        dataclasses.replace(one, kind="matmul", op_type="MatMul", macs=11_200_000_000 // 264)
        for one in info(operators=264).operators
    )
    model = info(
        operators=1,
        weights_bytes=435_000_000,
        peak_activation_bytes=10_000_000,
    )
    model = dataclasses.replace(model, operators=operators, name="bert.onnx")
    targets = load_targets()
    supports = tuple(s for on in targets for s in runtime_support(model, on))
    for limit in (None, 50.0, 100.0):
        workload = Workload(latency_limit_ms=limit, load_per_s=200)
        found = advise(model, supports, workload, targets)
        assert found.answer == "cloud-gpu", found.reason


def test_the_examples_are_advised_on() -> None:
    answers = {
        path.stem: advise_on_file(str(DIGITS), load_workload(path)).verdict.answer
        for path in sorted((ROOT / "docs" / "workloads").glob("*.toml"))
    }
    assert answers == {"api": "edge", "camera": "edge", "nightly-training": "cloud-cpu"}


def test_targets_can_be_chosen_and_aliases_count_once() -> None:
    found = advise_on_file(str(DIGITS), LIMIT, target_names=("rpi", "rpi4", "cpu")).verdict
    assert [c.target for c in found.candidates] == ["rpi4", "cloud-cpu"]


def test_results_are_saved_and_used(tmp_path: Path) -> None:
    model = inspect_model(DIGITS)
    made = measurement(
        2 * MS,
        for_target="rpi4",
        host=host(board="Raspberry Pi 4 Model B Rev 1.4"),
    )
    made = dataclasses.replace(made, model=dataclasses.replace(made.model, sha256=model.sha256))
    save_result(made, tmp_path, "one")
    advice = advise_on_file(str(DIGITS), LIMIT, target_names=("rpi4",), results=tmp_path)
    assert only(advice.verdict).provenance == "measured"
    verdict_file, model_file = save_advice(advice, tmp_path)
    assert verdict_file.name == "digits-cnn-fp32.verdict.json"
    assert model_file.name == "digits-cnn-fp32.model.json"
    kept = load_results(tmp_path)
    assert kept.verdicts == (advice.verdict,)
    assert kept.models == (model,)


def test_wishes_go_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_text('schema_version = "1.0"\nlatency_limit_ms = 5\nload_per_s = 2\n')
    found = workload_of(path, {"latency_limit_ms": 7.0})
    assert found == Workload(name="w", latency_limit_ms=7.0, load_per_s=2.0)


def test_something_has_to_be_asked() -> None:
    with pytest.raises(UsageError, match="nothing is asked of the model"):
        workload_of(None, {"budget_per_month": 5.0})
    assert workload_of(None, {"task": "training"}).task == "training"


def test_a_wish_that_means_nothing() -> None:
    with pytest.raises(UsageError, match=r"latency_limit_ms must be a positive number, got 0\.0"):
        workload_of(None, {"latency_limit_ms": 0.0})


def test_unknown_shapes_are_undecided_and_ask_for_them() -> None:
    model = info(macs=None, peak_activation_bytes=None)
    found = advise(model, support(BOARD), LIMIT, (BOARD,))
    assert found.answer == "undecided"
    assert "--shape" in only(found).reason
    assert found.model_sha256 == SHA256
