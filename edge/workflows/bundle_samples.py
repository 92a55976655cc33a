"""A bundle's samples: inputs, and the outputs that the model gives for them on this machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.device.parent import Limits, Progress, memory_limit, run_child
from edge.errors import UsageError
from edge.reasoning.bundling import Comparison, comparison
from edge.records.codec import from_dict
from edge.records.measurement import RuntimeRef
from edge.records.model import ModelInfo
from edge.records.tensor import TensorSpec
from edge.units import format_bytes

# A slow model should not run often, and more random samples show no more than a few do.
_MOST_SAMPLES: Final = 16
_RANDOM_SAMPLES: Final = 4
_SEED: Final = 0
_LARGEST_SAMPLES_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSamples:
    """The samples file and what it shows; `inputs` and `outputs` have the samples' shapes."""

    path: Path
    count: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    comparison: Comparison
    reference: str


def make_bundle_samples(
    model: Path,
    info: ModelInfo,
    backend: str,
    *,
    shapes: Mapping[str, tuple[int, ...]],
    inputs: Path | None,
    out: Path,
    progress: Progress,
) -> MadeSamples:
    """Run the model here on the first `inputs`, or on a few seeded random ones, and write what it gives.

    One thread: the order of its sums, and so every bit of the outputs, is the same every time.

    Raises:
        RuntimeFailure: the runtime or the model failed, or no runtime for it is installed here.
        UsageError: shapes or inputs do not fit the model, or are too much for a bundle.
    """
    answer = run_child(
        "edge.device.worker:make_samples",
        {
            "model": str(model.absolute()),
            "config": {"backend": backend, "threads": 1},
            "shapes": {name: list(shape) for name, shape in shapes.items()},
            "count": _RANDOM_SAMPLES if inputs is None else _MOST_SAMPLES,
            "seed": _SEED,
            "inputs": None if inputs is None else str(inputs.absolute()),
            "out": str(out),
        },
        limits=Limits(
            memory_bytes=memory_limit(info.file_bytes) + 2 * (info.peak_activation_bytes or 0)
        ),
        what=str(model),
        progress=progress,
    )
    if out.stat().st_size > _LARGEST_SAMPLES_BYTES:
        what = f"{answer['count']} samples take {format_bytes(out.stat().st_size)}"
        hint = f"give fewer in --inputs: a bundle holds {format_bytes(_LARGEST_SAMPLES_BYTES)}"
        raise UsageError(what, where=inputs or model, hint=hint)
    outputs = tuple(from_dict(TensorSpec, spec) for spec in answer["outputs"])
    runtime = from_dict(RuntimeRef, answer["runtime"])
    return MadeSamples(
        path=out,
        count=int(answer["count"]),
        inputs=tuple(from_dict(TensorSpec, spec) for spec in answer["inputs"]),
        outputs=outputs,
        comparison=comparison(
            info.precision, outputs, _largest_output(out), real_inputs=inputs is not None
        ),
        reference=f"{runtime.distribution} {runtime.version} on {os.uname().machine}, one thread",
    )


def _largest_output(path: Path) -> float:
    """Return the largest finite magnitude of any output in the samples file."""
    import numpy as np

    largest = 0.0
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            if name.startswith("output."):
                values = np.abs(arrays[name].astype(np.float64))
                largest = max(largest, float(values[np.isfinite(values)].max(initial=0.0)))
    return largest
