#!/usr/bin/env python3
"""Write an int8 MobileNetV2 with random weights as ONNX and TFLite, to weigh and time bundles.

The network is that of the paper (arXiv 1801.04381, table 2): width 1.0, 224 by 224 pixels, 1000
classes, 3.5 million parameters. Seeded weights weigh as much as trained ones and take as long;
nothing is downloaded, and nothing is learned. The environment is that of make_default_model.py:

    python3.11 -m venv .venv-make
    .venv-make/bin/pip install --no-deps --require-hashes -r requirements/make-default-model.txt
    .venv-make/bin/pip install torch==2.13.0
    .venv-make/bin/python scripts/make_mobilenet_v2.py FOLDER

With `--fp32 FILE` it writes instead the fp32 network as ONNX, to optimise it; torch is enough for
that. Its batch norms then hold the statistics of what flows through them, as after training.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from default_model_files import OPSET, hushed, write_onnx_int8, write_tflite_int8

NAME = "mobilenet-v2-int8"
SEED = 0
CLASSES = 1000
SHAPE = (1, 3, 224, 224)
CALIBRATION_COUNT = 8
PARAMETERS = 3_504_872
FP32_OPSET = 17
STATISTICS_COUNT = 32
# Expansion, channels, blocks, stride of the first block.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def network() -> Any:
    """Return the network, with batch norms as they are after training: folded when exported."""
    import torch
    from torch import nn

    def layer(given: int, wanted: int, size: int, stride: int = 1, groups: int = 1) -> list[Any]:
        convolution = nn.Conv2d(given, wanted, size, stride, size // 2, groups=groups, bias=False)
        return [convolution, nn.BatchNorm2d(wanted), nn.ReLU6()]

    class Block(nn.Module):
        """Expand, filter each channel, project; around it the input, where the shapes allow it."""

        def __init__(self, given: int, wanted: int, expansion: int, stride: int) -> None:
            super().__init__()
            inner = given * expansion
            steps = layer(given, inner, 1) if expansion > 1 else []
            steps += layer(inner, inner, 3, stride, groups=inner)
            self.steps = nn.Sequential(*steps, *layer(inner, wanted, 1)[:2])
            self.residual = stride == 1 and given == wanted

        def forward(self, given: Any) -> Any:
            result = self.steps(given)
            return given + result if self.residual else result

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    channels = 32
    steps = layer(3, channels, 3, 2)
    for expansion, wanted, blocks, stride in STAGES:
        for number in range(blocks):
            steps.append(Block(channels, wanted, expansion, stride if number == 0 else 1))
            channels = wanted
    steps += [*layer(channels, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    made = nn.Sequential(*steps, nn.Linear(1280, CLASSES))
    count = sum(parameter.numel() for parameter in made.parameters())
    if count != PARAMETERS:
        raise SystemExit(f"{count:,} parameters, and the paper's network has {PARAMETERS:,}")
    # The exporter writes equal biases once, and then the quantiser does not take them for biases.
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            for entry in (module.bias, module.running_mean):
                nn.init.normal_(entry, 0.0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made.eval()


def write_fp32(made: Any, onnx_path: Path, tflite_path: Path) -> None:
    """Write what is quantised next; both files take the same array."""
    import litert_torch
    import torch

    example = torch.zeros(SHAPE)
    torch.onnx.export(
        made,
        (example,),
        str(onnx_path),
        dynamo=False,
        opset_version=OPSET,
        input_names=["input"],
        output_names=["logits"],
    )
    litert_torch.convert(made, sample_kwargs={"input": example}).export(str(tflite_path))


def settle(made: Any) -> None:
    """Take the batch norms' statistics from random pictures that are smooth, as photographs are.

    Without that the signal fades from layer to layer, and the last ones see only biases.
    """
    import torch
    from torch import nn

    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in")
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    coarse = torch.randn((STATISTICS_COUNT, 3, 14, 14))
    pictures = nn.functional.interpolate(coarse, SHAPE[2:], mode="bicubic")
    made.train()
    with torch.no_grad():
        made(pictures)
    made.eval()


def write_fp32_onnx(path: Path) -> None:
    """Write the fp32 network for one picture; the exporter folds the batch norms."""
    import torch

    made = network()
    settle(made)
    torch.onnx.export(
        made,
        (torch.zeros(SHAPE),),
        str(path),
        dynamo=False,
        opset_version=FP32_OPSET,
        input_names=["input"],
        output_names=["logits"],
    )


def main() -> None:
    """Write both files, each whole, or the fp32 one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("folder", type=Path, nargs="?")
    wanted.add_argument("--fp32", type=Path, metavar="FILE", help="write the fp32 ONNX file only")
    given = parser.parse_args()
    if given.fp32 is not None:
        given.fp32.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=given.fp32.parent, prefix=".making-") as scratch:
            made = Path(scratch) / given.fp32.name
            with hushed():
                write_fp32_onnx(made)
            made.replace(given.fp32)
        print(f"{given.fp32}: {given.fp32.stat().st_size:,} bytes")
        return
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    calibration = np.random.default_rng(SEED).random((CALIBRATION_COUNT, *SHAPE[1:]), np.float32)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".making-") as scratch:
        place = Path(scratch)
        fp32 = [place / f"fp32{suffix}" for suffix in (".onnx", ".tflite")]
        int8 = [place / (NAME + path.suffix) for path in fp32]
        with hushed():
            write_fp32(network(), *fp32)
            write_onnx_int8(fp32[0], int8[0], calibration)
            write_tflite_int8(fp32[1], int8[1], calibration)
        for path in int8:
            path.replace(folder / path.name)
            print(f"{folder / path.name}: {(folder / path.name).stat().st_size:,} bytes")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
