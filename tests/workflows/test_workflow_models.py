"""From a name to a verified file: fetched once, refused when it is another one, never half."""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from made_packages import card_of, made_wheel, packaged, serve, serve_nothing, serve_silence, sha256

from edge.adapters.cards import load_card
from edge.adapters.data import data_folder
from edge.adapters.registry import sha256_of
from edge.backends import backend_for_format
from edge.device.parent import Limits, run_child
from edge.errors import HostError, ModelError
from edge.recipes import load_recipe, missing_modules
from edge.records.card import Conversion, ModelCard
from edge.workflows.models import (
    default_card,
    fetch_files,
    fetch_model,
    is_cached,
    resolve_model,
)

DATA = bytes(range(256)) * 100


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    """A model and its labels in a wheel that only this machine serves."""
    wheel = made_wheel(tmp_path / "served", "made", {"made/a.onnx": DATA, "made/b.txt": b"labels"})
    serve(wheel.parent, monkeypatch)
    asset = packaged("labels.txt", "made/b.txt", b"labels", purpose="labels")
    return card_of(wheel, "made/a.onnx", DATA, asset=(asset,))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Where a registry accepts a connection and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def left(own_cache: Path) -> list[str]:
    """What the cache holds, but for the files that are only locked."""
    return sorted(
        str(p.relative_to(own_cache)) for p in own_cache.rglob("*") if p.suffix != ".lock"
    )


def test_fetch(card: ModelCard, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_cached(card)
    path = fetch_model(card)
    assert path == own_cache / "models" / "made" / "model.onnx"
    assert path.read_bytes() == DATA
    assert is_cached(card)
    files = ["fetched.json", "labels.txt", "model.onnx"]
    assert left(own_cache) == ["models", "models/made", *(f"models/made/{f}" for f in files)]
    serve_nothing(monkeypatch)
    assert fetch_model(card) == path


def test_one_file(card: ModelCard) -> None:
    folder, fetched = fetch_files(card, "labels.txt")
    assert [f.name for f in fetched.files] == ["labels.txt"]
    assert (folder / "labels.txt").read_bytes() == b"labels"


def test_file_that_the_card_has_not(card: ModelCard, own_cache: Path) -> None:
    for fetch in (fetch_files, lambda c, f: fetch_model(c, file=f)):
        with pytest.raises(ModelError) as caught:
            fetch(card, "x.onnx")
        assert str(caught.value) == "made: it has no file 'x.onnx'"
    assert left(own_cache) == []


def test_wrong_digest_of_the_package(card: ModelCard, own_cache: Path) -> None:
    source = dataclasses.replace(card.source, package_sha256=sha256(b"another"))
    with pytest.raises(ModelError) as caught:
        fetch_model(dataclasses.replace(card, source=source))
    assert str(caught.value) == "made 1.0: its digest is not the pinned one"
    assert left(own_cache) == ["models"]


def test_wrong_digest_of_a_file(card: ModelCard, own_cache: Path) -> None:
    file = dataclasses.replace(card.file[0], sha256=sha256(b"another"))
    with pytest.raises(ModelError) as caught:
        fetch_model(dataclasses.replace(card, file=(file,)))
    assert str(caught.value) == (
        f"made-1.0-py3-none-any.whl: made/a.onnx: its SHA-256 is {sha256(DATA)},"
        f" and the card says {sha256(b'another')}"
    )
    assert left(own_cache) == ["models"]


def test_wrong_digest_of_a_file_beside_it(card: ModelCard, own_cache: Path) -> None:
    asset = dataclasses.replace(card.asset[0], sha256=sha256(b"another"))
    with pytest.raises(ModelError, match=r"made/b\.txt: its SHA-256 is"):
        fetch_model(dataclasses.replace(card, asset=(asset,)))
    assert left(own_cache) == ["models"]


def test_damaged_file_is_fetched_again(card: ModelCard) -> None:
    path = fetch_model(card)
    path.write_bytes(DATA[:-1] + b"?")
    assert fetch_model(card).read_bytes() == DATA


def test_damaged_file_is_never_used(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_model(card).write_bytes(b"damaged")
    serve_nothing(monkeypatch)
    with pytest.raises(HostError) as caught:
        fetch_model(card)
    assert str(caught.value) == "made 1.0: the package registry does not answer"


def test_another_version_replaces_it(
    card: ModelCard, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_model(card)
    wheel = made_wheel(tmp_path / "newer", "made", {"made/a.onnx": b"newer"})
    serve(wheel.parent, monkeypatch)
    path = fetch_model(card_of(wheel, "made/a.onnx", b"newer"))
    assert path.read_bytes() == b"newer"
    assert sorted(p.name for p in path.parent.iterdir()) == ["fetched.json", "model.onnx"]


FETCH = """
import json, sys
from edge.records.card import ModelCard
from edge.records.codec import from_dict
from edge.workflows.models import fetch_model
print(fetch_model(from_dict(ModelCard, json.loads(sys.argv[1]))))
"""


def start_fetch(card: ModelCard) -> "subprocess.Popen[str]":
    from edge.records.codec import to_dict

    command = [sys.executable, "-c", FETCH, json.dumps(to_dict(card))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_at_once(card: ModelCard, own_cache: Path) -> None:
    both = [start_fetch(card), start_fetch(card)]
    for process in both:
        output, complaint = process.communicate(timeout=120)
        assert (process.returncode, complaint) == (0, "")
        assert Path(output.strip()).read_bytes() == DATA
    assert sorted(p.name for p in (own_cache / "models").iterdir()) == [".made.lock", "made"]


def test_killed_while_it_downloads(
    card: ModelCard, own_cache: Path, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        serve_silence(context, silent_port)
        process = start_fetch(card)
    while not list((own_cache / "models").glob(".made.*.part")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not is_cached(card)
    assert fetch_model(card).read_bytes() == DATA
    # pip, which outlives a killed edgekit for a moment, may make its own folder once more.
    assert [p.parent.name for p in own_cache.rglob("model.onnx")] == ["made"]


def test_conversion_without_its_extra(card: ModelCard, own_cache: Path) -> None:
    recipe = "digits_classical"
    missing = missing_modules(load_recipe(recipe))
    if not missing:
        pytest.skip("the extra is installed here")
    file = dataclasses.replace(card.file[0], sha256=None, size_bytes=None, member=None)
    conversion = Conversion(recipe=recipe, extra="classical", description="Trained here.")
    with pytest.raises(HostError) as caught:
        fetch_model(dataclasses.replace(card, file=(file,), convert=conversion))
    assert str(caught.value) == (
        "made: this model is made by conversion, which needs " + ", ".join(missing)
    )
    assert caught.value.hint == "pip install 'edgekit-deploy[classical]'"
    assert left(own_cache) == ["models"]


def test_default_model() -> None:
    choice = resolve_model(None)
    assert choice.card == default_card()
    assert choice.file == default_card().file[0]
    assert choice.path == data_folder("models") / "digits-cnn" / choice.file.name
    assert sha256_of(choice.path) == choice.file.sha256
    assert choice.samples == choice.path.parent / "samples.npz"
    assert choice.shapes == {}


def test_file_of_the_default_model() -> None:
    assert resolve_model("digits-cnn:digits-cnn-int8.tflite").path.name == "digits-cnn-int8.tflite"


def test_file_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits-cnn").write_bytes(b"x")
    choice = resolve_model("digits-cnn")
    assert (choice.path, choice.card, choice.file) == (Path("digits-cnn"), None, None)


def test_shapes_of_the_card() -> None:
    from edge.workflows.models import ModelChoice

    card = load_card("ppocr-v4-rec")
    choice = ModelChoice(path=Path("x"), card=card, file=card.file[0])
    assert choice.shapes == {"x": (1, 3, 48, 320)}


REFUSED = {
    "typo": ("digits-cmm", "there is no model named 'digits-cmm'", "did you mean digits-cnn?"),
    "path": ("x/y", "x/y: no such file", "give a model file, or a name of edgekit models list"),
    "file": (
        "m.onnx",
        "m.onnx: no such file",
        "give a model file, or a name of edgekit models list",
    ),
    "folder": (
        "folder",
        "folder: it is a folder, not a model file",
        "name a model file in it, or a model of edgekit models list",
    ),
    "pipe": (
        "pipe",
        "pipe: it is not a regular file",
        "give a model file, or a name of edgekit models list",
    ),
    "no such file of it": (
        "digits-cnn:x",
        "digits-cnn: it has no file 'x'",
        f"its files: {', '.join(file.name for file in default_card().file)}",
    ),
}


@pytest.mark.parametrize(("argument", "what", "hint"), REFUSED.values(), ids=REFUSED)
def test_refused_argument(
    argument: str, what: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    os.mkfifo("pipe")
    with pytest.raises(ModelError) as caught:
        resolve_model(argument)
    assert (str(caught.value), caught.value.hint) == (what, hint)


SMALL = {
    "silero-vad": [[1, 1], [2, 1, 128]],
    "ppocr-v2-cls": [[1, 2]],
    "microwakeword-okay-nabu": [[1, 1]],
    "blazeface-128-onnx": [[1, 512, 1], [1, 384, 1], [1, 512, 16], [1, 384, 16]],
}


@pytest.mark.network
@pytest.mark.parametrize(("name", "outputs"), SMALL.items(), ids=list(SMALL))
def test_real_model(
    name: str,
    outputs: list[list[int]],
    own_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if load_card(name).source.registry == "npm" and shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    choice = resolve_model(name)
    assert choice.file is not None
    assert choice.path.parent == own_cache / "models" / name
    assert sha256_of(choice.path) == choice.file.sha256
    assert choice.path.stat().st_size == choice.file.size_bytes
    out = tmp_path / "samples.npz"
    request = {
        "model": str(choice.path),
        "config": {"backend": backend_for_format(choice.file.format).name, "threads": 1},
        "shapes": choice.shapes,
        "count": 1,
        "seed": 0,
        "out": str(out),
    }
    run_child("edge.device.worker:make_samples", request, limits=Limits(), what=name)
    with np.load(out) as samples:
        given = [a for key, a in samples.items() if key.startswith("output.")]
    assert all(np.isfinite(array.astype(np.float64)).all() for array in given)
    assert [list(array.shape[1:]) for array in given] == outputs
    serve_nothing(monkeypatch)
    assert resolve_model(name) == choice
