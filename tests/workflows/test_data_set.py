"""What a user brings becomes a data set of the model's inputs, in a limited child."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from made_onnx import model, node, value

from edge.datasets import read
from edge.device.feeds import seeded_arrays, write_arrays
from edge.device.parent import Limits, run_child
from edge.errors import ConfigError, EdgekitError, HostError, UsageError
from edge.records.codec import to_dict
from edge.records.data_recipe import DataRecipe
from edge.records.data_set import DataSet
from edge.records.measurement import SessionConfig
from edge.workflows.data_set import classes_of, data_set, load_data_recipe, overlap
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice, resolve_model

ROOT = Path(__file__).parents[2]
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "dog")
ROLES = ("input_ids", "attention_mask")


def made(path: Path, choice: ModelChoice, **options: Any) -> DataSet:
    options = {"shapes": {}, "folder": path.parent / "made", **options}
    return data_set(path, choice, inspect_model(choice.path), **options)


def arrays(data: DataSet) -> dict[str, np.ndarray]:
    parts = []
    for file in data.files:
        with np.load(file) as archive:
            parts.append({name: archive[name] for name in archive.files})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@contextmanager
def refused(
    message: str, hint: str | None = None, family: type[EdgekitError] = UsageError
) -> Iterator[None]:
    with pytest.raises(family) as caught:
        yield
    assert str(caught.value) == message
    assert hint is None or caught.value.hint == hint


@pytest.fixture(scope="module")
def digits() -> ModelChoice:
    return resolve_model(None)


@pytest.fixture
def texts(tmp_path: Path) -> ModelChoice:
    """A model that takes tokens, with its tokeniser beside it."""
    nodes = [node("Add", list(ROLES), "sum"), node("Cast", ["sum"], "out", to=1)]
    inputs = [value(name, ("batch", "sequence"), onnx.TensorProto.INT64) for name in ROLES]
    path = tmp_path / "model" / "text.onnx"
    path.parent.mkdir()
    onnx.save(model(nodes, inputs, outputs=[value("out", ("batch", "sequence"))]), path)
    told = {
        "model": {"type": "WordPiece", "vocab": {word: n for n, word in enumerate(WORDS)}},
        "normalizer": {"type": "BertNormalizer"},
    }
    (path.parent / "tokenizer.json").write_text(json.dumps(told), encoding="utf-8")
    return ModelChoice(path=path)


@pytest.fixture
def rows(tmp_path: Path) -> ModelChoice:
    """A model that takes rows of two numbers and tells two classes apart."""
    path = tmp_path / "rows.onnx"
    graph = [node("Relu", ["x"], "scores")]
    onnx.save(model(graph, [value("x", ("n", 2))], outputs=[value("scores", ("n", 2))]), path)
    return ModelChoice(path=path)


def pictures(choice: ModelChoice, folder: Path) -> np.ndarray:
    """Write the samples of the digits as pictures, in folders by class; return the labels."""
    with np.load(choice.samples) as samples:
        images, labels = samples["images"], samples["labels"]
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / str(label) / f"{number:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(place), (image.reshape(8, 8) * 255).round().astype(np.uint8))
    return labels


def answers(choice: ModelChoice, data: DataSet, folder: Path) -> np.ndarray:
    request = {
        "model": str(choice.path),
        "config": to_dict(SessionConfig("onnxruntime", 1)),
        "inputs": str(data.files[0]),
        "outputs": str(folder / "answers.npz"),
    }
    run_child("edge.device.worker:infer", request, limits=Limits(), what="digits")
    with np.load(folder / "answers.npz") as told:
        return told[told.files[0]].reshape(data.samples, -1).argmax(axis=1)


def test_pictures_in_folders_are_labelled_and_answered_rightly(
    tmp_path: Path, digits: ModelChoice
) -> None:
    truth = pictures(digits, tmp_path / "digits")
    data = made(tmp_path / "digits", digits)
    classes = sorted(set(truth.tolist()))
    assert data.what == (
        f"16 pictures of digits, stretched to 8x8, grey, values as the card's,"
        f" labels: the numbers of {len(classes)} subfolders"
    )
    assert data.samples == 16
    assert data.labels == tuple(sorted(truth.tolist()))
    assert answers(digits, data, tmp_path).tolist() == list(data.labels)


def test_an_npz_with_labels(tmp_path: Path, digits: ModelChoice) -> None:
    assert digits.samples is not None
    with np.load(digits.samples) as samples:
        truth, images = samples["labels"], samples["images"]
    data = made(digits.samples, digits, folder=tmp_path / "all")
    assert data.what == "16 samples of samples.npz, labels from 0 to 9"
    assert data.labels == tuple(truth.tolist())
    some = made(digits.samples, digits, folder=tmp_path / "some", most=3)
    assert some.what == "3 of 16 samples of samples.npz (evenly spread), labels from 0 to 9"
    assert some.labels == tuple(truth[[0, 5, 10]].tolist())
    got = arrays(some)["input.input"]
    assert got.tobytes() == images[[0, 5, 10]].tobytes()
    assert overlap(some, data) == 3
    assert overlap(data, some) == 3


def test_samples_go_into_several_files(
    tmp_path: Path, digits: ModelChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = inspect_model(digits.path)
    request = {
        "path": str(digits.samples),
        "kind": "arrays",
        "inputs": [to_dict(spec) for spec in info.inputs],
        "shapes": {},
        "recipe": {},
        "most": None,
        "classes": 10,
        "folder": str(tmp_path),
    }
    monkeypatch.setattr(read, "CHUNK_BYTES", 600)
    answer = read.read_data(request)
    assert answer["files"] == [f"samples-{number:05d}.npz" for number in range(8)]
    assert sorted(p.name for p in tmp_path.iterdir()) == answer["files"]
    with np.load(tmp_path / answer["files"][7]) as last:
        assert {name: last[name].shape for name in last.files} == {"input.input": (2, 1, 1, 8, 8)}
    monkeypatch.setattr(read, "MOST_BYTES", 1000)
    what = "16 samples of 256 bytes are more than 1000 bytes"
    with refused(f"{digits.samples}: {what}", "give at most 3 samples"):
        read.read_data(request)


def test_unreadable_pictures_are_left_out(tmp_path: Path, digits: ModelChoice) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        assert cv2.imwrite(str(folder / name), np.zeros((8, 8), np.uint8))
    (folder / "b.png").write_bytes(b"no picture")
    (folder / "labels.csv").write_text("file,label\na.png,1\nb.png,2\nc.png,3\n", encoding="utf-8")
    data = made(folder, digits)
    assert data.what.startswith("2 of 3 pictures of d (1 unreadable left out), stretched to 8x8,")
    assert data.labels == (1, 3)
    for name in ("a.png", "c.png"):
        (folder / name).write_bytes(b"")
    with refused(f"{folder}: none of the 3 pictures can be read"):
        made(folder, digits)
    with refused(f"{folder / 'b.png'}: not a picture that OpenCV can read"):
        made(folder / "b.png", digits)


def test_a_recipe_is_used(tmp_path: Path, digits: ModelChoice) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('labels = "name"\nmean = 0.5\nstd = 0.25\nrange = "0..1"\n', encoding="utf-8")
    assert cv2.imwrite(str(tmp_path / "white_7.png"), np.full((4, 4), 255, np.uint8))
    data = made(tmp_path / "white_7.png", digits, recipe=recipe)
    assert data.what == (
        "1 picture of white_7.png, stretched to 8x8, grey, values as the recipe's,"
        " labels from 7 to 7"
    )
    assert np.unique(arrays(data)["input.input"]).tolist() == [2.0]


def test_texts(tmp_path: Path, texts: ModelChoice) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,sentence,label\n1,The cat,b\n2,,a\n3,the dog the,a\n", encoding="utf-8")
    shapes = dict.fromkeys(ROLES, (1, 6))
    data = made(path, texts, shapes=shapes)
    words = "6 tokens each, classes in sorted order: 0 a, 1 b"
    assert data.what == f"2 texts of t.csv, 1 without text left out, {words}"
    assert data.labels == (1, 0)
    got = {name: array.tolist() for name, array in arrays(data).items()}
    assert got == {
        "input.input_ids": [[[2, 4, 5, 3, 0, 0]], [[2, 4, 6, 4, 3, 0]]],
        "input.attention_mask": [[[1, 1, 1, 1, 0, 0]], [[1, 1, 1, 1, 1, 0]]],
    }
    recipe = tmp_path / "r.toml"
    recipe.write_text('max_tokens = 4\nclasses = ["b", "a"]\n', encoding="utf-8")
    short = made(path, texts, recipe=recipe)
    assert arrays(short)["input.input_ids"].tolist() == [[[2, 4, 5, 3]], [[2, 4, 6, 3]]]
    assert short.labels == (0, 1)
    cut = made(path, texts, shapes=shapes, recipe=recipe)
    assert arrays(cut)["input.input_ids"].tolist()[1] == [[2, 4, 6, 3, 0, 0]]
    assert "6 tokens each, cut at 4" in cut.what


def test_texts_of_json_and_of_lines(tmp_path: Path, texts: ModelChoice) -> None:
    shapes = dict.fromkeys(ROLES, (1, 4))
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"text": "cat", "label": true}\n{"text": "dog", "label": false}\n', encoding="utf-8"
    )
    data = made(path, texts, shapes=shapes)
    assert data.labels == (1, 0)
    plain = tmp_path / "t.txt"
    plain.write_text("dog\n\n cat \n", encoding="utf-8")
    lines = made(plain, texts, shapes=shapes, folder=tmp_path / "lines")
    assert lines.labels is None
    assert lines.what == "2 texts of t.txt, 4 tokens each, without labels"
    assert arrays(lines)["input.input_ids"].tolist() == [[[2, 6, 3, 0]], [[2, 5, 3, 0]]]
    # The same samples in another order.
    assert overlap(data, lines) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "a,b\n1,2\n", ", line 1: nothing says which column has the texts"),
        ("t.csv", "text,label\nthe,\ncat,1\n", ", line 2: it has no label"),
        ("t.jsonl", '{"text": 3}\n', ", line 1: 'text' is no text"),
        ("t.jsonl", '{"text": "a", "label": [1]}\n', ", line 1: the label is a list"),
        ("t.txt", " \n", ": there is no text in it"),
        ("t.csv", "text\n", ": there is no text in it"),
    ],
)
def test_texts_that_are_none(
    tmp_path: Path, texts: ModelChoice, name: str, content: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with refused(f"{path}{message}"):
        made(path, texts, shapes=dict.fromkeys(ROLES, (1, 4)))


def test_a_table(tmp_path: Path, rows: ModelChoice) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,target\n1,2,0\n3,4,1\n", encoding="utf-8")
    data = made(path, rows)
    assert data.what == "2 rows of t.csv, 2 numbers each, labels from 0 to 1"
    assert arrays(data)["input.x"].tolist() == [[[1, 2]], [[3, 4]]]
    path.write_text("1,2,2\n", encoding="utf-8")
    with refused(f"{path}, line 1: the label 2 is no class of the model"):
        made(path, rows)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": np.zeros((3, 2), np.float64)}, ": the array for x float32 nx2 is float64"),
        ({"x": np.zeros((3, 3), np.float32)}, ": the array for x float32 nx2 has the shape 3x3"),
        ({"x": np.zeros((3, 2), np.float32), "y": np.zeros(2, int)}, ": the array y is int64 2"),
        ({"x": np.zeros((1, 2), np.float32), "y": np.full(1, 2)}, ", y[0]: the label 2 is no class of the model"),
        ({"x": np.zeros((2, 2), np.float32), "label": np.eye(2)}, ": the array label is float64 2x2"),
        ({"a": np.zeros(2, np.int8)}, ": no array for the input x float32 nx2"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(
    tmp_path: Path, rows: ModelChoice, given: dict[str, np.ndarray], message: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **given)
    with refused(f"{path}{message}"):
        made(path, rows)


def test_samples_that_a_seed_stands_for(tmp_path: Path, rows: ModelChoice) -> None:
    specs = [type(spec)(spec.name, spec.dtype, (1, 2)) for spec in inspect_model(rows.path).inputs]
    write_arrays(str(tmp_path / "s.npz"), seeded_arrays(specs, 5, 3))
    data = made(tmp_path / "s.npz", rows, most=2)
    told = "2 of 5 samples of s.npz (evenly spread), made from a seed, without labels"
    assert data.what == told
    assert arrays(data)["input.x"].shape == (2, 1, 2)


def test_refusals(tmp_path: Path, rows: ModelChoice, digits: ModelChoice) -> None:
    path = tmp_path / "t.csv"
    path.write_text("1,2\n", encoding="utf-8")
    with refused(f"{path}: at least 1 sample is needed, got 0"):
        made(path, rows, most=0)
    with refused(f"{tmp_path / 'none'}: no such file"):
        made(tmp_path / "none", rows)
    with refused(f"{tmp_path / 'none'}: no such file"):
        made(path, rows, tokenizer=tmp_path / "none")
    with refused(f"{path}: a file of labels is for pictures; the labels of other data stand in it"):
        made(path, rows, labels=path)
    what = "nothing says how the model's texts become tokens"
    with refused(f"{path}: {what}", "put tokenizer.json beside the model, or name one"):
        made(path, digits)
    other = tmp_path / "t.doc"
    other.touch()
    with refused(f"{other}: its kind is not known"):
        made(other, rows)
    with refused(f"{path / 'folder'}: not a directory", family=HostError):
        made(path, rows, folder=path / "folder")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("scale = 'x'", "scale: expected a number or a list of 3, got 'x'", None),
        ("scale = [1, true, 2]", "scale[1]: expected a number, got True", None),
        ("resise = 'crop'", "resise: unknown key", "did you mean resize?"),
        (
            "resize = 'fill'",
            "resize: must be one of stretch, letterbox, crop, got 'fill'",
            None,
        ),
        ("max_tokens = 2.5", "max_tokens: expected an integer, got 2.5", None),
        ("std = 1", "mean and std go together", None),
    ],
)
def test_recipes_that_are_none(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    with refused(f"{path}: {message}", hint, ConfigError):
        load_data_recipe(path)


def test_a_pipe_is_no_picture(tmp_path: Path, digits: ModelChoice) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    os.mkfifo(folder / "a.png")
    with refused(f"{folder / 'a.png'}: it is no plain file"):
        made(folder, digits)


def test_how_many_classes_there_are(rows: ModelChoice, texts: ModelChoice) -> None:
    assert classes_of(rows, inspect_model(rows.path)) == 2
    assert classes_of(texts, inspect_model(texts.path)) is None
    card = resolve_model(None)
    assert classes_of(card, inspect_model(card.path)) == 10


def test_the_recipes_of_the_reference(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "data.md").read_text(encoding="utf-8")
    recipes = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(recipes) == 6
    for text in recipes:
        (tmp_path / "r.toml").write_text(text, encoding="utf-8")
        assert load_data_recipe(tmp_path / "r.toml") != DataRecipe()
    keys = DataRecipe.__dataclass_fields__
    assert [key for key in keys if f"`{key}`" not in page] == []
