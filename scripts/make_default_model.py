#!/usr/bin/env python3
"""Train the default model and write its four files, its samples and its card, all measured.

Two environments are needed, because tflite-runtime 2.14.0 fails with numpy 2 and the converters need it:

    python3.11 -m venv .venv-make
    .venv-make/bin/pip install --no-deps --require-hashes -r requirements/make-default-model.txt
    .venv-make/bin/pip install torch==2.13.0
    python3.11 -m venv .venv-tflite
    .venv-tflite/bin/pip install tflite-runtime==2.14.0 'numpy<2'
    .venv-make/bin/python scripts/make_default_model.py --tflite-python .venv-tflite/bin/python

torch stands outside the lock because its wheel differs by machine: any build of 2.13.0 does, the CPU build is enough.
Nothing is replaced unless every file reaches its accuracy. The same machine gives the same bytes; another processor
may round a training step differently.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "digits-cnn"
SEED = 0
EPOCHS = 60
TEST_SHARE = 0.25
SAMPLE_COUNT = 16
CALIBRATION_COUNT = 300
PIXEL_SCALE = 1 / 16
LEAST_ACCURACY = 0.97
MOST_LOSS_BY_INT8 = 0.01
# onnxruntime 1.10, the last for the JetPack 4 of old Jetsons, reads opset 15 and IR version 8 at most.
OPSET = 13
MOST_IR_VERSION = 8
INPUT_SHAPE = (1, 1, 8, 8)
FILES = tuple(f"{NAME}-{kind}" for kind in ("fp32.onnx", "int8.onnx", "fp32.tflite", "int8.tflite"))

CARD_HEAD = """\
# Written by scripts/make_default_model.py; do not edit by hand.
schema_version = "1.0"
name = "digits-cnn"
title = "Digits CNN"
kind = "image-classification"
licence = "Apache-2.0"
description = "A small convolutional network of our own that reads handwritten digits of 8 by 8 pixels. \
Trained on scikit-learn's copy of UCI's Optical Recognition of Handwritten Digits by E. Alpaydin and C. Kaynak."
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


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep what the converters print, C++ included, off the terminal, and show it only if they fail."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in enumerate(saved, start=1):
                os.dup2(copy, number)
                os.close(copy)
            if failed:
                log.seek(0)
                say(log.read().decode(errors="replace"))


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
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    # Strided convolutions, not pooling, so that no layer needs a transposition in TFLite's layout.
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
        for batch in torch.randperm(len(images), generator=order).split(32):
            optimizer.zero_grad()
            loss_of(network(images[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def write_onnx(network: Any, path: Path) -> None:
    """Export with the legacy exporter, whose opset old runtimes read."""
    import torch

    torch.onnx.export(
        network,
        (torch.zeros(INPUT_SHAPE),),
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["logits"],
    )


def write_onnx_int8(source: Path, path: Path, calibration: Any) -> None:
    """Quantise to int8 in QDQ form, weights per channel, and check that every weighted layer is covered."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    class Reader:
        """Hands out the calibration images one by one."""

        def __init__(self) -> None:
            self.images = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.images, None)
            return None if image is None else {"input": image[np.newaxis]}

    # With 8-bit weights the x86-64 kernels without VNNI saturate: logits moved by 1.3 and three labels in 450 changed
    # against ARM's exact sums. 7-bit weights (reduce_range) give the same answer on every processor.
    quantize_static(
        str(source),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    model = onnx.load(str(path))
    if model.ir_version > MOST_IR_VERSION:
        raise SystemExit(f"{path.name}: IR version {model.ir_version} is too new for onnxruntime 1.10")
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in {"Conv", "Gemm"}:
            sources = {made_by.get(name) for name in node.input}
            if sources != {"DequantizeLinear"}:
                raise SystemExit(f"{path.name}: {node.name} is not quantised")


def write_tflite(network: Any, path: Path) -> None:
    """Convert with litert-torch; the input keeps torch's layout, so that all files take the same array."""
    import litert_torch
    import torch

    litert_torch.convert(network, sample_kwargs={"input": torch.zeros(INPUT_SHAPE)}).export(str(path))


def write_tflite_int8(source: Path, path: Path, calibration: Any) -> None:
    """Quantise weights and activations to int8; only the file's input and output stay float."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    from ai_edge_quantizer import qtyping, quantizer

    quantiser = quantizer.Quantizer(str(source))
    operations = qtyping.TFLOperationName
    quantiser.add_static_config(".*", operations.ALL_SUPPORTED, 8, 8)
    for end in (operations.INPUT, operations.OUTPUT):
        quantiser.update_quantization_recipe(
            ".*", end, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE
        )
    ((signature, ends),) = Interpreter(str(source)).get_signature_list().items()
    (name,) = ends["inputs"]
    images = [{name: image[np.newaxis]} for image in calibration]
    ranges = quantiser.calibrate({signature: images}, num_threads=1)
    path.write_bytes(quantiser.quantize(ranges).quantized_model)
    # "int8" may mean int8 storage with float arithmetic; here only the two ends may be float.
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    details = interpreter.get_tensor_details()
    floats = {entry["index"] for entry in details if entry["dtype"] == np.float32}
    ends_found = (*interpreter.get_input_details(), *interpreter.get_output_details())
    if floats != {entry["index"] for entry in ends_found}:
        raise SystemExit(f"{path.name}: some arithmetic is still float")


def write_npz(path: Path, **arrays: Any) -> None:
    """Write an uncompressed .npz whose bytes depend on the arrays alone (numpy.savez stores the time)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue())


def score(python: str, runtime: str, data: Path, files: list[Path]) -> dict[str, Any]:
    """Score the files with a runtime in its own interpreter."""
    script = Path(__file__).with_name("score_default_model.py")
    command = [python, str(script), "--runtime", runtime, "--data", str(data), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{runtime} failed:\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def check_and_print(reports: list[dict[str, Any]]) -> dict[str, float]:
    """Print what every runtime measured, refuse what is too low, and return each file's lowest accuracy."""
    lowest: dict[str, float] = {}
    for report in reports:
        for name, result in report["files"].items():
            print(f"{name:24} {result['accuracy']:.4f}  {report['runtime']} {report['version']}")
            lowest[name] = min(result["accuracy"], lowest.get(name, 1.0))
    for name, accuracy in lowest.items():
        floor = max(LEAST_ACCURACY, lowest[name.replace("int8", "fp32")] - MOST_LOSS_BY_INT8)
        if accuracy < floor:
            raise SystemExit(f"{name}: accuracy {accuracy:.4f} is below {floor:.4f}; nothing replaced")
    return lowest


def digest(path: Path) -> str:
    """Return the two card lines that name a file's bytes."""
    data = path.read_bytes()
    return f'sha256 = "{hashlib.sha256(data).hexdigest()}"\nsize_bytes = {len(data)}\n'


def card(folder: Path, reports: list[dict[str, Any]], lowest: dict[str, float], tested: int) -> str:
    """Return the card's text: everything in it that is a number or a digest was measured by this run."""
    facts = {name: result["input"] for report in reports for name, result in report["files"].items()}
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
        '\n[preprocessing]\ndescription = "pixel / 16, layout N,1,8,8"\n'
        f'scale = {PIXEL_SCALE}\noffset = 0.0\nlayout = "NCHW"\n'
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
