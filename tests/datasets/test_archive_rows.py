"""Rows of an .npz come one by one, whatever is in the file."""

import io
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from edge.datasets.archive import ArchiveOfRows
from edge.errors import UsageError

_ARRAYS = arrays_of.arrays(
    st.sampled_from([np.float32, np.int64, np.uint8, np.bool_]),
    arrays_of.array_shapes(min_dims=1, max_dims=4, max_side=5),
)


@given(
    _ARRAYS,
    st.sampled_from(["C", "F"]),
    st.sampled_from([np.savez, np.savez_compressed]),
    st.data(),
)
def test_rows_are_those_of_numpy(
    array: np.ndarray, order: Any, save: Any, data: st.DataObject
) -> None:
    path = _scratch / "a.npz"
    save(path, a=np.asarray(array, order=order))
    rows = data.draw(st.sets(st.integers(0, len(array) - 1), min_size=1).map(sorted))
    with closing(ArchiveOfRows(path)) as archive:
        assert archive.arrays["a"].shape == array.shape
        for row in rows:
            got = archive.row("a", row, len(array)).reshape(array.shape[1:])
            assert got.tobytes() == np.ascontiguousarray(array[row]).tobytes()


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _scratch  # noqa: PLW0603 - hypothesis and fixtures of a function do not go together
    _scratch = tmp_path_factory.mktemp("rows")


_scratch = Path()


@settings(max_examples=200)
@given(st.integers(0, 600), st.integers(1, 255))
def test_a_damaged_file_is_refused_or_read(place: int, change: int) -> None:
    whole = io.BytesIO()
    np.savez(whole, a=np.arange(12.0).reshape(3, 4))
    data = bytearray(whole.getvalue())
    data[place % len(data)] ^= change
    path = _scratch / "b.npz"
    path.write_bytes(data)
    told = None
    try:
        with closing(ArchiveOfRows(path)) as archive:
            for name, rows in archive.arrays.items():
                if rows.shape and rows.shape[0]:
                    archive.row(name, 0, rows.shape[0])
    except UsageError as error:
        told = str(error)
    assert told in (None, f"{path}: not an .npz file of plain arrays")


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    objects = io.BytesIO()
    np.save(objects, np.array([{}], dtype=object), allow_pickle=True)
    for content in (objects.getvalue(), b"", b"\x93NUMPY\x09\x00"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", content)
        with pytest.raises(UsageError) as caught:
            ArchiveOfRows(path)
        assert str(caught.value) == f"{path}: not an .npz file of plain arrays"
    path.write_bytes(b"no")
    with pytest.raises(UsageError) as caught:
        ArchiveOfRows(path)
    assert str(caught.value) == f"{path}: not an .npz file of plain arrays"
    with pytest.raises(UsageError) as caught:
        ArchiveOfRows(tmp_path / "none.npz")
    assert str(caught.value) == f"{tmp_path / 'none.npz'}: no such file or directory"
