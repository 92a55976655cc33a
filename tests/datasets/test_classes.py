"""Labels become class numbers, or are refused by place."""

from pathlib import Path

import pytest

from edge.datasets.classes import class_numbers, label_text, read_classes
from edge.errors import UsageError


def numbers(
    *texts: str,
    classes: tuple[str, ...] | None = None,
    sorts: bool = True,
    outputs: int | None = None,
) -> tuple[tuple[int, ...], str]:
    return class_numbers(
        texts, lambda n: f"line {n + 1}", classes=classes, sorts=sorts, outputs=outputs
    )


def test_numbers_and_names() -> None:
    assert numbers("2", "0", "1.0") == ((2, 0, 1), "labels from 0 to 2")
    assert numbers("b", "a", "b") == ((1, 0, 1), "classes in sorted order: 0 a, 1 b")
    assert numbers("b", "a", classes=("b", "a")) == ((0, 1), "classes: 0 b, 1 a")
    # A class that is called by a number is taken by its name.
    assert numbers("7", "3", classes=("3", "7")) == ((1, 0), "classes: 0 3, 1 7")
    assert numbers("1", "0", classes=("cat", "dog")) == ((1, 0), "labels from 0 to 1")
    many = tuple("abcdefgh")
    assert numbers("h", classes=many)[1] == "classes: 0 a, 1 b, 2 c, 3 d, 4 e, …, 7 h"


@pytest.mark.parametrize(
    ("texts", "options", "message", "hint"),
    [
        (
            ("1", ""),
            {},
            "line 2: it has no label",
            'give each one a label, or say labels = "none" in a recipe',
        ),
        (
            ("a", "c"),
            {"classes": ("a", "b")},
            "line 2: 'c' is none of the 2 classes",
            "the classes: 0 a, 1 b",
        ),
        (
            ("a", "1"),
            {"classes": ("a", "b")},
            "line 2: '1' is none of the 2 classes",
            "the classes: 0 a, 1 b",
        ),
        (
            ("1", "cat"),
            {"sorts": False},
            "line 2: nothing says which number the class 'cat' has",
            'say classes = ["first", "second"] in a recipe, or write a classes.txt, a name a line',
        ),
        (("0", "-1"), {}, "line 2: the label -1 is no class", "class numbers begin at 0"),
        (
            ("0", "3"),
            {"outputs": 3},
            "line 2: the label 3 is no class of the model",
            "it has classes 0 to 2",
        ),
        (
            ("a", "b", "c"),
            {"outputs": 2},
            "line 3: the label 2 ('c') is no class of the model",
            "it has classes 0 to 1",
        ),
        (
            ("2",),
            {"classes": ("cat", "dog")},
            "line 1: the label 2 is no class of the recipe",
            "it has classes 0 to 1",
        ),
    ],
)
def test_refusals(texts: tuple[str, ...], options: dict, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        numbers(*texts, **options)
    assert str(caught.value) == message
    assert caught.value.hint == hint


def test_labels_of_json() -> None:
    got = [label_text(value) for value in (None, True, 3, 2.0, " a ")]
    assert got == ["", "true", "3", "2.0", "a"]


def test_a_file_of_classes(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("cat\n dog \n\n", encoding="utf-8")
    assert read_classes(path) == ("cat", "dog")
    for text, message in (
        ("\n", f"{path}: there is no class in it"),
        ("a\n\nb\n", f"{path}, line 2: there is no name"),
        ("a\na\n", f"{path}, line 2: 'a' stands there twice"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError) as caught:
            read_classes(path)
        assert str(caught.value) == message
