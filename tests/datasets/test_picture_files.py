"""Which pictures there are, and what they are labelled."""

from pathlib import Path
from typing import Any

import pytest

from edge.datasets.picture_files import find_pictures
from edge.errors import UsageError
from edge.records.data_recipe import DataRecipe


def made(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path, labels: Path | None = None, outputs: int | None = None, **keys: Any) -> Any:
    result = find_pictures(root, DataRecipe(**keys), labels, outputs)
    folder = root if root.is_dir() else root.parent
    names = [file.relative_to(folder).as_posix() for file in result.files]
    return names, result.labels, result.words


def refused(*arguments: Any, **keys: Any) -> tuple[str, str | None]:
    with pytest.raises(UsageError) as caught:
        found(*arguments, **keys)
    return str(caught.value), caught.value.hint


def test_a_folder_and_a_picture(tmp_path: Path) -> None:
    made(tmp_path, "b.JPG", "a.png", "notes.txt", ".hidden.png", ".cache/c.png")
    assert found(tmp_path) == (["a.png", "b.JPG"], None, "without labels")
    assert found(tmp_path / "a.png") == (["a.png"], None, "without labels")


def test_subfolders(tmp_path: Path) -> None:
    made(tmp_path, "dog/1.png", "cat/2.png", "cat/1.png", "empty/x.txt")
    names = ["cat/1.png", "cat/2.png", "dog/1.png"]
    assert found(tmp_path) == (names, (0, 0, 1), "classes in sorted order: 0 cat, 1 dog")
    assert found(tmp_path, classes=("dog", "cat"))[1:] == ((1, 1, 0), "classes: 0 dog, 1 cat")
    (tmp_path / "classes.txt").write_text("eel\ndog\ncat\n", encoding="utf-8")
    assert found(tmp_path)[1] == (2, 2, 1)


def test_numbers_as_subfolders(tmp_path: Path) -> None:
    made(tmp_path, "7/1.png", "12/2.png")
    assert found(tmp_path) == (
        ["12/2.png", "7/1.png"],
        (12, 7),
        "labels: the numbers of 2 subfolders",
    )
    message = f"{tmp_path / '12'}: the label 12 is no class of the model"
    assert refused(tmp_path, None, 10) == (message, "it has classes 0 to 9")


def test_numbers_at_the_end(tmp_path: Path) -> None:
    made(tmp_path, "a_00_243.jpg", "b_7.jpg")
    recipe = {"labels": "name"}
    with pytest.raises(UsageError):
        find_pictures(tmp_path, DataRecipe(labels="name"), tmp_path / "labels.csv", None)
    result = find_pictures(tmp_path, DataRecipe(**recipe), None, None)
    assert result.labels == (243, 7)
    made(tmp_path, "c.jpg")
    with pytest.raises(UsageError) as caught:
        find_pictures(tmp_path, DataRecipe(**recipe), None, None)
    what = 'no number ends its name, and the recipe says labels = "name"'
    assert str(caught.value) == f"{tmp_path / 'c.jpg'}: {what}"


def test_a_file_of_labels(tmp_path: Path) -> None:
    root = made(tmp_path / "d", "a.png", "sub/b.png", "c.png")
    (root / "labels.csv").write_text("label,file\n1,sub/b.png\n0,a.png\n", encoding="utf-8")
    assert found(root) == (["sub/b.png", "a.png"], (1, 0), "labels from 0 to 1")
    other = tmp_path / "other.csv"
    other.write_text("file,label\nc.png,dog\n", encoding="utf-8")
    assert found(root, other, classes=("cat", "dog"))[:2] == (["c.png"], (1,))
    message = f"{other}, line 2: nothing says which number the class 'dog' has"
    assert refused(root, other)[0] == message
    assert found(root / "c.png", other, classes=("dog",))[:2] == (["c.png"], (0,))
    message = f"{other}: it does not name a.png"
    assert refused(root / "a.png", other) == (message, "a CSV file with the columns file and label")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,label\n", ", line 1: the first line does not name the columns file and label"),
        ("file,label\n", ": it names no picture"),
        ("file,label\n/etc/passwd,1\n", ", line 2: '/etc/passwd' is no file of the folder"),
        ("file,label\n../a.png,1\n", ", line 2: '../a.png' is no file of the folder"),
        ("file,label\n,1\n", ", line 2: '' is no file of the folder"),
        ("file,label\nb.png,1\n", ", line 2: 'b.png' is not there"),
        ("file,label\na.png,1\na.png,2\n", ", line 3: 'a.png' stands there twice"),
        ("file,label\na.png,\n", ", line 2: it has no label"),
    ],
)
def test_files_of_labels_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    root = made(tmp_path / "d", "a.png")
    made(tmp_path, "a.png")
    path = root / "labels.csv"
    path.write_text(content, encoding="utf-8")
    assert refused(root)[0] == f"{path}{message}"


def test_links_that_lead_out(tmp_path: Path) -> None:
    root, outside = made(tmp_path / "d", "a.png"), made(tmp_path, "out/b.png")
    (root / "inside.png").symlink_to("a.png")
    assert found(root)[0] == ["a.png", "inside.png"]
    (root / "b.png").symlink_to(outside / "out" / "b.png")
    what = "a link that leads out of the folder"
    hint = "copy what it leads to, or give the folder where that lies"
    assert refused(root) == (f"{root / 'b.png'}: {what}", hint)
    labels = tmp_path / "l.csv"
    labels.write_text("file,label\nb.png,1\n", encoding="utf-8")
    assert refused(root, labels) == (f"{root / 'b.png'}: {what}", hint)
    (root / "b.png").unlink()
    (root / "cats").symlink_to(outside / "out")
    assert refused(root) == (f"{root / 'cats'}: {what}", hint)


def test_refusals(tmp_path: Path) -> None:
    root = made(tmp_path / "d")
    root.mkdir()
    assert refused(root)[0] == f"{root}: no pictures there"
    (root / "dir.png").mkdir()
    assert refused(root)[0] == f"{root / 'dir.png'}: it is no plain file"
    (root / "dir.png").rmdir()
    made(root, "a.png", "cat/b.png")
    message = f"{root}: pictures lie in the folder and in its subfolders (cat)"
    hint = 'say labels = "folders" or labels = "none" in a recipe, or move them apart'
    assert refused(root) == (message, hint)
    both = find_pictures(root, DataRecipe(labels="none"), None, None)
    assert [file.name for file in both.files] == ["a.png", "b.png"]
    inside = find_pictures(root, DataRecipe(labels="folders"), None, None)
    assert [file.name for file in inside.files] == ["b.png"]
    for kind, message in (
        ("column", f'{root}: labels = "column" is for texts and tables'),
        ("file", f"{root / 'labels.csv'}: there is no file of labels"),
    ):
        with pytest.raises(UsageError) as caught:
            find_pictures(root, DataRecipe(labels=kind), None, None)
        assert str(caught.value) == message
