"""Rows on disk, and what a word's number becomes."""

from pathlib import Path

import numpy as np
import pytest

from edge.distillation.stored import RowWriter, read_rows
from edge.distillation.tokens import vocabulary
from edge.errors import HostError, RuntimeFailure


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = np.arange(24, dtype=np.int16).reshape(4, 2, 3)
    writer = RowWriter(tmp_path / "rows")
    for row in rows:
        writer.write(row.T.T, "x")
    told = writer.close()
    assert told == {"file": str(tmp_path / "rows"), "dtype": "int16", "shape": [4, 2, 3]}
    back = read_rows(told)
    assert back.dtype == np.int16
    assert np.array_equal(back, rows)
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 0


def test_another_shape_is_refused(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path / "rows")
    writer.write(np.zeros((2, 3)), "the output y")
    with pytest.raises(RuntimeFailure) as caught:
        writer.write(np.zeros((3, 3)), "the output y")
    assert caught.value.what == (
        "the output y changes its shape from sample to sample: (2, 3) and (3, 3)"
    )
    assert caught.value.hint == "a student's output has one shape"
    writer.close()


def test_a_full_disk_is_named() -> None:
    writer = RowWriter(Path("/dev/full"))
    with pytest.raises(HostError) as caught:
        writer.write(np.zeros(1 << 16), "x")
    assert caught.value.what == "no space left on device"
    assert caught.value.hint == "free some disk space"


def test_words_seen_twice_are_known() -> None:
    # 3 and 5 are seen twice, 2 once, 9 only where it is masked.
    ids = np.array([[3, 5, 2, 9], [5, 3, 9, 9]])
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
    assert vocabulary(ids, mask) == [0, 0, 0, 1, 0, 2, 0]
    assert vocabulary(ids, None) == [0, 0, 0, 1, 0, 2, 0, 0, 0, 3, 0]
