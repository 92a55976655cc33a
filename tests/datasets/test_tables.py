"""Rows of numbers become samples of a model that takes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.datasets.tables import gather_table, takes_rows
from edge.errors import UsageError
from edge.records.data_recipe import DataRecipe
from edge.records.tensor import TensorSpec

SPEC = TensorSpec("x", "float32", (None, 2))


def table(path: Path, text: str, spec: TensorSpec = SPEC, **keys: Any) -> Any:
    path.write_text(text, encoding="utf-8")
    request = {"shapes": {}, "most": None, "classes": 3}
    return gather_table(path, [spec], DataRecipe(**keys), request)


@pytest.mark.parametrize(
    ("text", "keys", "rows", "told"),
    [
        ("1,2\n3,4\n", {}, [[1, 2], [3, 4]], (None, "without labels")),
        ("1,2,0\n3,4,2\n", {}, [[1, 2], [3, 4]], ((0, 2), "labels from 0 to 2")),
        ("a,b,kind\n1,2,x\n", {}, [[1, 2]], ((0,), "classes in sorted order: 0 x")),
        ("label,a,b\n1,2.5,3\n", {}, [[2.5, 3]], ((1,), "labels from 1 to 1")),
        # A table whose columns are called by numbers.
        ("0,1,target\n5,6,2\n", {}, [[5, 6]], ((2,), "labels from 2 to 2")),
        ("7,8,x\n1,2,x\n", {"header": True}, [[1, 2]], ((0,), "classes in sorted order: 0 x")),
        ("a,out,b\n1,2,3\n", {"label": "out"}, [[1, 3]], ((2,), "labels from 2 to 2")),
        ("1,2,3.7\n", {"labels": "none"}, [[1, 2]], (None, "without labels")),
        ("1,2,b\n1,2,a\n", {"classes": ("b", "a")}, [[1, 2]] * 2, ((0, 1), "classes: 0 b, 1 a")),
    ],
)
def test_columns(
    tmp_path: Path,
    text: str,
    keys: dict[str, Any],
    rows: list[list[float]],
    told: tuple[tuple[int, ...] | None, str],
) -> None:
    got = table(tmp_path / "t.csv", text, **keys)
    samples = [got.make(number)["x"] for number in range(got.count)]
    assert [sample.tolist() for sample in samples] == [[row] for row in rows]
    assert {sample.dtype.name for sample in samples} == {"float32"}
    assert (got.labels, got.notes) == (told[0], ("2 numbers each", told[1]))


def test_empty_cells_and_free_widths(tmp_path: Path) -> None:
    got = table(tmp_path / "t.csv", "1,\n,2\n", TensorSpec("x", "float64", ("n", "f")))
    assert np.isnan(got.make(0)["x"]).tolist() == [[False, True]]
    assert got.notes == ("2 numbers each", "2 empty cells (NaN)", "without labels")


@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        ("", {}, ": there is nothing in it"),
        ("a,b\n", {}, ": there is no row of numbers in it"),
        ("1,2,3,4\n", {}, ", line 1: 4 columns, and the model takes 2 numbers"),
        (
            "label,a\n1,2\n",
            {},
            ", line 1: 1 columns besides the label, and the model takes 2 numbers",
        ),
        ("1,2\n3\n", {}, ", line 2: the row has 1 cells, and the first has 2"),
        ("1,2\n3,x\n", {}, ", line 2: column 2: 'x' is no number"),
        ("1,2\n3,1_0\n", {}, ", line 2: column 2: '1_0' is no number"),
        ("1,2\n3,inf\n", {}, ", line 2: column 2: 'inf' is no number"),
        ("1,2\n3,1e39\n", {}, ", line 2: 1e+39 does not fit the input's type float32"),
        ("1,2,0.5\n", {}, ", line 1: the label 0.5 is no class"),
        ("1,2,0\n1,2,3\n", {}, ", line 2: the label 3 is no class of the model"),
        ("1,2,0\n1,2,\n", {}, ", line 2: it has no label"),
        ("a,b,c\n1,2,0\n", {"label": "d"}, ", line 1: there is no column 'd'"),
        ("1,2,0\n", {"label": "d"}, ", line 1: there is no row of names to find 'd' in"),
    ],
)
def test_refusals(tmp_path: Path, text: str, keys: dict[str, Any], message: str) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(UsageError) as caught:
        table(path, text, **keys)
    assert str(caught.value) == f"{path}{message}"


def test_whole_numbers(tmp_path: Path) -> None:
    path, spec = tmp_path / "t.csv", TensorSpec("x", "uint8", (1, 2))
    assert table(path, "1,255\n", spec).make(0)["x"].tolist() == [[1, 255]]
    for cell in ("256", "-1", "0.5", ""):
        with pytest.raises(UsageError) as caught:
            table(path, f"1,{cell}\n", spec)
        told = cell or "nan"
        assert str(caught.value) == f"{path}, line 1: {told} does not fit the input's type uint8"


def test_which_models_take_rows() -> None:
    assert takes_rows([SPEC])
    assert takes_rows([TensorSpec("x", "int64", (1, 4))])
    assert not takes_rows([SPEC, SPEC])
    for shape in ((8, 4), (1, 3, 4), None):
        assert not takes_rows([TensorSpec("x", "float32", shape)])
    assert not takes_rows([TensorSpec("x", "str", (None, 2))])
