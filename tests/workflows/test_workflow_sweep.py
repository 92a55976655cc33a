"""A sweep over the default model's real files, with the real runtimes."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from edge.device import combinations
from edge.device.probe import ProbeOptions
from edge.device.zygote import Zygote
from edge.errors import UsageError
from edge.records.measurement import GRAPH_LEVELS
from edge.records.sweep import LeftOut
from edge.workflows.models import ModelChoice, resolve_model
from edge.workflows.probe_request import ProbeRequest
from edge.workflows.sweep import sweep_anything, sweep_model

SHORT = ProbeOptions(min_s=0.0, max_s=5.0, min_queries=20, warmup_queries=1)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combinations, "default_threads", lambda _host: 2)


def test_files_of_the_card_are_measured_along_precision_and_runtime(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    axes = ("precision", "runtime")
    result = sweep_model(
        resolve_model(None), axes, SHORT, rounds=2, threads=1, journal_path=journal, target="rpi4"
    )
    assert [row.variant for row in result.rows] == [
        "fp32/onnxruntime",
        "int8/onnxruntime",
        "fp32/tflite",
        "int8/tflite",
    ]
    for row in result.rows:
        assert row.error is None
        assert row.measurement is not None
        assert (row.measurement.rounds, row.measurement.target) == ((20, 20), "rpi4")
        assert row.measurement.config == row.config
    assert result.best is not None
    assert any(row.is_pareto for row in result.rows)
    again = sweep_model(
        resolve_model(None),
        axes,
        SHORT,
        rounds=2,
        threads=1,
        journal_path=journal,
        target="rpi4",
        resume=True,
    )
    assert (again.resumed_rounds, again.rows, again.best) == (8, result.rows, result.best)


def test_a_file_without_a_card_has_its_settings_only(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    shutil.copy(resolve_model(None).path, path)
    axes = ("threads", "graph-level", "precision")
    result = sweep_model(ModelChoice(path=path), axes, SHORT, rounds=1)
    got = [(row.config.graph_level, row.config.threads) for row in result.rows]
    assert got == [(level, threads) for level in GRAPH_LEVELS for threads in (1, 2)]
    assert all(row.measurement and row.measurement.runtime.threads for row in result.rows)
    assert result.left_out == (LeftOut("precision", "there is no other one of this model here"),)


def test_every_round_is_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []
    fork = Zygote.fork

    def watched(self: Zygote) -> object:
        child = fork(self)
        pids.append(child.pid)
        return child

    monkeypatch.setattr(Zygote, "fork", watched)
    result = sweep_model(resolve_model(None), ("threads",), SHORT, rounds=3)
    assert len(result.rows) == 2
    assert len(set(pids)) == len(pids) == 6


def test_no_rounds_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^--rounds must be at least 1$"):
        sweep_model(resolve_model(None), ("threads",), SHORT, rounds=0)


def test_the_options_of_a_command_are_kept(tmp_path: Path) -> None:
    request = ProbeRequest(options=SHORT, threads=1, graph_level="basic")
    result = sweep_anything(
        resolve_model(None), "provider", request, rounds=1, journal=tmp_path / "sweep.jsonl"
    )
    assert [(row.config.threads, row.config.graph_level) for row in result.rows] == [(1, "basic")]
    assert (tmp_path / "sweep.jsonl").is_file()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"axes": "speed"}, "--sweep: no such axis: speed"),
        ({"save_settings": True}, "a model file has no settings"),
        (
            {"request": ProbeRequest(options=SHORT, scenario=None)},
            "a sweep measures one scenario, and offline begins with a search of its own",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], what: str) -> None:
    given = {"axes": "threads", "request": ProbeRequest(options=SHORT), **options}
    with pytest.raises(UsageError) as caught:
        sweep_anything(resolve_model(None), given.pop("axes"), given.pop("request"), **given)
    assert str(caught.value) == what
