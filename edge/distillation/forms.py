"""What an output holds, as the teacher's answers show: it decides how a student learns it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

Form = Literal["probabilities", "log-probabilities", "scores", "embedding", "values"]
Loss = Literal["classes", "embedding", "values"]

LOSSES: Final = ("classes", "embedding", "values")
_SUM_TOLERANCE: Final = 2e-3
_LEAST_EMBEDDING: Final = 16
# Scores of classes make a softmax that is sure of itself, now of this one and now of that; the
# components of an embedding do not, and the corner of a box is always the same one.
_SURE: Final = 0.3
_LEAST_CLASSES: Final = 5
_LEAST_WINNERS: Final = 3
_SCORE_NAMES: Final = ("logit", "score", "class", "prob", "label")
_EMBEDDING_NAMES: Final = ("embed", "feature", "pool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """How one output is learnt: its form, the loss, and why."""

    form: Form
    loss: Loss
    reason: str


def learnt_from(
    name: str, answers: "np.ndarray[Any, Any]", *, wanted: str | None, labelled: bool
) -> Learnt:
    """Find out what an output holds; `answers` is samples by its shape without the batch.

    `wanted` is a loss that was asked for, `labelled` whether the data to evaluate on has classes.
    """
    form, reason = _form(name, answers, labelled=labelled)
    loss = _loss(form)
    if wanted is not None and wanted != loss:
        # A softmax at the end stays one, whatever the student learns by.
        if not (form in ("probabilities", "log-probabilities") and wanted == "classes"):
            form = {"classes": "scores", "embedding": "embedding", "values": "values"}[wanted]  # type: ignore[assignment]
        loss, reason = wanted, "as --loss says"  # type: ignore[assignment]
    return Learnt(form=form, loss=loss, reason=reason)


def _loss(form: Form) -> Loss:
    if form in ("probabilities", "log-probabilities", "scores"):
        return "classes"
    return "embedding" if form == "embedding" else "values"


def _form(name: str, answers: "np.ndarray[Any, Any]", *, labelled: bool) -> tuple[Form, str]:
    if answers.ndim < 2 or answers.shape[-1] < 2:
        return "values", "it has no rows"
    rows = answers.reshape(-1, answers.shape[-1]).astype(np.float64)
    sums = rows.sum(-1)
    if rows.min() >= -1e-6 and bool(np.all(np.abs(sums - 1) < _SUM_TOLERANCE)):
        return "probabilities", "its rows are positive and add up to 1"
    top = rows.max(-1, keepdims=True)
    exponentials = np.exp(rows - top).sum(-1)
    if bool(np.all(np.abs(np.log(exponentials) + top[:, 0]) < _SUM_TOLERANCE)):
        return "log-probabilities", "the exponentials of its rows add up to 1"
    lengths = np.linalg.norm(rows, axis=-1)
    if bool(np.all(np.abs(lengths - 1) < _SUM_TOLERANCE)):
        return "embedding", "its rows have length 1"
    if answers.ndim == 2:
        return _by_name_or_sureness(name, rows, 1 / exponentials, labelled=labelled)
    return "values", "it has more axes than classes have"


def _by_name_or_sureness(
    name: str,
    rows: "np.ndarray[Any, Any]",
    sureness: "np.ndarray[Any, Any]",
    *,
    labelled: bool,
) -> tuple[Form, str]:
    if any(word in name.lower() for word in _SCORE_NAMES):
        return "scores", "its name says that it holds scores"
    if any(word in name.lower() for word in _EMBEDDING_NAMES):
        return "embedding", "its name says that it is an embedding"
    if labelled:
        return "scores", "the data to evaluate on has classes"
    winners = len(np.unique(rows.argmax(-1)))
    sure = float(np.mean(sureness)) >= _SURE
    if sure and rows.shape[-1] >= _LEAST_CLASSES and winners >= _LEAST_WINNERS:
        return "scores", "one entry of a row stands out as a class does"
    if rows.shape[-1] >= _LEAST_EMBEDDING:
        return "embedding", f"rows of {rows.shape[-1]} that do not look like classes"
    return "values", f"rows of {rows.shape[-1]} that do not look like classes"


def has_unit_rows(answers: "np.ndarray[Any, Any]") -> bool:
    """Whether every row along the last axis has length 1."""
    return bool(np.all(np.abs(np.linalg.norm(answers, axis=-1) - 1) < _SUM_TOLERANCE))


def names(learnt: Sequence[Learnt]) -> str:
    """Say the losses, each once: `classes, values`."""
    return ", ".join(dict.fromkeys(one.loss for one in learnt))
