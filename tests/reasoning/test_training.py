"""Training goes to a GPU, unless it is computed to fit a time budget on a CPU."""

import dataclasses

import pytest
from made_advice import calibration, figure, info, support, target

from edge.reasoning.roofline import estimate
from edge.reasoning.training import TRAINING_BATCH, judge_training
from edge.reasoning.verdict import decide
from edge.records.model import ModelInfo
from edge.records.target import Price
from edge.records.verdict import Candidate, Verdict
from edge.records.workload import Workload

BOARD = target()
CPU = target("cpu", "cloud-cpu", price=Price(hourly_usd=figure(0.1)))
GPU = target(
    "gpu",
    "cloud-gpu",
    price=Price(hourly_usd=figure(100.0)),
    calibrations=(calibration(500, 2000, 4000),),
)
# 1,000 samples of 100 M MACs: 3e11 MACs an epoch, at 2 to 8 GMAC/s on the CPU.
TRAIN = Workload(task="training", training_samples=1000, training_epochs=1.0, time_budget_s=301)


def verdict(workload: Workload, model: ModelInfo | None = None) -> Verdict:
    chosen = info() if model is None else model
    found = [
        judge_training(
            on, workload, chosen, estimate(chosen, on, support(on)[0], batch=TRAINING_BATCH)
        )
        for on in (BOARD, CPU, GPU)
    ]
    return decide(chosen, workload, found, (), "0.1.0")


def of(found: Verdict, name: str) -> Candidate:
    return next(c for c in found.candidates if c.target == name)


def test_without_a_time_budget_it_goes_to_a_gpu() -> None:
    found = verdict(Workload(task="training"))
    assert (found.answer, found.chosen) == ("cloud-gpu", "gpu")
    assert found.reason == "Training model.onnx: gradient training goes to a GPU."
    assert of(found, "cpu").reason.startswith("gradient training goes to a GPU unless")
    assert of(found, "board").binding == "task"


def test_a_cpu_that_is_computed_to_fit_the_budget_is_enough() -> None:
    # At most 3 x 1,000 inferences of 50 ms, twice as slow in a training framework: 300 s.
    found = verdict(TRAIN)
    assert (found.answer, found.chosen) == ("cloud-cpu", "cpu")
    cpu = of(found, "cpu")
    assert cpu.high_ns == pytest.approx(300e9)
    assert cpu.low_ns == pytest.approx(37.5e9)
    assert cpu.cost_per_month == pytest.approx(300 / 3600 * 0.1)
    assert found.reason == (
        "Training model.onnx: computed to take at most 5 min a run, the time budget is 5.02 min; "
        "it costs 0.01 USD a month."
    )
    assert cpu.reason == "computed to take at most 5 min a run, the time budget is 5.02 min"


def test_doubt_about_the_cpu_sends_it_to_the_gpu() -> None:
    found = verdict(dataclasses.replace(TRAIN, time_budget_s=299))
    assert (found.answer, found.chosen) == ("cloud-gpu", "gpu")
    assert of(found, "cpu").binding == "task"
    assert of(found, "cpu").reason == (
        "may take from 37.5 s to 5 min a run: gradient training goes to a GPU unless it is "
        "computed to fit the time budget of 4.98 min"
    )


def test_a_budget_that_nothing_meets() -> None:
    found = verdict(dataclasses.replace(TRAIN, time_budget_s=1e-3))
    assert found.answer == "nothing-fits"
    assert of(found, "cpu").binding == "latency"


def test_doubt_about_the_gpu_is_undecided() -> None:
    found = verdict(dataclasses.replace(TRAIN, time_budget_s=0.5))
    assert (found.answer, found.chosen) == ("undecided", None)
    assert found.next_command is None


def test_a_classical_method_trains_on_a_cpu() -> None:
    found = verdict(Workload(task="training", training_method="classical"), info(macs=0))
    assert (found.answer, found.chosen) == ("cloud-cpu", "cpu")
    assert of(found, "gpu").reason == "a classical method has no use for a GPU"


def test_the_optimiser_has_to_fit_into_memory() -> None:
    found = verdict(TRAIN, info(weights_bytes=5 << 30))
    assert of(found, "gpu").binding == "memory"
    assert of(found, "gpu").reason == (
        "weights, gradients and optimiser need 20 GiB, 14.9 GiB are usable"
    )


def test_runs_a_month_and_the_budget_count() -> None:
    nightly = dataclasses.replace(
        TRAIN, training_runs_per_month=30, currency="EUR", exchange_rate=0.5
    )
    cost = 300 / 3600 * 0.1 * 30 * 0.5
    assert of(verdict(nightly), "cpu").cost_per_month == pytest.approx(cost)
    poor = verdict(dataclasses.replace(nightly, budget_per_month=cost / 2))
    assert (of(poor, "cpu").fit, of(poor, "cpu").binding) == ("undecided", "budget")
    poorer = verdict(dataclasses.replace(nightly, budget_per_month=cost / 100))
    assert of(poorer, "cpu").fit == "does-not-fit"


def test_a_target_without_an_estimate() -> None:
    found = judge_training(GPU, TRAIN, info(), None).candidate
    assert (found.fit, found.reason) == ("fits", "gradient training goes to a GPU")
