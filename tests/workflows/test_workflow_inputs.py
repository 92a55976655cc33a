"""--inputs: an .npz stays as it is, pictures become one, scaled as the card says."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import UsageError
from edge.workflows.inputs import samples_from
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
