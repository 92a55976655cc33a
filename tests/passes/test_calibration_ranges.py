"""Ranges of each method against numpy, on data whose distribution is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.passes._calibration import histogram
from edge.passes._int8_scales import Int8Form, activation_scale, shifted_scale, weight_scales
from edge.passes._kept_range import Spread, kept_range


def spread(values: np.ndarray) -> Spread:
    low, high = float(values.min()), float(values.max())
    return Spread(low=low, high=high, counts=histogram(values, low, high))


def normal(outlier: float) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    values[0] = outlier
    return values


def test_minmax_keeps_all() -> None:
    values = normal(50)
    assert kept_range(spread(values), "minmax") == (values.min(), np.float32(50))


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
def test_percentile_is_exact_to_a_bin(percentile: float) -> None:
    values = normal(10)
    low, high = kept_range(spread(values), "percentile", percentile)
    width = float(values.max() - values.min()) / 2048
    # One value more or less is rounding; a bin is cut off whole or not at all.
    cut, one = (100 - percentile) / 200, 1 / values.size
    assert np.mean(values < low) <= cut + one
    assert np.mean(values < low + 2 * width) >= cut - one
    assert np.mean(values > high) <= cut + one
    assert np.mean(values > high - 2 * width) >= cut - one


def test_percentile_of_a_relu_keeps_the_zero() -> None:
    values = np.maximum(normal(10), 0)
    low, high = kept_range(spread(values), "percentile", 99.99)
    assert low == 0
    assert 3 < high < 5


def test_entropy_cuts_an_outlier_and_keeps_an_even_distribution() -> None:
    low, high = kept_range(spread(normal(50)), "entropy")
    assert low == -high
    assert 3 < high < 12
    even = np.linspace(-1, 1, 40_000, dtype=np.float32)
    assert kept_range(spread(even), "entropy") == pytest.approx((-1, 1), abs=0.01)


def test_large_tensors_are_counted_in_part_and_whatever_is_in_them() -> None:
    values = np.random.default_rng(1).uniform(0, 1, (4, 300_000)).astype(np.float32)
    counts = histogram(values, 0, 1)
    assert 40_000 < counts.sum() <= 65_536
    assert counts.std() < 3 * np.sqrt(counts.mean())


finite = st.floats(-1e6, 1e6, width=32)


@given(low=finite, high=finite, method=st.sampled_from(["minmax", "entropy", "percentile"]))
def test_no_method_leaves_the_range(low: float, high: float, method: str) -> None:
    low, high = min(low, high), max(low, high)
    counts = np.ones(2048, np.int64)
    least, most = kept_range(Spread(low=low, high=high, counts=counts), method)  # type: ignore[arg-type]
    assert low <= least <= most <= high


@given(
    low=finite,
    high=finite,
    activations=st.sampled_from(["uint8", "int8"]),
    symmetric=st.booleans(),
)
def test_zero_is_exact_and_the_range_is_covered(
    *, low: float, high: float, activations: str, symmetric: bool
) -> None:
    low, high = min(low, high, 0.0), max(low, high, 0.0)
    form = Int8Form(activations=activations, symmetric=symmetric)
    scale, zero = activation_scale(low, high, form)
    limits = np.iinfo(activations)
    assert limits.min <= zero <= limits.max
    if symmetric and low < 0 and high - low > 1e-30:
        assert zero == limits.min + 128
    # To half a step, by which the zero point is rounded.
    slack = scale * 0.501
    assert (limits.min - zero) * scale <= low + slack
    assert (limits.max - zero) * scale >= high - slack - scale * symmetric


@given(
    low=st.floats(-10, 0), high=st.floats(0.5, 10), part=st.floats(0.1, 0.9), below=st.booleans()
)
def test_a_shift_is_a_whole_number_of_steps(
    *, low: float, high: float, part: float, below: bool
) -> None:
    shift = -part * high if below else -part * low
    if abs(shift) < 0.1 * (high - low):
        return
    scale, zero = shifted_scale(low, high, shift, Int8Form())
    steps = shift / scale
    assert steps == pytest.approx(round(steps), abs=1e-6)
    assert 0 <= zero <= 255
    assert 0 <= zero - round(steps) <= 255
    assert -zero * scale <= low + 1.01 * scale
    assert (255 - zero) * scale >= high - 1.01 * scale


def test_weight_scales_are_of_each_channel_and_never_zero() -> None:
    weight = np.float32([[1, -2, 0], [127, 3, 0]])
    np.testing.assert_allclose(weight_scales(weight, 1, reduce_range=False), [1, 3 / 127, 1])
    np.testing.assert_allclose(weight_scales(weight, 0, reduce_range=True), [2 / 64, 127 / 64])
    assert weight_scales(weight, None, reduce_range=False) == pytest.approx(1)
