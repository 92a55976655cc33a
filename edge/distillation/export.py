"""A trained student as an ONNX file that takes and gives what the teacher does. Imports PyTorch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.distillation.student import Ends
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    import torch

Array = np.ndarray[Any, Any]

_OPSET: Final = 17
_BATCH: Final = 64


def export(network: "torch.nn.Module", ends: Ends, path: Path, example: Sequence[Array]) -> str:
    """Write the file, with the teacher's names, types and free dimensions; say what wrote it.

    `example` is one sample, with its batch of 1.
    """
    import torch

    torch.onnx.export(
        network,
        tuple(torch.from_numpy(np.array(array)) for array in example),
        str(path),
        input_names=[spec.name for spec in ends.inputs],
        output_names=[spec.name for spec in ends.outputs],
        dynamic_axes=_free_axes(ends),
        opset_version=_OPSET,
        # The older exporter: it names free dimensions as it is told, and needs no onnxscript.
        dynamo=False,
    )
    return f"torch {torch.__version__}, opset {_OPSET}"


def _free_axes(ends: Ends) -> dict[str, dict[int, str]]:
    """Return the free dimensions by name, of outputs only the batch: students have one size."""
    free = {spec.name: _free(spec, len(spec.shape or ())) for spec in ends.inputs}
    batch = next((axes[0] for axes in free.values() if 0 in axes), None)
    if batch is not None:
        free |= {spec.name: {0: _free(spec, 1).get(0, batch)} for spec in ends.outputs}
    return {name: axes for name, axes in free.items() if axes}


def _free(spec: TensorSpec, axes: int) -> dict[int, str]:
    sizes = enumerate((spec.shape or ())[:axes])
    return {n: str(size or f"{spec.name}_{n}") for n, size in sizes if not isinstance(size, int)}


def run_torch(network: "torch.nn.Module", inputs: Sequence[Array]) -> list[Array]:
    """Return what the network gives for rows of inputs, batch by batch."""
    import torch

    parts: list[list[Array]] = []
    with torch.no_grad():
        for start in range(0, len(inputs[0]), _BATCH):
            batch = [torch.from_numpy(array[start : start + _BATCH]) for array in inputs]
            parts.append([given.numpy() for given in network(*batch)])
    return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
