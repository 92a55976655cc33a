"""The data that compare_with_olive.py calibrates with and evaluates on, the same for both.

Each model gets two .npz files, `calibration` and `evaluation`, with `input.NAME` for every input
and, where the truth is known, `labels`. No sample is in both. Nothing of others is committed: the
pictures and digits come out of packages of the registries, checked by their digests.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.adapters.registry import PackagePin, pip_download

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 0
# Pictures with their ImageNet class in the name; pictures without one; handwritten digits.
PACKAGES = {
    "foolbox": PackagePin(
        name="foolbox",
        version="3.3.4",
        sha256="11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
    ),
    "scikit_image": PackagePin(
        name="scikit-image",
        version="0.26.0",
        sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    ),
    "scikit_learn": PackagePin(
        name="scikit-learn",
        version="1.9.1",
        sha256="52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
    ),
}
# The digests above are of these wheels; only pictures and numbers are taken out of them.
WHEELS = (
    "--only-binary=:all:",
    "--python-version=3.11",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_27_x86_64",
)
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
CROPS = 6
SIDE = 224
DIGITS_CALIBRATION, DIGITS_EVALUATION = 128, 512
SEQUENCE = 128
TEXT_LINES = 24
LINE_HEIGHT, LINE_WIDTH = 48, 320
SENTENCES = (Path(__file__).parent / "olive_sentences.txt").read_text("utf-8").splitlines()


def fetch_packages(folder: Path) -> dict[str, Path]:
    """Download the packages that are not in the folder yet; return their files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pin in PACKAGES.items():
        if not list(folder.glob(f"{name}-*.whl")):
            pip_download((pin,), folder, WHEELS)
    return {name: next(folder.glob(f"{name}-*.whl")) for name in PACKAGES}


def pictures(wheel: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, Any]]:
    """Give the pictures of a wheel whose path matches, in order, as BGR."""
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if wanted.search(name):
                encoded = np.frombuffer(archive.read(name), np.uint8)
                yield name, cv2.imdecode(encoded, cv2.IMREAD_COLOR)


def square(picture: Any) -> Any:
    """Take the largest square of the middle, as an RGB picture of 224 by 224 pixels."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = picture[top : top + side, left : left + side]
    resized = cv2.resize(middle, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)


def photographs(wheels: dict[str, Path]) -> tuple[Any, Any, Any]:
    """Return pictures to calibrate with, pictures to evaluate on, and the latter's classes."""
    random = np.random.default_rng(SEED)
    names = "|".join(re.escape(name) for name in PHOTOGRAPHS)
    cropped = []
    for _, picture in pictures(wheels["scikit_image"], re.compile(f"data/(?:{names})$")):
        for _ in range(CROPS):
            side = int(random.integers(min(picture.shape[:2]) // 2, min(picture.shape[:2])))
            top = int(random.integers(picture.shape[0] - side))
            left = int(random.integers(picture.shape[1] - side))
            cropped.append(square(picture[top : top + side, left : left + side]))
    named = list(pictures(wheels["foolbox"], re.compile(r"data/imagenet_\d+_\d+\.jpg$")))
    labels = [int(name.rsplit("_", 1)[1].removesuffix(".jpg")) for name, _ in named]
    return np.stack(cropped), np.stack([square(picture) for _, picture in named]), labels


def efficientnet(images: Any) -> dict[str, Any]:
    """Scale as the model's card says."""
    return {"input": ((images.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)}


def mobilenet(images: Any) -> dict[str, Any]:
    """Scale by ImageNet's mean and deviation, as MobileNetV2 takes pictures."""
    mean, deviation = np.array(((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), np.float32)
    return {"input": ((images.astype(np.float32) / 255 - mean) / deviation).transpose(0, 3, 1, 2)}


def passages(sentences: list[str]) -> list[str]:
    """Join one to six sentences to a text, so that lengths differ as those of real texts do."""
    lengths = itertools.cycle((1, 3, 2, 6, 4))
    turned = [*sentences, *sentences]
    return [" ".join(turned[first : first + next(lengths)]) for first in range(len(sentences))]


TOKENIZE = """
import json, sys
from tokenizers import Tokenizer
told = json.load(sys.stdin)
tokenizer = Tokenizer.from_file(told["tokenizer"])
tokenizer.enable_padding(length=told["length"])
tokenizer.enable_truncation(told["length"])
made = tokenizer.encode_batch(told["texts"])
json.dump([[entry.ids, entry.attention_mask, entry.type_ids] for entry in made], sys.stdout)
"""


def tokens(texts: list[str], tokenizer: Path, python: Path) -> dict[str, Any]:
    """Tokenise in Olive's environment, which has the library `tokenizers`."""
    told = json.dumps({"texts": texts, "tokenizer": str(tokenizer), "length": SEQUENCE})
    command = [str(python), "-c", TOKENIZE]
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=True)
    made = np.array(json.loads(done.stdout), np.int64)
    names = ("input_ids", "attention_mask", "token_type_ids")
    return {name: made[:, position] for position, name in enumerate(names)}


def text_lines(random: Any, count: int) -> dict[str, Any]:
    """Draw lines of text in several fonts, colours and sizes, with the noise of a camera."""
    fonts = (
        cv2.FONT_HERSHEY_SIMPLEX,
        cv2.FONT_HERSHEY_DUPLEX,
        cv2.FONT_HERSHEY_COMPLEX,
        cv2.FONT_HERSHEY_TRIPLEX,
    )
    drawn = []
    for _ in range(count):
        words = SENTENCES[int(random.integers(len(SENTENCES)))].split()
        first = int(random.integers(len(words) - 2))
        text = " ".join(words[first : first + 3])
        font, thickness = fonts[int(random.integers(len(fonts)))], int(random.integers(1, 3))
        (width, _), _ = cv2.getTextSize(text, font, 1.0, thickness)
        scale = min(1.0, (LINE_WIDTH - 12) / width)
        dark, light = random.integers(0, 90, 3), random.integers(160, 255, 3)
        picture = np.empty((LINE_HEIGHT, LINE_WIDTH, 3), np.uint8)
        picture[:] = light
        ink = tuple(int(value) for value in dark)
        cv2.putText(picture, text, (6, 34), font, scale, ink, thickness, cv2.LINE_AA)
        noisy = cv2.GaussianBlur(picture, (3, 3), 0) + random.normal(0, 6, picture.shape)
        drawn.append(noisy.clip(0, 255).astype(np.uint8))
    return {"x": (np.stack(drawn).astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2)}


def digits(wheel: Path) -> tuple[Any, Any]:
    """Return scikit-learn's handwritten digits as the digits CNN takes them, and their labels."""
    with zipfile.ZipFile(wheel) as archive:
        text = gzip.decompress(archive.read("sklearn/datasets/data/digits.csv.gz"))
    rows = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.float32)
    return rows[:, :-1].reshape(-1, 1, 8, 8) / 16, rows[:, -1].astype(np.int64)


def write_pair(
    folder: Path, calibration: dict[str, Any], evaluation: dict[str, Any], labels: Any = None
) -> None:
    """Write a model's two files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, arrays in (("calibration", calibration), ("evaluation", evaluation)):
        named = {f"input.{key}": np.ascontiguousarray(array) for key, array in arrays.items()}
        if name == "evaluation" and labels is not None:
            named["labels"] = np.asarray(labels, np.int64)
        np.savez(folder / f"{name}.npz", **named)


def prepare(folder: Path, tokenizer: Path, olive_python: Path) -> None:
    """Write the data of all models: `folder`/MODEL/calibration.npz and evaluation.npz."""
    wheels = fetch_packages(folder / "packages")
    calibration, evaluation, labels = photographs(wheels)
    write_pair(
        folder / "efficientnet-lite0", efficientnet(calibration), efficientnet(evaluation), labels
    )
    write_pair(folder / "mobilenet-v2", mobilenet(calibration), mobilenet(evaluation))
    half = len(SENTENCES) // 2
    write_pair(
        folder / "minilm-l6-v2",
        tokens(passages(SENTENCES[:half]), tokenizer, olive_python),
        tokens(passages(SENTENCES[half:]), tokenizer, olive_python),
    )
    random = np.random.default_rng(SEED)
    write_pair(
        folder / "ppocr-v4-rec", text_lines(random, TEXT_LINES), text_lines(random, TEXT_LINES)
    )
    images, classes = digits(wheels["scikit_learn"])
    end = DIGITS_CALIBRATION + DIGITS_EVALUATION
    write_pair(
        folder / "digits-cnn",
        {"input": images[:DIGITS_CALIBRATION]},
        {"input": images[DIGITS_CALIBRATION:end]},
        classes[DIGITS_CALIBRATION:end],
    )
