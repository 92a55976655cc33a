#!/usr/bin/env python3
"""Train the default model and write its four files, its samples and its card, all measured.

Two environments are needed: tflite-runtime 2.14.0 fails with numpy 2, which the converters need.

    python3.11 -m venv .venv-make
    .venv-make/bin/pip install --no-deps --require-hashes -r requirements/make-default-model.txt
    .venv-make/bin/pip install torch==2.13.0
    python3.11 -m venv .venv-tflite
    .venv-tflite/bin/pip install tflite-runtime==2.14.0 'numpy<2'
    .venv-make/bin/python scripts/make_default_model.py --tflite-python .venv-tflite/bin/python

torch stands outside the lock because its wheel differs by machine; the CPU build of 2.13.0 is
enough. Nothing is replaced unless every file reaches its accuracy. The same machine gives the same
bytes; another processor may round a training step differently.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from default_model_files import (
    INPUT_SHAPE,
    hushed,
    write_npz,
    write_onnx,
    write_onnx_int8,
    write_tflite,
    write_tflite_int8,
)

NAME = "digits-cnn"
SEED = 0
EPOCHS = 60
BATCH = 32
TEST_SHARE = 0.25
SAMPLE_COUNT = 16
CALIBRATION_COUNT = 300
PIXEL_SCALE = 1 / 16
LEAST_ACCURACY = 0.97
MOST_LOSS_BY_INT8 = 0.01
FILES = tuple(f"{NAME}-{kind}" for kind in ("fp32.onnx", "int8.onnx", "fp32.tflite", "int8.tflite"))

CARD_HEAD = """\
# Written by scripts/make_default_model.py; do not edit by hand.
schema_version = "1.0"
name = "digits-cnn"
title = "Digits CNN"
kind = "image-classification"
licence = "Apache-2.0"
description = "A small convolutional network of our own that reads handwritten digits of 8 by 8 \
pixels. Trained on scikit-learn's copy of UCI's Optical Recognition of Handwritten Digits \
(E. Alpaydin, C. Kaynak)."
default = true

[source]
registry = "project"
folder = "digits-cnn"
"""


class Digits(NamedTuple):
    """Images in the model's layout and their labels, split once."""

    train_images: Any
    train_labels: Any
    test_images: Any
    test_labels: Any


def say(text: str) -> None:
    """Print one line of progress; results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def load_digits() -> Digits:
    """Load scikit-learn's digits, scaled to 0..1, and hold a stratified test set out."""
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    pixels, labels = load(return_X_y=True)
    images = (pixels * PIXEL_SCALE).astype(np.float32).reshape(-1, *INPUT_SHAPE[1:])
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels.astype(np.int64), test_size=TEST_SHARE, random_state=SEED, stratify=labels
    )
    return Digits(train_images, train_labels, test_images, test_labels)


def train(digits: Digits) -> Any:
    """Train the network on the training images, on one thread so that sums keep their order."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(SEED)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    images, labels = torch.from_numpy(digits.train_images), torch.from_numpy(digits.train_labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    order = torch.Generator().manual_seed(SEED)
    for _ in range(EPOCHS):
        shuffled = torch.randperm(len(images), generator=order)
        for start in range(0, len(images), BATCH):
            batch = shuffled[start : start + BATCH]
            optimizer.zero_grad()
            loss_of(network(images[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def score(python: str, runtime: str, data: Path, files: list[Path]) -> dict[str, Any]:
    """Score the files with a runtime in its own interpreter."""
    script = Path(__file__).with_name("score_default_model.py")
    command = [python, str(script), "--runtime", runtime, "--data", str(data)]
    command += [str(path) for path in files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{runtime} failed:\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def check_and_print(reports: list[dict[str, Any]]) -> dict[str, float]:
    """Print each accuracy, refuse what is too low, and return each file's lowest."""
    lowest: dict[str, float] = {}
    for report in reports:
        for name, result in report["files"].items():
            print(f"{name:24} {result['accuracy']:.4f}  {report['runtime']} {report['version']}")
            lowest[name] = min(result["accuracy"], lowest.get(name, 1.0))
    for name, accuracy in lowest.items():
        floor = max(LEAST_ACCURACY, lowest[name.replace("int8", "fp32")] - MOST_LOSS_BY_INT8)
        if accuracy < floor:
            raise SystemExit(f"{name}: {accuracy:.4f} is below {floor:.4f}; nothing replaced")
    return lowest


def digest(path: Path) -> str:
    """Return the two card lines that name a file's bytes."""
    data = path.read_bytes()
    return f'sha256 = "{hashlib.sha256(data).hexdigest()}"\nsize_bytes = {len(data)}\n'


def card(folder: Path, reports: list[dict[str, Any]], lowest: dict[str, float], tested: int) -> str:
    """Return the card's text; its digests, inputs and accuracies come from this run."""
    facts: dict[str, Any] = {}
    for report in reports:
        facts.update({name: result["input"] for name, result in report["files"].items()})
    parts = [CARD_HEAD]
    for name in FILES:
        precision, file_format = name.rsplit("-", 1)[1].split(".")
        entry = facts[name]
        parts.append(
            f'\n[[file]]\nname = "{name}"\nformat = "{file_format}"\nprecision = "{precision}"\n'
            f"{digest(folder / name)}accuracy = {lowest[name]:.4f}\n"
            f'[[file.input]]\nname = "{entry["name"]}"\nshape = {entry["shape"]}\n'
            f'dtype = "{entry["dtype"]}"\n'
        )
    parts.append(f'\n[samples]\nfile = "samples.npz"\n{digest(folder / "samples.npz")}')
    runtimes = ", ".join(f"{report['runtime']} {report['version']}" for report in reports)
    machine = platform.machine().replace("_", "-")
    parts.append(
        '\n[accuracy]\nmetric = "top-1"\n'
        f'dataset = "scikit-learn digits, held-out test set of {tested} images, seed {SEED}"\n'
        f'measured_with = "{runtimes} on {machine}"\n'
        "\n[preprocessing]\n"
        'description = "a light digit on a dark ground, 8x8, 0 to 1: the grey of a picture / 255"\n'
        f'scale = {1 / 255}\noffset = 0.0\nlayout = "NCHW"\n'
    )
    return "".join(parts)


def build(folder: Path, tflite_python: str) -> str:
    """Make every file in an empty folder and return the card."""
    say("Loading the digits")
    digits = load_digits()
    say(f"Training on {len(digits.train_labels)} images, {EPOCHS} passes")
    network = train(digits)
    onnx_fp32, onnx_int8, tflite_fp32, tflite_int8 = (folder / name for name in FILES)
    calibration = digits.train_images[:CALIBRATION_COUNT]
    say("Writing ONNX")
    with hushed():
        write_onnx(network, onnx_fp32)
        write_onnx_int8(onnx_fp32, onnx_int8, calibration)
    say("Writing TFLite")
    with hushed():
        write_tflite(network, tflite_fp32)
        write_tflite_int8(tflite_fp32, tflite_int8, calibration)
    images, labels = digits.test_images, digits.test_labels
    write_npz(folder / "samples.npz", images=images[:SAMPLE_COUNT], labels=labels[:SAMPLE_COUNT])
    say(f"Measuring on {len(labels)} held-out images")
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "held-out.npz"
        write_npz(data, images=images, labels=labels)
        reports = [
            score(sys.executable, "onnxruntime", data, [onnx_fp32, onnx_int8]),
            score(tflite_python, "tflite-runtime", data, [tflite_fp32, tflite_int8]),
            score(sys.executable, "ai-edge-litert", data, [tflite_fp32, tflite_int8]),
        ]
    return card(folder, reports, check_and_print(reports), len(labels))


def main() -> None:
    """Build beside the output folder, then move each file into place whole, the card last."""
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=root / "models", help="default: models/")
    parser.add_argument(
        "--tflite-python", required=True, help="Python of an environment with tflite-runtime"
    )
    arguments = parser.parse_args()
    target: Path = arguments.output / NAME
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.output, prefix=".making-") as scratch:
        folder = Path(scratch)
        text = build(folder, arguments.tflite_python)
        (folder / f"{NAME}.toml").write_text(text, encoding="utf-8")
        for name in (*FILES, "samples.npz"):
            (folder / name).replace(target / name)
        (folder / f"{NAME}.toml").replace(arguments.output / f"{NAME}.toml")
    say(f"Wrote {NAME}/ and {NAME}.toml")


if __name__ == "__main__":
    main()
