"""Comparing files and folders: pairs, what speaks against them, the status."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest
from made_advice import host, info, measurement

from edge.adapters.data import data_folder
from edge.adapters.results import save_result
from edge.device.probe import ProbeOptions
from edge.errors import ConfigError
from edge.records.codec import from_dict, to_dict
from edge.records.comparison import Comparisons
from edge.records.measurement import Measurement, SessionConfig
from edge.workflows.compare import compare, compare_places, exit_code
from edge.workflows.inspect import inspect_model
from edge.workflows.probe import probe_model
from edge.workflows.probe_request import ProbeRequest


def saved(folder: Path, **each: Measurement) -> Path:
    for name, one in each.items():
        save_result(one, folder, name)
    return folder


def named(name: str, sha256: str | None = None, **changes: Any) -> Measurement:
    made = measurement(**changes)
    model = dataclasses.replace(made.model, name=name, sha256=sha256 or made.model.sha256)
    return dataclasses.replace(made, model=model)


SLOW = 11_000_000


def test_two_files_are_a_pair_whatever_they_are(tmp_path: Path) -> None:
    old = save_result(named("a.onnx"), tmp_path, "a")
    new = save_result(named("b.onnx", "ef" * 32, typical_ns=SLOW), tmp_path, "b")
    found = compare_places(old, new)
    (pair,) = found.pairs
    assert (pair.name, pair.answer, pair.trusted) == ("b.onnx", "slower", True)
    assert (pair.a_ns, pair.b_ns, pair.threshold_ns) == pytest.approx((1e7, 1.1e7, 5e5), rel=0.005)
    assert pair.reason == "slower by 1 ms (997 µs to 1 ms), more than 501 µs"
    assert [u.what for u in pair.unlike] == ["model"]
    assert exit_code(found) == 13
    assert from_dict(Comparisons, to_dict(found)) == found


def test_folders_are_paired_by_what_was_measured(tmp_path: Path) -> None:
    one = SessionConfig("onnxruntime", 1)
    a = saved(
        tmp_path / "a",
        fp32=named("fp32.onnx"),
        thin=named("fp32.onnx", config=one),
        int8=named("int8.onnx", "11" * 32),
        gone=named("gone.onnx"),
    )
    b = saved(
        tmp_path / "b",
        x=named("int8.onnx", "22" * 32, typical_ns=SLOW),
        y=named("fp32.onnx", config=one),
        z=named("fp32.onnx", typical_ns=9_000_000),
        fresh=named("fresh.onnx", for_target=None),
    )
    found = compare_places(a, b)
    assert [(p.name, p.answer) for p in found.pairs] == [
        ("fp32.onnx", "faster"),
        ("fp32.onnx", "same"),
        ("int8.onnx", "slower"),
    ]
    assert found.only_a == ("gone.onnx on board, onnxruntime, threads: 4",)
    assert found.only_b == ("fresh.onnx, onnxruntime, threads: 4",)


def test_the_latest_of_several_counts(tmp_path: Path) -> None:
    a = saved(tmp_path / "a", one=measurement())
    b = saved(
        tmp_path / "b",
        one=measurement(typical_ns=SLOW, started_unix_ns=2),
        two=measurement(started_unix_ns=1),
    )
    (pair,) = compare_places(a, b).pairs
    assert pair.answer == "slower"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ({}, {}, 0),
        ({}, {"typical_ns": 9_000_000}, 0),
        ({}, {"typical_ns": SLOW}, 13),
        ({}, {"queries": 20}, 12),
        ({}, {"flaws": ("it drifted",)}, 7),
        ({"flaws": ("it drifted",)}, {"typical_ns": SLOW}, 7),
        ({}, {"provenance": "emulated"}, 7),
        ({}, {"host": host(cpu_model="Cortex-A76")}, 7),
        ({}, {"edgekit_version": "9"}, 0),
        ({"queries": 20}, {"flaws": ("hot",)}, 7),
    ],
)
def test_the_status_of_a_pair(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any], code: int
) -> None:
    a = saved(tmp_path / "a", one=measurement(**old))
    b = saved(tmp_path / "b", one=measurement(**new))
    assert exit_code(compare_places(a, b)) == code


@pytest.mark.parametrize(
    ("others_a", "others_b", "code"),
    [
        ({}, {"fresh": named("fresh.onnx")}, 0),
        ({"gone": named("gone.onnx")}, {}, 7),
        # One that can be trusted became slower, whatever there is of the others.
        (
            {"slow": named("slow.onnx"), "hot": named("hot.onnx")},
            {
                "slow": named("slow.onnx", typical_ns=SLOW),
                "hot": named("hot.onnx", flaws=("hot",)),
            },
            13,
        ),
    ],
)
def test_the_status_of_several(
    tmp_path: Path, others_a: dict[str, Measurement], others_b: dict[str, Measurement], code: int
) -> None:
    a = saved(tmp_path / "a", one=measurement(), **others_a)
    b = saved(tmp_path / "b", one=measurement(), **others_b)
    assert exit_code(compare_places(a, b)) == code


@pytest.mark.parametrize(
    ("limits", "answer"),
    [({}, "slower"), ({"max_increase": 0.2}, "same"), ({"floor": 2e6}, "same")],
)
def test_the_share_and_the_floor_both_have_to_be_passed(
    limits: dict[str, float], answer: str
) -> None:
    assert compare(measurement(), measurement(typical_ns=SLOW), **limits).answer == answer


def test_too_few_queries_say_what_is_missing() -> None:
    pair = compare(measurement(), measurement(queries=20))
    assert pair.reason == "too few blocks (20 and 2): needs 20 more queries of each"
    assert (pair.more, pair.more_of) == (20, "queries")
    none = compare(measurement(queries=5), measurement(queries=5))
    assert (none.a_ns, none.shift_ns, none.threshold_ns) == (None, None, None)


def test_noisy_rounds_are_undecided() -> None:
    chance = random.Random(7)

    def of_rounds() -> Measurement:
        levels = [int(1e7 * (1 + chance.gauss(0, 0.1))) for _ in range(8)]
        return measurement(
            latencies_ns=tuple(ns for ns in levels for _ in range(5)), rounds=(5,) * 8
        )

    pair = compare(of_rounds(), of_rounds())
    assert (pair.test, pair.answer) == ("signed-rank of rounds", "undecided")
    assert pair.reason.endswith(f": needs about {pair.more} more rounds of each")


def test_a_real_model_against_itself(tmp_path: Path) -> None:
    path = data_folder("models") / "digits-cnn" / "digits-cnn-fp32.onnx"
    options = ProbeOptions(min_s=0, max_s=5, min_queries=200, warmup_queries=20)
    request = ProbeRequest(options=options, threads=1)
    made = [probe_model(path, inspect_model(path), request) for _ in range(2)]
    a, b = (
        saved(tmp_path / name, one=dataclasses.replace(m, flaws=()))
        for name, m in zip("ab", made, strict=True)
    )
    # A floor of a second: whatever the machine does meanwhile, it stays the same.
    found = compare_places(a, b, floor=1e9)
    (pair,) = found.pairs
    assert (pair.answer, pair.samples_a, pair.samples_b) == ("same", 20, 20)
    assert [u.what for u in pair.unlike] == []
    assert exit_code(found) == 0


def test_what_cannot_be_compared_is_an_error(tmp_path: Path) -> None:
    a = saved(tmp_path / "a", one=named("a.onnx"), two=named("b.onnx"))
    b = saved(tmp_path / "b", one=named("c.onnx"))
    with pytest.raises(ConfigError) as caught:
        compare_places(a, b)
    assert str(caught.value) == f"{a}: no measurement has its like in {b}"
    save_result(info(), tmp_path / "v", "net")
    with pytest.raises(ConfigError) as caught:
        compare_places(a, tmp_path / "v")
    assert str(caught.value) == f"{tmp_path / 'v'}: no measurement there"
