"""Pictures become the input that the model's shape asks for."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.adapters.images import picture_files, write_picture_samples
from edge.errors import UsageError
from edge.records.tensor import TensorSpec


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """A picture whose left half is pure red and whose right half is black."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20, 2] = 255
    path = tmp_path / "red.png"
    assert cv2.imwrite(str(path), pixels)
    return path


def samples(path: Path, spec: TensorSpec, **options: float) -> np.ndarray:
    out = path.parent / "out.npz"
    write_picture_samples(picture_files(path), spec, out, **options)
    with np.load(out) as archive:
        return archive[f"input.{spec.name}"]


def test_channels_first(red: Path) -> None:
    got = samples(red, TensorSpec("x", "float32", (1, 3, 4, 8)))
    assert got.shape == (1, 1, 3, 4, 8)
    assert got.dtype == np.float32
    assert got[0, 0, :, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert got[0, 0, :, 0, 7].tolist() == [0.0, 0.0, 0.0]


def test_channels_last_with_a_free_batch_and_the_cards_scale(red: Path) -> None:
    spec = TensorSpec("x", "float32", ("batch", 4, 8, 3))
    got = samples(red, spec, scale=1 / 128, offset=-127 / 128)
    assert got.shape == (1, 1, 4, 8, 3)
    assert got[0, 0, 0, 0].tolist() == pytest.approx([1.0, -127 / 128, -127 / 128])


def test_integer_inputs_take_pixels(red: Path) -> None:
    assert samples(red, TensorSpec("x", "uint8", (1, 4, 8, 3)))[0, 0, 0, 0].tolist() == [255, 0, 0]
    assert samples(red, TensorSpec("x", "int8", (1, 4, 8, 3)))[0, 0, 0, 0].tolist() == [
        127,
        -128,
        -128,
    ]


def test_grey(red: Path) -> None:
    got = samples(red, TensorSpec("x", "float32", (1, 1, 2, 2)))
    # Rec. 601: red weighs 0.299.
    assert got[0, 0, 0, 0].tolist() == pytest.approx([0.299, 0.0], abs=2e-3)


def test_a_folder(red: Path) -> None:
    (red.parent / "z.jpg").write_bytes(red.read_bytes())
    (red.parent / "notes.txt").touch()
    assert [p.name for p in picture_files(red.parent)] == ["red.png", "z.jpg"]
    assert samples(red.parent / "z.jpg", TensorSpec("x", "uint8", (1, 2, 2, 3))).shape[0] == 1


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pictures there"):
        picture_files(tmp_path)
    text = tmp_path / "x.png"
    text.write_text("not a picture", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        samples(text, TensorSpec("x", "uint8", (1, 2, 2, 3)))
    assert str(caught.value) == f"{text}: not a picture that OpenCV can read"
    with pytest.raises(UsageError) as caught:
        samples(text, TensorSpec("x", "float32", (1, 128)))
    assert str(caught.value) == "the input x float32 1x128 takes no picture"
