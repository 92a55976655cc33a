"""What an output holds is read off the teacher's answers."""

import numpy as np
import pytest

from edge.distillation.forms import learnt_from

RANDOM = np.random.default_rng(0)
SURE = RANDOM.normal(size=(50, 10)) * 8
PROBABILITIES = np.exp(SURE) / np.exp(SURE).sum(-1, keepdims=True)
UNIT = RANDOM.normal(size=(50, 32))
UNIT /= np.linalg.norm(UNIT, axis=-1, keepdims=True)
WIDE = RANDOM.normal(size=(50, 64))


@pytest.mark.parametrize(
    ("name", "answers", "form", "loss", "reason"),
    [
        ("o", PROBABILITIES, "probabilities", "classes", "its rows are positive and add up to 1"),
        ("o", np.log(PROBABILITIES), "log-probabilities", "classes", "the exponentials of its rows add up to 1"),
        ("o", UNIT, "embedding", "embedding", "its rows have length 1"),
        ("logits", WIDE, "scores", "classes", "its name says that it holds scores"),
        ("o", SURE, "scores", "classes", "one entry of a row stands out as a class does"),
        ("sentence_embedding", SURE, "embedding", "embedding", "its name says that it is an embedding"),
        ("o", WIDE, "embedding", "embedding", "rows of 64 that do not look like classes"),
        ("o", WIDE[:, :4] * 0.1, "values", "values", "rows of 4 that do not look like classes"),
        ("o", SURE[:, :4], "values", "values", "rows of 4 that do not look like classes"),
        # The corners of boxes: one is always the largest.
        ("o", SURE + 100 * (np.arange(10) == 3), "values", "values", "rows of 10 that do not look like classes"),
        ("o", WIDE[:, :1], "values", "values", "it has no rows"),
        ("o", WIDE.reshape(50, 8, 8), "values", "values", "it has more axes than classes have"),
    ],
)  # fmt: skip
def test_the_form_is_found(
    name: str, answers: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", form: str, loss: str, reason: str
) -> None:  # fmt: skip
    learnt = learnt_from(name, answers, wanted=None, labelled=False)
    assert (learnt.form, learnt.loss, learnt.reason) == (form, loss, reason)


def test_labels_say_that_there_are_classes() -> None:
    learnt = learnt_from("o", WIDE[:, :4] * 0.1, wanted=None, labelled=True)
    assert (learnt.form, learnt.reason) == ("scores", "the data to evaluate on has classes")


@pytest.mark.parametrize(
    ("answers", "wanted", "form"),
    [
        (SURE, "values", "values"),
        (SURE, "embedding", "embedding"),
        (WIDE, "classes", "scores"),
        (PROBABILITIES, "values", "values"),
        # A softmax stays one.
        (PROBABILITIES, "classes", "probabilities"),
    ],
)
def test_a_loss_that_is_asked_for_is_taken(
    answers: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", wanted: str, form: str
) -> None:
    learnt = learnt_from("o", answers, wanted=wanted, labelled=False)
    assert (learnt.form, learnt.loss) == (form, wanted)
