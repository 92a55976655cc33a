"""What a student is punished for, by the output's form. PyTorch is imported here."""

from typing import TYPE_CHECKING

from edge.distillation.forms import Learnt

if TYPE_CHECKING:
    import torch

_SMALLEST_PROBABILITY = 1e-7
# The classes leave open how high all scores of a row stand together; a little of it is asked for.
_HEIGHT_WEIGHT = 0.1


def loss_of(
    learnt: Learnt, ours: "torch.Tensor", teachers: "torch.Tensor", temperature: float
) -> "torch.Tensor":
    """Return the mean loss of a batch; `ours` is before the final form, `teachers` is in it.

    classes: the Kullback-Leibler divergence of the softened classes, times the temperature squared
    (Hinton et al., arXiv 1503.02531, section 2), and of scores their mean's squared error, which
    the divergence does not see. embedding: 1 - cosine, and the squared error in
    parts of the teacher's variance. values: the squared error alone, in the same parts.
    """
    import torch

    if learnt.loss == "classes":
        if learnt.form == "probabilities":
            teachers = teachers.clamp(min=_SMALLEST_PROBABILITY).log()
        softened = torch.log_softmax(teachers / temperature, dim=-1).flatten(0, -2)
        student = torch.log_softmax(ours / temperature, dim=-1).flatten(0, -2)
        divergence = torch.nn.functional.kl_div(
            student, softened, reduction="batchmean", log_target=True
        )
        loss: torch.Tensor = divergence * temperature**2
        if learnt.form == "scores":
            height = torch.nn.functional.mse_loss(ours.mean(-1), teachers.mean(-1))
            loss = loss + _HEIGHT_WEIGHT * height
        return loss
    error: torch.Tensor = torch.nn.functional.mse_loss(ours, teachers)
    if learnt.loss == "embedding":
        cosine = torch.nn.functional.cosine_similarity(ours, teachers, dim=-1)
        return (1 - cosine).mean() + error
    return error
