"""What one model loses against another on the same samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.reasoning.matched import lost_accuracy, right_ones


def test_the_interval_is_agresti_and_mins() -> None:
    # 12 lost, 4 won, 84 alike: (12.5 - 4.5) / 102 ± 1.96 sqrt(17 - 8² / 102) / 102.
    teacher = [True] * 12 + [False] * 4 + [True] * 84
    student = [False] * 12 + [True] * 4 + [True] * 84
    lost = lost_accuracy(teacher, student)
    assert lost.value == pytest.approx(0.08)
    assert lost.low == pytest.approx(0.078431 - 0.077755, abs=1e-5)
    assert lost.high == pytest.approx(0.078431 + 0.077755, abs=1e-5)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_swap_turns_the_sign(pairs: list[tuple[bool, bool]]) -> None:
    one = lost_accuracy([a for a, _ in pairs], [b for _, b in pairs])
    other = lost_accuracy([b for _, b in pairs], [a for a, _ in pairs])
    assert one.value == -other.value
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert -1 <= one.low <= one.high <= 1


@pytest.mark.parametrize(("teacher", "student"), [([], []), ([True], [True, False])])
def test_what_cannot_be_compared_is_refused(teacher: list[bool], student: list[bool]) -> None:
    with pytest.raises(ValueError, match="both answer the same samples, and there is one"):
        lost_accuracy(teacher, student)


def test_right_answers_are_told_one_by_one() -> None:
    rows = np.array([[[0.1, 0.9]], [[0.8, 0.2]], [[0.3, 0.7]]])
    assert right_ones({"y": rows}, [1, 1, 1]) == (True, False, True)
    assert right_ones({"y": rows[..., :1]}, [1, 1, 1]) == ()
