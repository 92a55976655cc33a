"""Pictures come to a model's input as the recipe says."""

from typing import Any

import cv2
import numpy as np
import pytest

from edge.datasets.picture_form import RecipeForm
from edge.device.pictures import PictureForm
from edge.errors import UsageError
from edge.records.data_recipe import DataRecipe
from edge.records.tensor import TensorSpec

SPEC = TensorSpec("x", "float32", (1, 3, 4, 4))


def form(spec: TensorSpec = SPEC, card: dict[str, Any] | None = None, **keys: Any) -> RecipeForm:
    return RecipeForm(spec, DataRecipe(**keys), card or {})


def picture(height: int, width: int) -> np.ndarray:
    """Blue tells the column, green the row."""
    rows, columns = np.indices((height, width))
    return np.stack([columns, rows, np.full((height, width), 255)], 2).astype(np.uint8)


@pytest.mark.parametrize("resize", [None, "stretch", "letterbox", "crop"])
def test_without_more_it_is_what_a_device_does(resize: str | None) -> None:
    pixels = picture(9, 17)
    told = {"resize": resize, "scale": 0.5, "offset": -1.0}
    device = PictureForm(SPEC, told)
    ours = form(card={"scale": 0.5, "offset": -1.0}, resize=resize)
    expected = device.normalise(device.resize(pixels))
    assert ours.normalise(ours.resize(pixels)).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        # Short side 8 of which the middle 4 are taken: pixels as they are.
        (8, 12, range(2, 6), range(4, 8)),
        (13, 8, range(4, 8), range(2, 6)),
        (8, 8, range(2, 6), range(2, 6)),
    ],
)
def test_the_middle_of_the_short_side(height: int, width: int, rows: range, columns: range) -> None:
    got = form(short_side_px=8, crop_px=4).resize(picture(height, width))
    assert got[:, 0, 1].tolist() == list(rows)
    assert got[0, :, 0].tolist() == list(columns)


def test_another_input_takes_the_same_part() -> None:
    spec = TensorSpec("x", "float32", (1, 3, 8, 8))
    got = form(spec, short_side_px=8, crop_px=4).resize(picture(16, 16))
    assert got[:, 0, 1].tolist() == list(range(4, 12))
    wide = TensorSpec("x", "float32", (1, 3, 2, 8))
    assert form(wide, short_side_px=2, crop_px=2).resize(picture(9, 9)).shape == (2, 8, 3)


def test_letterbox_from_the_start() -> None:
    spec = TensorSpec("x", "uint8", (1, 4, 8, 1))
    pixels = np.full((4, 2), 9, np.uint8)
    got = form(spec, resize="letterbox", align="start", bars=0).resize(pixels)
    assert got.tolist() == [[9, 9, 0, 0, 0, 0, 0, 0]] * 4
    centred = form(spec, resize="letterbox", bars=1).resize(pixels)
    assert centred.tolist() == [[1, 1, 1, 9, 9, 1, 1, 1]] * 4


@pytest.mark.parametrize(
    ("kind", "how"),
    [("area", cv2.INTER_AREA), ("linear", cv2.INTER_LINEAR), ("cubic", cv2.INTER_CUBIC)],
)
def test_interpolation_is_opencvs(kind: str, how: int) -> None:
    pixels = picture(19, 23)
    got = form(interpolation=kind).resize(pixels)
    assert got.tolist() == cv2.resize(pixels, (4, 4), interpolation=how).tolist()
    smooth = form(interpolation="cubic", antialias=True).resize(pixels)
    assert smooth.tolist() != cv2.resize(pixels, (4, 4), interpolation=cv2.INTER_CUBIC).tolist()


def test_values_are_the_recipes_before_the_cards() -> None:
    white = np.full((4, 4, 3), 255, np.uint8)
    card = {"scale": 1 / 128, "offset": -127 / 128}
    assert form(card=card).normalise(white)[0, 0, 0, 0] == pytest.approx(1.0)
    assert form().normalise(white)[0, 0, 0, 0] == pytest.approx(1.0)
    keys = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "range": "0..1"}
    got = form(card=card, **keys).normalise(white)[0, :, 0, 0]
    expected = [(1 - m) / s for m, s in zip(keys["mean"], keys["std"], strict=True)]
    assert got.tolist() == pytest.approx(expected, rel=1e-6)
    int8 = TensorSpec("x", "int8", (1, 4, 4, 3))
    assert form(int8, **keys).normalise(white)[0, 0, 0].tolist() == [127] * 3


def test_order() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 2] = 255
    assert form(order="BGR").normalise(red)[0, :, 0, 0].tolist() == [0, 0, 1]
    assert form(order="RGB").normalise(red)[0, :, 0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("keys", "card", "expected"),
    [
        ({}, {}, "stretched to 4x4, RGB, pixels from 0 to 1 as nothing says otherwise"),
        (
            {"resize": "letterbox", "interpolation": "cubic", "order": "BGR"},
            {"scale": 1.0},
            "letterboxed to 4x4 (cubic), BGR, values as the card's",
        ),
        (
            {
                "short_side_px": 6,
                "crop_px": 4,
                "interpolation": "linear",
                "antialias": True,
                "scale": (1.0,),
            },
            {},
            (
                "resized to 4x4, the middle 4 of short side 6 (antialiased linear), RGB,"
                " values as the recipe's"
            ),
        ),
    ],
)
def test_words(keys: dict[str, Any], card: dict[str, Any], expected: str) -> None:
    assert form(card=card, **keys).words() == expected


def test_words_of_pixels() -> None:
    spec = TensorSpec("x", "uint8", (1, 4, 4, 1))
    assert form(spec).words() == "stretched to 4x4, grey, pixels as they are"


def test_refusals() -> None:
    grey = TensorSpec("x", "float32", (1, 1, 4, 4))
    with pytest.raises(UsageError) as caught:
        form(grey, order="BGR")
    assert str(caught.value) == "order = 'BGR': the input x float32 1x1x4x4 has one channel"
    with pytest.raises(UsageError) as caught:
        form(grey, scale=(1.0, 1.0, 1.0))
    assert str(caught.value) == "a scale or offset is 1 number or 1"
