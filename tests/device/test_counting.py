"""The marks stand where they should, and a bundle is only counted where something counts."""

import argparse
import ctypes
import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.adapters.data import data_folder
from edge.device import counting
from edge.errors import RuntimeFailure, UsageError

MODELS = data_folder("models") / "digits-cnn"
BEGIN_TO_FIRST = [
    counting.BEGIN,
    counting.IMPORTED,
    counting.LOADED,
    counting.BOUND,
    counting.FIRST,
]
CLOSE = [counting.EMPTY, counting.END]


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Give what is marked, and whether garbage was looked for at that moment."""
    seen: list[tuple[int, bool]] = []
    monkeypatch.setattr(
        counting, "_marker", lambda: lambda number: seen.append((number, gc.isenabled()))
    )
    return seen


def request(folder: Path, model: str, backend: str, name: str) -> dict[str, Any]:
    images = np.load(MODELS / "samples.npz")["images"][:1, np.newaxis]
    if model.endswith("int8.tflite"):
        images = images.astype(np.float32)
    samples = folder / "samples.npz"
    np.savez(samples, **{f"input.{name}": images, "output.x": np.zeros((1, 1))})
    config = {"backend": backend, "threads": 1}
    return {"model": str(MODELS / model), "config": config, "samples": str(samples)}


def onnx_request(folder: Path) -> dict[str, Any]:
    from edge.backends import load_backend
    from edge.records.measurement import SessionConfig

    path = str(MODELS / "digits-cnn-fp32.onnx")
    (spec,) = load_backend("onnxruntime").open(path, SessionConfig("onnxruntime", 1)).inputs
    return request(folder, "digits-cnn-fp32.onnx", "onnxruntime", spec.name)


def test_each_part_is_marked_without_a_collection(
    tmp_path: Path, marks: list[tuple[int, bool]]
) -> None:
    answer = counting.count_phases(onnx_request(tmp_path))
    expected = [*BEGIN_TO_FIRST, *[counting.WARMED] * 2, *[counting.STEADY] * 5, *CLOSE]
    assert marks == [(mark, False) for mark in expected]
    assert gc.isenabled()
    assert answer["runtime"]["distribution"] == "onnxruntime"
    assert {k: answer[k] for k in ("warmups", "steady", "threads")} == {
        "warmups": 2,
        "steady": 5,
        "threads": 1,
    }


@pytest.mark.parametrize(
    ("took_s", "warmups", "steady"), [(1, 2, 5), (18, 2, 5), (19, 1, 4), (60, 1, 1), (500, 1, 1)]
)
def test_long_inferences_are_fewer(
    took_s: int, warmups: int, steady: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((0, took_s * 1_000_000_000))
    monkeypatch.setattr(counting, "clock_ns", lambda: next(now))
    done: list[object] = []
    assert counting._repeat(lambda: done.append("run"), done.append) == [warmups, steady]
    expected = [counting.WARMED] * warmups + [counting.STEADY] * steady
    assert done == [step for mark in expected for step in ("run", mark)]


def test_a_failed_inference_says_so(tmp_path: Path, marks: list[tuple[int, bool]]) -> None:
    asked = onnx_request(tmp_path)
    with np.load(asked["samples"]) as arrays:
        wrong = {name: array[..., :3] for name, array in arrays.items()}
    np.savez(asked["samples"], **wrong)
    with pytest.raises(RuntimeFailure):
        counting.count_phases(asked)
    assert gc.isenabled()


def test_a_real_kernel_refuses_a_mark() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(counting.MAGIC, counting.BEGIN, 0, counting.MAGIC, 0) == -1
    counting._marker()(counting.BEGIN)


def test_where_nothing_counts_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(counting.COUNTED, raising=False)
    nothing: Any = None
    with pytest.raises(UsageError) as caught:
        counting.count(nothing, nothing, argparse.Namespace(json=True))
    assert str(caught.value) == "nothing counts here: run it by `edgekit emulate`"
