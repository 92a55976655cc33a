"""Agreement and accuracy against what numpy and the textbook say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.agreement import accuracy, accuracy_of, agreement, wilson_interval
from edge.records.optimization import Accuracy, Agreement

ROWS = np.array([[[0.0, 3.0, 4.0]], [[1.0, 0.0, 0.0]]], np.float32)


def test_the_same_outputs_agree_wholly() -> None:
    assert agreement({"y": ROWS}, {"y": ROWS.copy()}) == Agreement(
        samples=2, cosine=1.0, mean_cosine=1.0, largest_error=0.0, largest_output=4.0, top1=1.0
    )


def test_the_lowest_cosine_the_largest_error_and_the_rows_that_pick_another_class_are_told() -> (
    None
):
    got = ROWS.copy()
    got[0, 0] = [0.0, 4.0, 3.0]
    found = agreement({"y": ROWS}, {"y": got})
    assert found.cosine == pytest.approx(24 / 25)
    assert found.mean_cosine == pytest.approx(49 / 50)
    assert (found.largest_error, found.top1) == (1.0, 0.5)


def test_no_number_is_the_opposite_of_agreement() -> None:
    got = ROWS.copy()
    got[1, 0, 0] = np.nan
    assert agreement({"y": ROWS}, {"y": got}).cosine == -1.0


def test_what_is_infinite_in_both_says_nothing() -> None:
    one = np.array([[-np.inf, 1.0]])
    assert agreement({"y": one}, {"y": one.copy()}).cosine == 1.0


def test_nothing_agrees_with_nothing_only() -> None:
    zeros = np.zeros((1, 3))
    assert agreement({"y": zeros}, {"y": zeros.copy()}).cosine == 1.0
    assert agreement({"y": zeros}, {"y": zeros + 1}).cosine == 0.0


def test_a_missing_output_and_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^output y is nothing, the original's is \(2, 1, 3\)$"):
        agreement({"y": ROWS}, {})
    with pytest.raises(ValueError, match=r"^output y is \(1, 1, 3\), the original's is \(2, 1, 3"):
        agreement({"y": ROWS}, {"y": ROWS[:1]})


def test_a_value_that_is_no_row_has_no_top1() -> None:
    one = np.array([[0.25], [0.5]], np.float32)
    assert agreement({"y": one}, {"y": one}).top1 is None


def test_labels_are_compared_with_scores_or_with_whole_numbers() -> None:
    right = Accuracy(
        metric="top-1",
        right=1,
        samples=2,
        low=wilson_interval(1, 2)[0],
        high=wilson_interval(1, 2)[1],
    )
    assert accuracy({"y": ROWS}, [2, 1]) == right
    assert accuracy({"label": np.array([[2], [0]]), "y": ROWS}, [2, 1]) == right


def test_outputs_that_give_no_class_a_sample_have_no_accuracy() -> None:
    assert accuracy({"boxes": np.zeros((2, 5, 4), np.float32)}, [0, 1]) is None
    assert accuracy({"one": np.zeros((2, 1), np.float32)}, [0, 1]) is None


def test_the_interval_of_a_textbook() -> None:
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857, table I: 81 of 263, 15 of 148.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_part_and_stays_within_bounds(counts: tuple[int, int]) -> None:
    found = accuracy_of(*counts)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
