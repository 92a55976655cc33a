"""What the records of emulation refuse, and what follows from them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.records.emulation import CostChange, Finding, InstructionCounts, least_counts

COUNT = st.integers(0, 10**12)


def counts(**changes: Any) -> InstructionCounts:
    given_counts: dict[str, Any] = {
        "import_count": 300,
        "load_count": 200,
        "first_count": 150,
        "warmup_counts": (120,),
        "steady_counts": (100, 104, 102, 101),
    }
    return InstructionCounts(**{**given_counts, **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steady_counts": ()}, "steady_counts needs at least one inference"),
        ({"load_count": -1}, "a count is not negative"),
        ({"steady_counts": (1, -1)}, "a count is not negative"),
        ({"warmup_counts": (-1,)}, "a count is not negative"),
    ],
)
def test_counts_that_cannot_be(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}$"):
        counts(**changes)


@pytest.mark.parametrize("empty", ["what", "remedy"])
def test_a_finding_that_says_nothing(empty: str) -> None:
    words = {"what": "it died", "remedy": "take another", empty: " "}
    with pytest.raises(ValueError, match=r"^a finding says what it is and what to do$"):
        Finding(kind="crash", step="run", **words)


def test_the_lower_median_and_the_spread() -> None:
    assert counts().steady == 101
    assert counts().spread == pytest.approx(4 / 101)
    assert counts(steady_counts=(0, 0)).spread == 0


def test_a_change() -> None:
    change = CostChange(phase="steady", baseline=100, now=102, allowed=0.02)
    assert (change.increase, change.exceeded) == (0.02, False)
    assert CostChange(phase="steady", baseline=100, now=103, allowed=0.02).exceeded
    assert CostChange(phase="load", baseline=0, now=3, allowed=0.02).exceeded


@given(
    st.lists(COUNT, min_size=8, max_size=8),
    st.lists(COUNT, min_size=1),
    st.lists(COUNT, min_size=1),
)
def test_the_least_of_two_is_no_more_than_either(
    single: list[int], steady_a: list[int], steady_b: list[int]
) -> None:
    a = counts(
        import_count=single[0],
        load_count=single[1],
        first_count=single[2],
        warmup_counts=(single[3],),
        steady_counts=tuple(steady_a),
    )
    b = counts(
        import_count=single[4],
        load_count=single[5],
        first_count=single[6],
        warmup_counts=(single[7],),
        steady_counts=tuple(steady_b),
    )
    least = least_counts(a, b)
    for name in ("import_count", "load_count", "first_count", "steady"):
        assert getattr(least, name) == min(getattr(a, name), getattr(b, name))
    # What belongs together stays so.
    assert (least.warmup_counts, least.steady_counts) in (
        (a.warmup_counts, a.steady_counts),
        (b.warmup_counts, b.steady_counts),
    )
