"""The sentences at the top of the page, word for word."""

from typing import Any

import made_results as made
import pytest

from edge.records.verdict import Crossover
from edge.records.workload import Workload
from edge.report.sentences import (
    HEADINGS,
    chosen_candidate,
    demand_phrase,
    flip_sentence,
    verdict_sentence,
)

NOTHING = (made.refusal(), made.refusal("rpi3", title="Raspberry Pi 3"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {},
            "Raspberry Pi 4 Model B can answer 10 queries a second, 90 % of them within "
            "100 ms, for 3.10 USD a month.",
            id="chosen",
        ),
        pytest.param(
            {"candidates": (made.candidate(replicas=3, cost_per_month=None),)},
            "3 × Raspberry Pi 4 Model B can answer 10 queries a second, 90 % of them "
            "within 100 ms, at a cost that is not known.",
            id="several machines, cost unknown",
        ),
        pytest.param(
            {"answer": "undecided"},
            "Raspberry Pi 4 Model B can answer 10 queries a second, 90 % of them within "
            "100 ms, for 3.10 USD a month. A cheaper target may do it too; a measurement will "
            "tell.",
            id="undecided, but one fits",
        ),
        pytest.param(
            {"answer": "undecided", "chosen": None, "candidates": (made.doubt(), made.unknown())},
            "The evidence does not say yet which of the 2 targets can answer 10 queries a second, "
            "90 % of them within 100 ms.",
            id="undecided",
        ),
        pytest.param(
            {"answer": "nothing-fits", "chosen": None, "candidates": NOTHING},
            "None of the 2 targets can answer 10 queries a second, 90 % of them within 100 ms.",
            id="nothing fits",
        ),
        pytest.param(
            {"answer": "nothing-fits", "chosen": None, "candidates": NOTHING[:1]},
            "Raspberry Pi Zero 2 W cannot answer 10 queries a second, 90 % of them within 100 ms.",
            id="the one target does not fit",
        ),
        pytest.param(
            {"answer": "undecided", "chosen": None, "candidates": (made.doubt(),)},
            "The evidence does not say yet whether Jetson Nano 4 GB can answer 10 queries a "
            "second, 90 % of them within 100 ms.",
            id="the one target is undecided",
        ),
        pytest.param(
            {"answer": "cloud-gpu", "chosen": None, "workload": Workload(task="training")},
            "To train it, a cloud GPU is needed.",
            id="a kind without a target",
        ),
    ],
)
def test_verdict_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert verdict_sentence(made.verdict(**changes)) == sentence


@pytest.mark.parametrize(
    ("workload", "phrase"),
    [
        (Workload(), "answer the queries"),
        (Workload(load_per_s=1), "answer 1 query a second"),
        (Workload(load_per_s=0.05), "answer 0.05 queries a second"),
        (
            Workload(load_per_s=2, peak_load_per_s=1500, latency_limit_ms=20, percentile=99.9),
            "answer 1,500 queries a second at the peak, 99.9 % of them within 20 ms",
        ),
        (Workload(task="training"), "train it"),
        (
            Workload(
                task="training", training_samples=60_000, training_epochs=1, time_budget_s=7200
            ),
            "train it on 60,000 samples for 1 epoch within 2 h",
        ),
        (Workload(task="training", training_epochs=2.5), "train it for 2.5 epochs"),
    ],
)
def test_demand(workload: Workload, phrase: str) -> None:
    assert demand_phrase(workload) == phrase


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({}, "above 144 queries/s: cloud CPU", id="the nearest above the load"),
        pytest.param(
            {"workload": Workload(load_per_s=2, peak_load_per_s=200)},
            "above 720 queries/s: cloud GPU",
            id="above the peak",
        ),
        pytest.param(
            {"crossovers": (Crossover(load_per_s=50, below="rpi4", above="jetson-nano"),)},
            "not up to 1,000 queries/s",
            id="another target of the same kind is no flip",
        ),
        pytest.param({"crossovers": ()}, "not up to 1,000 queries/s", id="no crossover"),
        pytest.param({"workload": Workload()}, None, id="no load"),
        pytest.param({"cost_points": ()}, None, id="no costs"),
        pytest.param({"chosen": None}, None, id="nothing chosen"),
    ],
)
def test_flip(changes: dict[str, Any], sentence: str | None) -> None:
    assert flip_sentence(made.verdict(**changes)) == sentence


def test_every_answer_has_a_heading() -> None:
    assert HEADINGS == {
        "edge": "Run it on an edge device",
        "cloud-cpu": "Rent a plain cloud CPU",
        "cloud-gpu": "Rent a cloud GPU",
        "undecided": "Undecided: measure it first",
        "nothing-fits": "Nothing fits",
    }


def test_chosen_candidate() -> None:
    chosen = chosen_candidate(made.verdict())
    assert chosen is not None
    assert chosen.target == "rpi4"
    assert chosen_candidate(made.verdict(chosen=None, answer="undecided")) is None
