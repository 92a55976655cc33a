"""Resizing that smooths is that of Pillow."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.datasets.resampling import resampled

# What Pillow 13.0 makes of this slope and edge, 8 by 6 pixels of grey.
PICTURE = np.array([[(37 * x + 11 * y * y) % 256 for x in range(6)] for y in range(8)], np.uint8)
PILLOW = {
    ("linear", 3, 2): [[69, 157], [135, 145], [125, 140]],
    ("cubic", 3, 2): [[60, 162], [142, 144], [120, 143]],
    ("linear", 4, 9): [
        [11, 30, 54, 79, 104, 128, 153, 178, 196],
        [77, 96, 120, 145, 154, 162, 187, 164, 134],
        [103, 122, 146, 171, 148, 119, 122, 126, 128],
        [74, 93, 117, 142, 167, 173, 125, 132, 150],
    ],
}


@pytest.mark.parametrize("case", PILLOW, ids=str)
def test_it_is_pillow(case: tuple[Literal["linear", "cubic"], int, int]) -> None:
    kind, height, width = case
    got = resampled(PICTURE, height, width, kind).astype(int)
    assert np.abs(got - np.array(PILLOW[case])).max() <= 1


@given(
    st.integers(0, 255),
    st.tuples(*[st.integers(1, 40)] * 4),
    st.sampled_from(["linear", "cubic"]),
)
def test_one_colour_stays_that_colour(
    grey: int, sizes: tuple[int, int, int, int], kind: Literal["linear", "cubic"]
) -> None:
    height, width, new_height, new_width = sizes
    got = resampled(np.full((height, width, 3), grey, np.uint8), new_height, new_width, kind)
    assert got.shape == (new_height, new_width, 3)
    assert got.dtype == np.uint8
    assert (got == grey).all()
