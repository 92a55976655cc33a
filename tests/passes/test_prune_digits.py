"""What pruning costs in accuracy on real digits, and what least squares save of it."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from edge.passes import load_pass
from edge.passes._activations import open_session, run

pytestmark = pytest.mark.extras
DIGITS = Path("models/digits-cnn/digits-cnn-fp32.onnx")


def right(path: Path, pictures: np.ndarray, labels: np.ndarray) -> int:
    session = open_session(onnx.load(path), 1)
    answers = [int(run(session, {"input": picture})[0].argmax()) for picture in pictures]
    return int((np.array(answers) == labels).sum())


def test_fitted_weights_keep_digits_right_with_two_fifths_of_the_work_gone(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    found = load_digits()
    pictures = (found.images / 16).astype(np.float32)[:, None, None]
    np.savez(tmp_path / "data.npz", **{"input.input": pictures[:256]})
    counts = []
    for name in ("true", "false"):
        folder = tmp_path / name
        folder.mkdir()
        request = {
            "model": str(DIGITS),
            "folder": str(folder),
            "options": {
                "ratio": 0.4,
                "round_to": 4,
                "least": 4,
                "samples": 256,
                "reconstruct": name,
            },
            "calibration": str(tmp_path / "data.npz"),
            "shapes": {},
            "threads": 1,
        }
        answer = load_pass("prune_channels").apply(request)
        assert "(-41 %)" in answer["notes"][0]
        # None of these has been calibrated with.
        counts.append(right(folder / answer["file"], pictures[256:], found.target[256:]))
    whole = right(DIGITS, pictures[256:], found.target[256:])
    assert counts[0] >= whole - 0.01 * len(pictures[256:])
    assert counts[0] > counts[1]
