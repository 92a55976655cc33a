"""Scales and ticks hold for every domain, not only for pretty ones."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.report.scales import Scale, linear_ticks, log_domain, log_ticks

LOW = st.floats(min_value=1e-9, max_value=1e12)
RATIO = st.floats(min_value=1.001, max_value=1e15)
MOST = st.integers(min_value=3, max_value=12)


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        pytest.param(1, 1000, 8, (1, 10, 100, 1000), id="decades"),
        pytest.param(0.8, 12, 8, (1, 2, 5, 10), id="narrow: one, two, five"),
        pytest.param(1e-3, 1e6, 4, (1e-3, 1, 1000, 1e6), id="wide: every third decade"),
        pytest.param(41, 62, 4, (45, 50, 55, 60), id="narrower than one step: linear"),
    ],
)
def test_log_ticks(low: float, high: float, most: int, ticks: tuple[float, ...]) -> None:
    assert log_ticks(low, high, most) == ticks


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        pytest.param(0, 10, 6, (0, 2, 4, 6, 8, 10), id="twos"),
        pytest.param(0, 1, 3, (0, 0.5, 1), id="halves"),
        pytest.param(-3, 3, 3, (-2, 0, 2), id="across zero"),
    ],
)
def test_linear_ticks(low: float, high: float, most: int, ticks: tuple[float, ...]) -> None:
    assert linear_ticks(low, high, most) == pytest.approx(ticks)


@given(low=LOW, ratio=RATIO, most=MOST)
def test_log_ticks_are_few_round_ascending_and_inside(low: float, ratio: float, most: int) -> None:
    high = low * ratio
    ticks = log_ticks(low, high, most)
    assert 1 <= len(ticks) <= most
    assert list(ticks) == sorted(set(ticks))
    assert low <= ticks[0]
    assert ticks[-1] <= high
    if ratio >= 10:
        assert len(ticks) >= 1
        for tick in ticks:
            first_digit = tick / 10 ** math.floor(math.log10(tick) + 1e-9)
            assert first_digit == pytest.approx(round(first_digit), rel=1e-6)


@given(low=st.floats(-1e9, 1e9), extent=st.floats(1e-3, 1e12), most=MOST)
def test_linear_ticks_are_few_even_ascending_and_inside(
    low: float, extent: float, most: int
) -> None:
    high = low + extent
    ticks = linear_ticks(low, high, most)
    assert 1 <= len(ticks) <= most
    assert low <= ticks[0]
    assert ticks[-1] <= high
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    # Far from zero a difference of two floats is exact to a few units in the last place only.
    assert steps == pytest.approx(steps[:1] * len(steps), abs=4 * math.ulp(max(-low, high)))


@given(low=LOW, ratio=RATIO, part=st.floats(0, 1), kind=st.sampled_from(["linear", "log"]))
def test_a_scale_keeps_order_and_ends(low: float, ratio: float, part: float, kind: str) -> None:
    scale = Scale(kind=kind, low=low, high=low * ratio, start=100, end=20)  # type: ignore[arg-type]
    assert scale(scale.low) == pytest.approx(100)
    assert scale(scale.high) == pytest.approx(20)
    value = low + part * (scale.high - low)
    assert 20 - 1e-9 <= scale(value) <= 100 + 1e-9
    assert scale(low / 2) == pytest.approx(100), "what is outside lands on the end"


@pytest.mark.parametrize(
    ("kind", "low", "high", "message"),
    [
        ("linear", 2, 2, "empty domain: 2 to 2"),
        ("log", 3, 1, "empty domain: 3 to 1"),
        ("log", 0, 1, "no logarithm of 0"),
    ],
)
def test_a_domain_without_extent_is_refused(
    kind: str, low: float, high: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Scale(kind=kind, low=low, high=high, start=0, end=1)  # type: ignore[arg-type]


def test_log_domain_leaves_room_and_leaves_out_what_has_no_logarithm() -> None:
    assert log_domain([0, 4, -1, math.inf, 8, math.nan], factor=2) == (2, 16)
    assert log_domain([0, -1]) is None
