"""Comparing outputs with what they must be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.device.samples import Samples, difference, distance
from edge.errors import RuntimeFailure

CLOSE = {"compare": "close", "atol": 0.1, "rtol": 0.0}
TOP = {"compare": "top1", "atol": 0.0, "rtol": 0.0}
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("got", "expected", "rule", "words"),
    [
        ([1.0, 2.0], [1.0, 2.05], CLOSE, None),
        ([1.0, 2.0], [1.0, 2.5], CLOSE, "entry [1] is 2, expected 2.5, and 0.1 off is allowed"),
        ([NAN, INF, -INF], [NAN, INF, -INF], CLOSE, None),
        ([NAN], [1.0], CLOSE, "entry [0] is nan, expected 1, and 0.1 off is allowed"),
        ([1.0], [NAN], CLOSE, "entry [0] is 1, expected nan, and 0.1 off is allowed"),
        ([INF], [-INF], CLOSE, "entry [0] is inf, expected -inf, and 0.1 off is allowed"),
        (
            [5.0],
            [INF],
            {**CLOSE, "rtol": 0.1},
            "entry [0] is 5, expected inf, and 0.1 off is allowed",
        ),
        (100.0, 104.0, {**CLOSE, "rtol": 0.1}, None),
        (1.0, 2.0, CLOSE, "entry [] is 1, expected 2, and 0.1 off is allowed"),
        ([0.1, 0.9], [0.4, 0.6], TOP, None),
        (
            [[0.1, 0.9], [0.8, 0.2]],
            [[0.1, 0.9], [0.2, 0.8]],
            TOP,
            "the largest entry is number 0, expected 1",
        ),
        ([[1.0]], [1.0], CLOSE, "it is float64 (1, 1), expected float64 (1,)"),
        ([1], [1.0], CLOSE, "it is int64 (1,), expected float64 (1,)"),
        ([True], [False], CLOSE, "entry [0] is 1, expected 0, and 0.1 off is allowed"),
        ([], [], CLOSE, None),
    ],
)
def test_difference(got: Any, expected: Any, rule: dict[str, Any], words: str | None) -> None:
    assert difference(np.array(got), np.array(expected), rule) == words


@pytest.mark.parametrize(
    ("got", "expected", "off"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([1, 5], [3, 5], 2.0),
        ([True], [False], 1.0),
        ([NAN], [NAN], 0.0),
        ([], [], 0.0),
        (3.0, 1.0, 2.0),
    ],
)
def test_distance(got: Any, expected: Any, off: float) -> None:
    assert distance(np.array(got), np.array(expected)) == off


def test_samples_without_outputs_show_nothing(tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    np.savez(path, **{"input.x": np.zeros((2, 3))})
    with pytest.raises(RuntimeFailure, match=r"samples\.npz: the samples have no outputs$"):
        Samples(str(path))
