"""Which smaller inputs are worth a try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.input_sizes import smaller_sizes
from edge.records.tensor import TensorSpec

PICTURE = TensorSpec("x", "float32", ("n", 3, "h", "w"))
IDS = TensorSpec("ids", "int64", ("n", "length"))


@pytest.mark.parametrize(
    ("spec", "given_shape", "smaller"),
    [
        (PICTURE, (1, 3, 224, 224), [(192, 192), (160, 160), (128, 128)]),
        (PICTURE, (1, 3, 48, 320), [(48, 288), (48, 256), (48, 224), (48, 192), (48, 160)]),
        (PICTURE, (1, 3, 240, 320), [(224, 288), (192, 256), (160, 224), (128, 192), (128, 160)]),
        (PICTURE, (1, 3, 32, 32), []),
        (IDS, (1, 128), [64, 32]),
        (IDS, (2, 100), [64, 32]),
        (IDS, (1, 16), []),
        (TensorSpec("f", "float32", (1, 128)), (1, 128), []),
        (TensorSpec("f", "float32", (1, 64, 8, 8)), (1, 64, 8, 8), []),
        (TensorSpec("state", "float32", (2, 1, 128)), (2, 1, 128), []),
    ],
)
def test_sizes_to_try(spec: TensorSpec, given_shape: tuple[int, ...], smaller: list) -> None:
    shapes = smaller_sizes(spec, given_shape)
    if spec is PICTURE:
        assert shapes == tuple((1, 3, *sides) for sides in smaller)
    else:
        assert shapes == tuple((given_shape[0], length) for length in smaller)


def test_pictures_may_have_their_channels_last() -> None:
    spec = TensorSpec("x", "uint8", (1, 96, 96, 3))
    assert smaller_sizes(spec, (1, 96, 96, 3)) == ((1, 64, 64, 3),)


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_pictures_shrink_to_half_at_the_least(height: int, width: int) -> None:
    shapes = smaller_sizes(PICTURE, (1, 3, height, width))
    assert list(shapes) == sorted(set(shapes), reverse=True)
    for shape in shapes:
        assert shape[:2] == (1, 3)
        assert 2 * max(shape[2:]) >= max(height, width) or height < 64
        assert shape != (1, 3, height, width)
        assert shape[2] <= max(height, 32)
        assert shape[3] <= max(width, 32)
