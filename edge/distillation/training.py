"""Training a student in a limited child: epochs, a held-out part, the best epoch kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.device.feeds import write_arrays
from edge.distillation.architecture import Architecture, check_fit, parse_architecture
from edge.distillation.epochs import Run
from edge.distillation.export import export, run_torch
from edge.distillation.forms import Learnt, learnt_from
from edge.distillation.rows import Array, Rows
from edge.distillation.stored import read_rows
from edge.distillation.student import Ends, build
from edge.errors import UsageError
from edge.records.codec import from_dict
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    import torch

LEAST_SAMPLES: Final = 10
_HELD_OUT_PART: Final = 10
# Held-out answers are compared in one piece.
_MOST_HELD_OUT: Final = 2000
# By kind; attention does not stand larger steps.
_RATES: Final = {"transformer": 1e-3, "own": 1e-3}
_USUAL_RATE: Final = 5e-3


def train(request: Mapping[str, Any]) -> dict[str, Any]:
    """Train a student on what the teacher answered and export it.

    `request`: architecture and trusted, inputs and outputs as `ask` told them, loss, labelled,
    temperature, seed, threads, epochs and patience (None: by the number of samples), max_s (None:
    no limit), batch, rate (None: by the architecture), student (the file to write) and held_out (the .npz to write: `input.NAME`,
    `teacher.NAME`, and `torch.NAME`, what the student said before it was exported).

    The answer: epochs, each {trained, held_out}, best, stopped, hurried, learnt, rate, trained and
    held_out (numbers of samples), words, exporter.
    """
    import torch

    torch.manual_seed(int(request["seed"]))
    torch.set_num_threads(int(request["threads"]))
    torch.use_deterministic_algorithms(mode=True)
    specs = tuple(from_dict(TensorSpec, told["spec"]) for told in request["inputs"])
    targets = tuple(from_dict(TensorSpec, told["spec"]) for told in request["outputs"])
    architecture = parse_architecture(request["architecture"], trusted=bool(request["trusted"]))
    check_fit(architecture, specs)
    data = _data(request)
    ends, learnt = _ends(specs, targets, data, request)
    network = build(architecture, ends)
    _check_gives(network, data, targets)
    rate = float(request["rate"] or _RATES.get(architecture.name, _USUAL_RATE))
    run = Run(network, data, learnt, request, rate)
    told = run.epochs()
    network.eval()
    path = Path(request["student"])
    exporter = export(network, ends, path, [a[data.held_out[:1]] for a in data.inputs])
    _write_held_out(network, ends, data, request["held_out"])
    return {
        **told,
        "learnt": [
            {"name": spec.name, "form": one.form, "loss": one.loss, "reason": one.reason}
            for spec, one in zip(targets, learnt, strict=True)
        ],
        "rate": rate,
        "trained": len(data.trained),
        "held_out": len(data.held_out),
        "words": _words(network, architecture),
        "exporter": exporter,
    }


def _data(request: Mapping[str, Any]) -> Rows:
    inputs = tuple(read_rows(told) for told in request["inputs"])
    answers = tuple(read_rows(told) for told in request["outputs"])
    count = len(answers[0])
    if count < LEAST_SAMPLES:
        what = f"{count} samples are too few to train a student on"
        raise UsageError(what, hint=f"at least {LEAST_SAMPLES}, and thousands are better")
    order = np.random.default_rng(int(request["seed"])).permutation(count)
    kept = min(max(1, count // _HELD_OUT_PART), _MOST_HELD_OUT)
    return Rows(
        inputs=inputs, answers=answers, trained=order[kept:], held_out=np.sort(order[:kept])
    )


def _ends(
    specs: tuple[TensorSpec, ...],
    targets: tuple[TensorSpec, ...],
    data: Rows,
    request: Mapping[str, Any],
) -> tuple[Ends, tuple[Learnt, ...]]:
    """Return the two ends; how an output is learnt is seen on the part that is trained on."""
    rows = np.sort(data.trained)
    answers = tuple(np.asarray(a[rows], np.float32) for a in data.answers)
    # Token numbers are all looked at, of pictures as many as tell their mean.
    samples = tuple(
        np.asarray(a[rows]) if a.dtype.kind in "iu" and a.ndim == 2 else np.asarray(a[rows[:4096]])
        for a in data.inputs
    )
    learnt = tuple(
        learnt_from(spec.name, a, wanted=request["loss"], labelled=bool(request["labelled"]))
        for spec, a in zip(targets, answers, strict=True)
    )
    forms = tuple(one.form for one in learnt)
    ends = Ends(inputs=specs, outputs=targets, samples=samples, answers=answers, forms=forms)
    return ends, learnt


def _check_gives(network: "torch.nn.Module", data: Rows, targets: tuple[TensorSpec, ...]) -> None:
    """Refuse a student of the user's own whose outputs have other shapes."""
    import torch

    inputs, answers = next(data.batches(data.trained, 2))
    try:
        with torch.no_grad():
            found = network.body(*inputs)
            given = list(found) if isinstance(found, list | tuple) else [found]
            shapes = [tuple(one.shape) for one in given]
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"the student fails on a batch: {lines[0]}", where="--student") from error
    if shapes != [tuple(a.shape) for a in answers]:
        wanted = ", ".join(str(spec) for spec in targets)
        got = ", ".join("x".join(str(size) for size in shape) for shape in shapes)
        what = f"the student gives {got or 'nothing'} for a batch of 2, and {wanted} is wanted"
        raise UsageError(what, where="--student")


def _write_held_out(network: "torch.nn.Module", ends: Ends, data: Rows, path: str) -> None:
    arrays: dict[str, Array] = {}
    for spec, rows in zip(ends.inputs, data.inputs, strict=True):
        # A sample has the batch of 1 that the model takes.
        arrays["input." + spec.name] = np.asarray(rows[data.held_out])[:, None]
    for spec, rows in zip(ends.outputs, data.answers, strict=True):
        arrays["teacher." + spec.name] = np.asarray(rows[data.held_out])[:, None]
    said = run_torch(network, [np.asarray(rows[data.held_out]) for rows in data.inputs])
    for spec, given in zip(ends.outputs, said, strict=True):
        arrays["torch." + spec.name] = given[:, None]
    write_arrays(path, arrays)


def _words(network: "torch.nn.Module", architecture: Architecture) -> int | None:
    """Return how many words a student for texts knows."""
    if architecture.kind != "tokens":
        return None
    return int(network.body.inner.inner.words.vectors.num_embeddings) - 1
