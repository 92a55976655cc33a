"""A recipe says how data becomes inputs; what does not go together is refused."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.records.codec import from_dict, to_dict
from edge.records.data_recipe import DataRecipe


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"short_side_px": 256},
            "short_side_px and crop_px go together: 256 and 224, for instance",
        ),
        (
            {"short_side_px": 256, "crop_px": 224, "resize": "crop"},
            "short_side_px is a resize of its own: leave out resize",
        ),
        ({"short_side_px": 2, "crop_px": 3}, "crop_px 3 is more than short_side_px 2"),
        ({"short_side_px": 0, "crop_px": 1}, "short_side_px must be from 1 to 16384, got 0"),
        ({"antialias": True}, 'antialias needs interpolation = "linear" or "cubic"'),
        ({"bars": 0}, 'bars and align need resize = "letterbox"'),
        ({"resize": "letterbox", "bars": 256}, "bars must be from 0 to 255, got 256"),
        ({"scale": (1.0, 2.0)}, "scale must be 1 number or 3, got 2"),
        ({"offset": (float("nan"),)}, "offset must be finite"),
        ({"scale": (0.0,)}, "scale must not be 0"),
        ({"mean": (0.5,)}, "mean and std go together"),
        (
            {"mean": (0.5,), "std": (0.5,)},
            'mean and std need range: "0..255" or "0..1", the pixels that they are of',
        ),
        (
            {"range": "0..1"},
            'mean and std need range: "0..255" or "0..1", the pixels that they are of',
        ),
        ({"mean": (1.0,), "std": (0.0,), "range": "0..1"}, "std must be positive"),
        (
            {"mean": (1.0,), "std": (1.0,), "range": "0..1", "scale": (1.0,)},
            "either scale and offset, or mean and std",
        ),
        ({"max_tokens": 1}, "max_tokens must be from 2 to 65536, got 1"),
        ({"text": " "}, "text must name a column"),
        ({"label": "y", "labels": "none"}, 'label names a column, and labels = "none"'),
        ({"classes": ()}, "classes must be names"),
        ({"classes": ("a", "b", "a")}, "classes has 'a' twice"),
    ],
)
def test_refusals(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        DataRecipe(**keys)


@pytest.mark.parametrize(
    ("keys", "scale", "offset"),
    [
        ({"scale": (0.5,)}, (0.5,), (0.0,)),
        ({"offset": (-1.0,)}, (1.0,), (-1.0,)),
        ({"mean": (127.0,), "std": (128.0,), "range": "0..255"}, (1 / 128,), (-127 / 128,)),
        (
            {"mean": (0.485, 0.456, 0.406), "std": (0.5,), "range": "0..1"},
            (2 / 255,) * 3,
            (-0.97, -0.912, -0.812),
        ),
    ],
)
def test_pixel_values(
    keys: dict[str, Any], scale: tuple[float, ...], offset: tuple[float, ...]
) -> None:
    values = DataRecipe(**keys).pixel_values()
    assert values is not None
    assert values[0] == pytest.approx(scale)
    assert values[1] == pytest.approx(offset)


def test_a_recipe_without_values_has_none() -> None:
    assert DataRecipe().pixel_values() is None


@given(st.floats(0, 255), st.floats(-3, 3), st.floats(0.01, 3))
def test_mean_and_std_of_parts_are_those_of_pixels(pixel: float, mean: float, std: float) -> None:
    values = DataRecipe(mean=(mean,), std=(std,), range="0..1").pixel_values()
    assert values is not None
    expected = (pixel / 255 - mean) / std
    assert pixel * values[0][0] + values[1][0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_KEYS = st.sampled_from([*DataRecipe.__dataclass_fields__, "other"])


@given(st.dictionaries(_KEYS, _VALUES | st.lists(_VALUES, max_size=4), max_size=4))
def test_any_document_is_a_recipe_or_refused(document: dict[str, Any]) -> None:
    recipe, told = DataRecipe(), "r.toml: "
    try:
        recipe = from_dict(DataRecipe, document, "r.toml")
    except ConfigError as error:
        told = str(error)
    assert told.startswith("r.toml: ")
    assert from_dict(DataRecipe, to_dict(recipe)) == recipe
