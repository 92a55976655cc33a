"""One training: epochs of AdamW, the best of which is kept. PyTorch is imported here."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.device.child import tell_progress
from edge.device.timing import clock_ns
from edge.distillation.forms import Learnt
from edge.distillation.losses import loss_of
from edge.distillation.rows import Array, Rows
from edge.errors import RuntimeFailure, UsageError

if TYPE_CHECKING:
    import torch

_WARM_UP_PART: Final = 0.05
_WEIGHT_DECAY: Final = 0.01
_LONGEST_GRADIENT: Final = 1.0
_NS: Final = 1e9
# How many epochs where nobody says: so that there are that many steps, and few data are seen often.
_EPOCHS: Final = (20, 200)
_STEPS: Final = 4000
_LEAST_PATIENCE: Final = 5


class Run:
    """One training: AdamW, a warm-up, then a cosine down to nothing."""

    def __init__(
        self,
        network: "torch.nn.Module",
        data: Rows,
        learnt: tuple[Learnt, ...],
        request: Mapping[str, Any],
        rate: float,
    ) -> None:
        """Plan the steps; `request` is that of `train`.

        Raises:
            UsageError: the network has no weights.
        """
        import torch

        self._network, self._data, self._learnt, self._rate = network, data, learnt, rate
        self._temperature = float(request["temperature"])
        self._size = min(int(request["batch"]), len(data.trained))
        steps = math.ceil(len(data.trained) / self._size)
        few, many = _EPOCHS
        self._epochs = int(request["epochs"] or min(many, max(few, math.ceil(_STEPS / steps))))
        self._patience = int(request["patience"] or max(_LEAST_PATIENCE, self._epochs // 4))
        self._max_ns = None if request["max_s"] is None else float(request["max_s"]) * _NS
        self._shuffle = np.random.default_rng(int(request["seed"]) + 1)
        self._steps = self._epochs * steps
        self._step = 0
        self._begun = clock_ns()
        # The clock has shortened the schedule: another run may differ.
        self._hurried = False
        weights = [p for p in network.parameters() if p.requires_grad]
        if not weights:
            raise UsageError("the student has nothing to learn", where="--student")
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in weights if p.ndim > 1], "weight_decay": _WEIGHT_DECAY},
                {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=rate,
        )

    def epochs(self) -> dict[str, Any]:
        """Train until an end is reached, and leave the network as it was in its best epoch."""
        curve: list[dict[str, float]] = []
        best, kept, stopped = -1, {}, "epochs"
        for epoch in range(self._epochs):
            trained = self._train_epoch()
            held_out = self.loss(self._data.held_out)
            curve.append({"trained": trained, "held_out": held_out})
            if not math.isfinite(held_out):
                break
            if best < 0 or held_out < curve[best]["held_out"]:
                best = epoch
                state = self._network.state_dict()
                kept = {name: value.detach().clone() for name, value in state.items()}
            if self._done() >= 1 and epoch + 1 < self._epochs:
                stopped = "time"
                break
            if epoch - best >= self._patience:
                stopped = "no-better"
                break
        if best < 0:
            raise RuntimeFailure(
                "the training went astray: the loss is no number",
                hint="a smaller --learning-rate; look at the data for very large numbers",
            )
        self._network.load_state_dict(kept)
        return {"epochs": curve, "best": best, "stopped": stopped, "hurried": self._hurried}

    def _done(self) -> float:
        """Return how much of the schedule is over, by steps or by the clock, whichever is more."""
        steps = self._step / self._steps
        if self._max_ns is None:
            return steps
        time = (clock_ns() - self._begun) / self._max_ns
        self._hurried = self._hurried or time > steps
        return max(steps, time)

    def _train_epoch(self) -> float:
        import torch

        self._network.train()
        losses: list[float] = []
        rows = self._shuffle.permutation(self._data.trained)
        for inputs, answers in self._data.batches(rows, self._size):
            done = min(1.0, self._done())
            if done >= 1 and losses:
                break
            for group in self._optimizer.param_groups:
                group["lr"] = self._rate * _schedule(done)
            self._optimizer.zero_grad()
            loss = self._loss_of(inputs, answers)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), _LONGEST_GRADIENT)
            self._optimizer.step()
            losses.append(float(loss.detach()))
            self._step += 1
            tell_progress(min(1.0, done))
        return math.fsum(losses) / len(losses)

    def loss(self, rows: Array) -> float:
        """Return the mean loss of some rows, without learning from them."""
        import torch

        self._network.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for inputs, answers in self._data.batches(rows, self._size):
                total += float(self._loss_of(inputs, answers)) * len(answers[0])
                count += len(answers[0])
        return total / count

    def _loss_of(self, inputs: list[Any], answers: list[Any]) -> Any:
        parts = zip(self._learnt, self._network.raw(*inputs), answers, strict=True)
        losses = [self._one(one, n, ours, told) for n, (one, ours, told) in enumerate(parts)]
        return sum(losses[1:], losses[0])

    def _one(self, learnt: Learnt, number: int, ours: Any, teachers: Any) -> Any:
        if learnt.loss != "classes":
            # In parts of the teacher's variance, so that outputs of any size weigh the same.
            spread = self._network.get_buffer(f"spread_{number}")
            ours, teachers = ours / spread, teachers / spread
        return loss_of(learnt, ours, teachers, self._temperature)


def _schedule(done: float) -> float:
    """Return the part of the full rate: up in a straight line, down by a cosine."""
    if done < _WARM_UP_PART:
        return max(0.01, done / _WARM_UP_PART)
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP_PART) / (1 - _WARM_UP_PART)))
