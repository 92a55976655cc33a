"""What Olive loads for its own runs: the data of olive_data.py, and the accuracy to search by.

Only compare_with_olive.py's configurations name it; it runs in Olive's environment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from olive.data.registry import Registry


def samples(path: str) -> list[dict[str, Any]]:
    """Return the samples of an .npz, each without the first axis, as Olive batches them itself."""
    with np.load(path) as held:
        arrays = {
            name.removeprefix("input."): held[name] for name in held if name.startswith("input.")
        }
    count = len(next(iter(arrays.values())))
    return [{name: array[position] for name, array in arrays.items()} for position in range(count)]


def outputs(model: str, path: str) -> list[Any]:
    """Return what a model makes of each sample, its first output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    made = []
    for sample in samples(path):
        feed = {name: array[np.newaxis] for name, array in sample.items()}
        made.append(session.run(None, feed)[0])
    return made


class Samples:
    """Samples as a torch data set: pairs of the inputs and the original's classes."""

    def __init__(self, path: str, original: str | None) -> None:
        """Load them all."""
        self.held = samples(path)
        self.labels: list[Any] = [0] * len(self.held)
        if original is not None:
            import torch

            self.labels = [classes(torch.tensor(made)) for made in outputs(original, path)]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.held)

    def __getitem__(self, position: int) -> tuple[dict[str, Any], Any]:
        """Return a sample and its label."""
        return self.held[position], self.labels[position]


@Registry.register_dataset()
def npz_samples(
    data_dir: str | None = None, samples_file: str = "", original: str | None = None, **_: Any
) -> Samples:
    """Load the samples of a file; with the original, its classes are the truth."""
    del data_dir
    return Samples(samples_file, original)


@Registry.register_post_process()
def classes(output_data: Any, **_: Any) -> Any:
    """Return the class of each row."""
    return output_data.argmax(-1).flatten()


@Registry.register_dataloader()
def whole_rows(dataset: Samples, **_: Any) -> Any:
    """Give one sample at a time; its labels stay one flat row."""
    import torch

    def together(batch: list[tuple[dict[str, Any], Any]]) -> tuple[dict[str, Any], Any]:
        ((sample, label),) = batch
        given = {name: torch.tensor(array[np.newaxis]) for name, array in sample.items()}
        return given, torch.as_tensor(label).flatten()

    return torch.utils.data.DataLoader(dataset, batch_size=1, collate_fn=together)
