"""--inputs: an .npz stays as it is, pictures become one, scaled as the card says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.adapters.cards import load_card
from edge.device.probe import ProbeOptions
from edge.device.sources import open_source
from edge.errors import UsageError
from edge.records.tensor import TensorSpec
from edge.workflows.inputs import measure_stages, samples_from, stage_request
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice, resolve_model


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    """The first sample of the default model as a picture."""
    with np.load(resolve_model(None).samples) as samples:
        grey = (samples["images"][0].reshape(8, 8) * 255).round().astype(np.uint8)
    path = tmp_path / "digit.png"
    assert cv2.imwrite(str(path), grey)
    return path


def test_a_picture_is_scaled_as_the_card_says(digit: Path) -> None:
    choice = resolve_model(None)
    info = inspect_model(choice.path)
    with np.load(choice.samples) as samples:
        expected = samples["images"][0].reshape(1, 1, 1, 8, 8)
    with samples_from(digit, choice, info) as made:
        assert made is not None
        with np.load(made) as arrays:
            assert arrays["input.input"] == pytest.approx(expected, abs=1 / 255)
    assert not made.exists()


def test_an_npz_stays_as_it_is(tmp_path: Path) -> None:
    choice = resolve_model(None)
    info = inspect_model(choice.path)
    path = tmp_path / "x.npz"
    path.touch()
    with samples_from(path, choice, info) as made:
        assert made == path
    with samples_from(None, choice, info) as made:
        assert made is None


def test_refusals(tmp_path: Path, digit: Path) -> None:
    choice = resolve_model(None)
    info = inspect_model(choice.path)
    missing = tmp_path / "missing.png"
    with pytest.raises(UsageError) as caught, samples_from(missing, choice, info):
        pass
    assert str(caught.value) == f"{missing}: no such file"
    assert caught.value.hint == "give an .npz, a picture or a folder"


def test_a_model_without_a_card(digit: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(resolve_model(None).path.read_bytes())
    choice = ModelChoice(path=path)
    with samples_from(digit, choice, inspect_model(path)) as made:
        assert made is not None
        with np.load(made) as arrays:
            assert 0.0 <= arrays["input.input"].min() < arrays["input.input"].max() <= 1.0


def stage_options() -> ProbeOptions:
    return ProbeOptions(min_s=0.0, max_s=2.0, min_queries=5, warmup_queries=1)


def asked(source: Path | str, choice: ModelChoice, **more: Any) -> dict[str, Any]:
    info = inspect_model(choice.path, choice.shapes)
    options = stage_options()
    return stage_request(
        source, choice, info, threads=1, shapes=choice.shapes, options=options, **more
    )


def test_the_stages_of_a_picture(digit: Path) -> None:
    choice = resolve_model(None)
    stages, frames = measure_stages(
        choice,
        inspect_model(choice.path),
        digit,
        threads=1,
        shapes={},
        options=stage_options(),
    )
    told = {stage.name: len(stage.latencies_ns) for stage in stages}
    names = ("decode", "resize", "normalise", "inference", "postprocess", "end to end")
    assert told == dict.fromkeys(names, 5)
    assert frames is None


def test_made_frames_at_a_rate() -> None:
    choice = resolve_model(None)
    stages, frames = measure_stages(
        choice,
        inspect_model(choice.path),
        "test:64x48",
        threads=1,
        shapes={},
        options=stage_options(),
        fps=20,
        seconds=0.5,
    )
    assert frames is not None
    assert (frames.source, frames.per_s, frames.offered) == ("test:64x48", 20, 10)
    assert frames.dropped + len(stages[-1].latencies_ns) == 10


def test_pixels_of_a_stage_are_those_of_the_samples(tmp_path: Path) -> None:
    """One way of preparing pictures: the program's input is the .npz's, bit by bit."""
    choice = resolve_model(None)
    info = inspect_model(choice.path)
    generator = np.random.default_rng(3)
    for size in ((31, 17, 3), (8, 8), (9, 40, 4), (200, 133, 3)):
        path = tmp_path / "x.png"
        assert cv2.imwrite(str(path), generator.integers(0, 256, size, np.uint8))
        source = open_source(str(path), info.inputs, asked(path, choice)["preprocessing"])
        value = source.first(0)
        for _name, step in source.steps:
            value = step(value)
        with samples_from(path, choice, info) as made, np.load(made) as arrays:
            assert (arrays["input.input"][0] == value["input"]).all()
            assert arrays["input.input"].dtype == value["input"].dtype


def test_what_the_card_says_is_asked_for(digit: Path) -> None:
    told = asked(digit, resolve_model(None))
    assert told["preprocessing"] == {
        "scale": pytest.approx(1 / 255),
        "offset": 0.0,
        "sample_rate_hz": None,
        "tokenizer": None,
    }
    assert told["postprocess"] == "top1"
    bare = asked(digit, ModelChoice(path=resolve_model(None).path))
    assert (bare["preprocessing"], bare["postprocess"]) == ({}, None)


def test_a_vocabulary_that_lies_beside_the_model(tmp_path: Path) -> None:
    choice = ModelChoice(path=resolve_model(None).path, card=load_card("minilm-l6-v2"))
    texts = tmp_path / "texts.txt"
    texts.write_text("one", encoding="utf-8")
    told = asked(texts, choice)
    assert told["preprocessing"]["tokenizer"] == str(choice.path.parent / "tokenizer.json")
    assert told["postprocess"] == "none"
    assert load_card("silero-vad").preprocessing.sample_rate_hz == 16000


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("missing.png", {}, "no such file"),
        ("x.pdf", {}, "its kind is not known"),
        ("x.txt", {}, "nothing says how the model's texts become tokens"),
        ("x.png", {"fps": 5}, "a rate is of a source of frames: a camera, a video file or "),
    ],
)
def test_refused_before_a_child_starts(
    tmp_path: Path, name: str, more: dict[str, Any], message: str
) -> None:
    path = tmp_path / name
    if "missing" not in name:
        path.touch()
    with pytest.raises(UsageError) as caught:
        asked(path, resolve_model(None), **more)
    assert caught.value.what.startswith(message)


def test_models_that_take_no_picture(digit: Path) -> None:
    choice = resolve_model(None)
    info = inspect_model(choice.path)
    row = replace(info, inputs=(TensorSpec("x", "float32", (1, 64)),))
    two = replace(info, inputs=info.inputs * 2)
    for told, message in (
        (row, "the input x float32 1x64 takes no picture"),
        (two, f"{digit}: the model has 2 inputs, a picture is one"),
    ):
        with pytest.raises(UsageError) as caught:
            stage_request(digit, choice, told, threads=1, shapes={}, options=stage_options())
        assert str(caught.value) == message
