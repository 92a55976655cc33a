"""So many of the samples, evenly spread, and what is said of them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.datasets.gathered import Gathered, spread


@given(st.integers(0, 10_000), st.none() | st.integers(1, 10_000))
def test_spread(count: int, most: int | None) -> None:
    chosen = spread(count, most)
    assert len(chosen) == (count if most is None else min(count, most))
    assert list(chosen) == sorted(set(chosen))
    assert all(0 <= number < count for number in chosen)
    steps = {after - before for before, after in pairwise(chosen)}
    assert not steps or max(steps) - min(steps) <= 1


def test_spread_reaches_every_folder_of_three() -> None:
    assert spread(9, 3) == (0, 3, 6)


@pytest.mark.parametrize(
    ("total", "count", "kept", "expected"),
    [
        (4, 4, 4, "4 pictures of cats, grey"),
        (9, 4, 4, "4 of 9 pictures of cats (evenly spread), grey"),
        (4, 4, 3, "3 of 4 pictures of cats (1 unreadable left out), grey"),
        (9, 4, 3, "3 of 9 pictures of cats (evenly spread; 1 unreadable left out), grey"),
    ],
)
def test_words(total: int, count: int, kept: int, expected: str) -> None:
    gathered = Gathered(
        noun="pictures",
        name="cats",
        total=total,
        count=count,
        make=lambda _: {},
        labels=None,
        notes=("grey",),
    )
    assert gathered.told(kept) == expected
