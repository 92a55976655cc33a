"""Putting a student together: the teacher's inputs, a body, the teacher's outputs. Imports PyTorch."""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.distillation.architecture import Architecture, channel_axis, mask_input, token_input
from edge.distillation.forms import Form, has_unit_rows
from edge.distillation.pictures import cnn, mobile
from edge.distillation.tokens import bag, transformer, vocabulary
from edge.errors import ModelError, UsageError, printable
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    import torch

Array = np.ndarray[Any, Any]

_MOST_FEATURES: Final = 1 << 16
_LEAST_SPREAD: Final = 1e-6
# Enough rows to know the mean and the spread of an input by.
_MOST_ROWS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What a student stands between: specs, the training part's rows, and the outputs' forms."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    samples: tuple[Array, ...]
    answers: tuple[Array, ...]
    forms: tuple[Form, ...]


def build(architecture: Architecture, ends: Ends) -> "torch.nn.Module":
    """Return the student: `raw(*inputs)` for training, called for the outputs in their final form.

    Raises:
        UsageError: the user's own function does not give a module.
        ModelError: an output is larger than a pooled student can give.
    """
    import torch

    if architecture.kind != "own":
        features = sum(math.prod(answers.shape[1:]) for answers in ends.answers)
        if features > _MOST_FEATURES:
            what = f"its outputs hold {features} numbers a sample, and {_MOST_FEATURES} is the most"
            raise ModelError(what, hint="a student of your own (FILE.py:function) may have a map")
        body = _body(architecture, ends, features)
    else:
        body = _own_body(architecture, ends)

    class Student(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        """The body between the two ends."""

        def __init__(self) -> None:
            super().__init__()
            self.body = body
            for number, answers in enumerate(ends.answers):
                mean, spread = _spread(answers, ends.forms[number])
                self.register_buffer(f"mean_{number}", mean)
                self.register_buffer(f"spread_{number}", spread)
            self.units = tuple(has_unit_rows(answers) for answers in ends.answers)

        def raw(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
            """Return each output before its final form, scaled to what the teacher gives."""
            given = self.body(*inputs)
            parts = list(given) if isinstance(given, list | tuple) else [given]
            return [
                part * self.get_buffer(f"spread_{n}") + self.get_buffer(f"mean_{n}")
                for n, part in enumerate(parts)
            ]

        def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(self._final(n, part) for n, part in enumerate(self.raw(*inputs)))

        def _final(self, number: int, part: torch.Tensor) -> torch.Tensor:
            form = ends.forms[number]
            if form == "probabilities":
                part = torch.softmax(part, dim=-1)
            elif form == "log-probabilities":
                part = torch.log_softmax(part, dim=-1)
            elif form == "embedding" and self.units[number]:
                part = torch.nn.functional.normalize(part, dim=-1)
            return part.to(getattr(torch, ends.outputs[number].dtype))

    return Student()


def _spread(answers: Array, form: Form) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the mean and one spread of the answers, so that the body gives numbers around 1."""
    import torch

    rows = np.asarray(answers[:_MOST_ROWS], np.float64)
    if form == "probabilities":
        rows = np.log(np.maximum(rows, 1e-7))
    if form in ("probabilities", "log-probabilities", "scores"):
        # What is sure is far away; the student need not begin there.
        mean = rows.mean(0)
        return torch.tensor(mean, dtype=torch.float32), torch.tensor(1.0)
    spread = max(float(rows.std(0).mean()), _LEAST_SPREAD)
    return torch.tensor(rows.mean(0), dtype=torch.float32), torch.tensor(spread)


def _body(architecture: Architecture, ends: Ends, features: int) -> "torch.nn.Module":
    """Return a body of ours: the inputs prepared, the architecture, and the outputs cut apart."""
    import torch

    sizes = [math.prod(answers.shape[1:]) for answers in ends.answers]
    shapes = [tuple(answers.shape[1:]) for answers in ends.answers]
    if architecture.kind == "tokens":
        inner, last = _token_parts(architecture, ends, features)
    elif architecture.kind == "pictures":
        inner, last = _picture_parts(architecture, ends, features)
    else:
        inner, last = _vector_parts(architecture.numbers, ends, features)
    torch.nn.init.zeros_(last.bias)

    class Body(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        """Features, and from them every output."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = inner
            self.last = last

        def forward(self, *inputs: torch.Tensor) -> list[torch.Tensor]:
            parts = self.last(self.inner(*inputs)).split(sizes, dim=1)
            return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]

    return Body()


def _token_parts(
    architecture: Architecture, ends: Ends, features: int
) -> "tuple[torch.nn.Module, torch.nn.Module]":
    import torch

    ids, mask = token_input(ends.inputs) or 0, mask_input(ends.inputs)
    kinds = next((n for n in range(len(ends.inputs)) if n not in (ids, mask)), None)
    table = vocabulary(ends.samples[ids], None if mask is None else ends.samples[mask])
    if architecture.name == "bag":
        inner, last = bag(table, architecture.numbers[0], features)
    else:
        layers, width, heads = architecture.numbers
        inner, last = transformer(table, layers, width, heads, features)

    class Tokens(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        """The inputs by what they are."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            if self.training and mask is not None:
                # What every text of the batch has masked changes nothing and takes time.
                longest = int((inputs[mask] != 0).sum(1).max())
                whole = bool((inputs[mask][:, longest:] == 0).all())
                inputs = (
                    tuple(part[:, :longest] for part in inputs) if whole and longest else inputs
                )
            words = inputs[ids]
            kept = torch.ones_like(words) if mask is None else inputs[mask]
            types = None if kinds is None else inputs[kinds]
            found: torch.Tensor = self.inner(words, kept.to(torch.float32), types)
            return found

    return Tokens(), last


def _picture_parts(
    architecture: Architecture, ends: Ends, features: int
) -> "tuple[torch.nn.Module, torch.nn.Module]":
    import torch

    samples = ends.samples[0]
    axis = channel_axis((1, *samples.shape[1:])) or 1
    sides = [size for n, size in enumerate(samples.shape[1:], 1) if n != axis]
    channels = int(samples.shape[axis])
    if architecture.name == "cnn":
        inner, last = cnn(architecture.numbers, channels, min(sides), features)
    else:
        inner, last = mobile(architecture.numbers[0], channels, min(sides), features)
    rows = np.asarray(samples[:: max(1, len(samples) // 256)], np.float32)
    others = tuple(n for n in range(4) if n != axis)
    mean = torch.tensor(rows.mean(others)).reshape(1, -1, 1, 1)
    spread = torch.tensor(rows.std(others)).clamp(min=_LEAST_SPREAD).reshape(1, -1, 1, 1)

    class Pictures(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        """Channels first, around 0 and about 1 large."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", mean)
            self.register_buffer("spread", spread)
            self.inner = inner

        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            x = picture.to(torch.float32)
            x = x if axis == 1 else x.permute(0, 3, 1, 2)
            found: torch.Tensor = self.inner((x - self.mean) / self.spread)
            return found

    return Pictures(), last


def _vector_parts(
    widths: Sequence[int], ends: Ends, features: int
) -> "tuple[torch.nn.Module, torch.nn.Module]":
    import torch

    flat = [np.asarray(s[:_MOST_ROWS], np.float32) for s in ends.samples]
    rows = np.concatenate([array.reshape(len(array), -1) for array in flat], axis=1)
    mean, spread = torch.tensor(rows.mean(0)), torch.tensor(rows.std(0))
    # What never changes in the data tells nothing, and must not blow up where it does.
    spread = torch.where(spread < _LEAST_SPREAD, torch.ones_like(spread), spread)
    layers: list[torch.nn.Module] = []
    before = rows.shape[1]
    for width in widths:
        layers += [torch.nn.Linear(before, width), torch.nn.ReLU()]
        before = width
    inner = torch.nn.Sequential(*layers)

    class Vectors(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not installed here.
        """All inputs as one row, each number around 0 and about 1 large."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", mean)
            self.register_buffer("spread", spread)
            self.inner = inner

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            x = torch.cat([part.flatten(1).to(torch.float32) for part in inputs], dim=1)
            found: torch.Tensor = self.inner((x - self.mean) / self.spread)
            return found

    return Vectors(), torch.nn.Linear(before, features)


def _own_body(architecture: Architecture, ends: Ends) -> "torch.nn.Module":
    """Run the user's function; that its code may run was said on the command line."""
    import torch

    where = f"{architecture.file}:{architecture.function}"
    found = importlib.util.spec_from_file_location("edgekit_student", str(architecture.file))
    if found is None or found.loader is None:
        raise UsageError("it cannot be imported", where=where)
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
        function = getattr(module, str(architecture.function), None)
        if not callable(function):
            raise UsageError("there is no such function", where=where)
        body = function(_concrete(ends.inputs, ends.samples), _concrete(ends.outputs, ends.answers))
    except UsageError:
        raise
    except Exception as error:
        what = f"it fails: {type(error).__name__}: {printable(error, 200)}"
        raise UsageError(what, where=where) from error
    if not isinstance(body, torch.nn.Module):
        raise UsageError("it returns no torch.nn.Module", where=where)
    return body


def _concrete(specs: Sequence[TensorSpec], rows: Sequence[Array]) -> tuple[TensorSpec, ...]:
    """Return the specs with the sizes that the samples have; the batch stays None."""
    pairs = zip(specs, rows, strict=True)
    return tuple(TensorSpec(s.name, s.dtype, (None, *array.shape[1:])) for s, array in pairs)
