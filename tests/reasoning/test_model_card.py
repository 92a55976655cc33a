"""The model card of a bundle: its whole text, what it says of what is unknown, hostile strings."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.adapters.cards import load_card, load_cards
from edge.adapters.targets import load_target
from edge.reasoning.model_card import CardFacts, model_card_text
from edge.records.manifest import BundleAccuracy, BundleModel, BundleSamples
from edge.records.model import ModelInfo
from edge.records.platform import platform_of
from edge.records.tensor import TensorSpec

CARD = load_card("digits-cnn")
PI = platform_of(load_target("rpi4"))
INFO = ModelInfo(
    name="digits.onnx",
    format="onnx",
    sha256="0" * 64,
    file_bytes=22895,
    external_files=(),
    producer="",
    ir_version=8,
    opsets=(),
    operator_versions=(),
    inputs=(),
    outputs=(),
    parameters=5450,
    weights_bytes=21800,
    peak_activation_bytes=8192,
    precision="int8",
    looks_like="",
    custom_operators=(),
    operators=(),
    risks=("a risk",),
)
MODEL = BundleModel(
    name="digits.onnx",
    format="onnx",
    precision="int8",
    path="model/digits.onnx",
    sha256="0" * 64,
    size_bytes=22895,
    peak_activation_bytes=8192,
    inputs=(TensorSpec("input", "float32", (1, 1, 8, 8)),),
    outputs=(TensorSpec("logits_0", "float32", (1, 10)),),
    licence="Apache-2.0",
    source="pypi digits 1.0",
    accuracy=BundleAccuracy("top-1", 0.9844, "450 digits", "onnxruntime 1.32.0 on x86-64"),
)
FACTS = CardFacts(
    name="digits-rpi4",
    model=MODEL,
    info=INFO,
    samples=BundleSamples("samples.npz", 16, "close", 0.05, 0.05, "onnxruntime 1.32.0 on x86_64"),
    platform=PI,
    runtime=PI.runtimes[0],
    threads=4,
    edgekit_version="0.1.0",
    card=replace(CARD, notes=("- a note\nin two lines",)),
)


def test_the_whole_card() -> None:
    assert (
        model_card_text(FACTS).decode("utf-8")
        == rf"""---
model_name: "digits.onnx"
license: "apache-2.0"
library_name: "onnx"
pipeline_tag: "image-classification"
tags:
  - "edgekit"
  - "onnx"
  - "int8"
  - "onnxruntime"
  - "rpi4"
  - "image-classification"
---
# Digits CNN

{CARD.description}

## Model

| | |
| --- | --- |
| file | `model/digits.onnx` |
| SHA-256 | `{"0" * 64}` |
| format | onnx |
| precision | int8 |
| size | 22.4 KiB (22895 bytes) |
| parameters | 5.45 k |
| multiply-accumulates of one inference | 0 MAC |
| largest activations | 8 KiB |
| licence | Apache-2.0 |
| source | pypi digits 1.0 |
| external data | none |

## Inputs and outputs

| | name | type | shape |
| --- | --- | --- | --- |
| input | input | float32 | 1x1x8x8 |
| output | logits\_0 | float32 | 1x10 |

Preprocessing: a light digit on a dark ground, 8x8, 0 to 1: the grey of a picture / 255; value × 0.00392157 + 0; layout NCHW.

## Accuracy

| | |
| --- | --- |
| top-1 | 0.9844 |
| data set | 450 digits |
| measured with | onnxruntime 1.32.0 on x86-64 |

## Quantisation

Its arithmetic is 8-bit integers: outputs differ from those of the original model.

## Intended use

| | |
| --- | --- |
| bundle | digits-rpi4 |
| target | rpi4: Raspberry Pi 4 Model B, 4 GB |
| architecture | aarch64 |
| Python and glibc | 3.11 and 2.36 |
| runtime | onnxruntime 1.32.0 |
| threads | 4 |
| packaged by | edgekit 0.1.0 |

## Samples

16 in `samples.npz`. An output agrees when \|got - expected\| is at most 0.05 + 0.05 × \|expected\|.
The expected outputs were computed by onnxruntime 1.32.0 on x86\_64.

## Limits

- \- a note in two lines
- a risk
- The accuracy is that on the data set named above, not on yours.
- Latency is not part of this card: measure it on the target with `probe`.
"""
    )


def test_what_is_not_known_is_said() -> None:
    model = replace(MODEL, accuracy=None, source=None, precision="fp32")
    unknown = replace(FACTS, card=None, model=model, info=replace(INFO, external_files=("w.bin",)))
    text = model_card_text(unknown).decode("utf-8")
    assert text.startswith('---\nmodel_name: "digits.onnx"\nlicense: "unknown"\n')
    assert "pipeline_tag" not in text
    assert "## Accuracy\n\nNot measured.\n" in text
    assert "| licence | unknown: the model came as a file, without a card |" in text
    assert "| source | unknown |" in text
    assert "| external data | w.bin not hashed |" in text
    assert "Preprocessing: unknown." in text
    assert "- How accurate it is was not measured;" in text


def test_a_licence_that_the_hub_does_not_know_is_named() -> None:
    text = model_card_text(replace(FACTS, card=replace(CARD, licence='my "own"'))).decode()
    assert 'license: "other"\nlicense_name: "my \\"own\\""\n' in text
    assert '| licence | my "own" |' in text


@pytest.mark.parametrize("name", [card.name for card in load_cards()])
def test_every_card_that_ships_makes_one(name: str) -> None:
    card = load_card(name)
    text = model_card_text(replace(FACTS, card=card)).decode("utf-8")
    assert 'license: "apache-2.0"\n' in text or 'license: "mit"\n' in text
    assert text.count("\n## ") == 7


def front_matter(text: str) -> dict[str, str]:
    """Read the scalars between the two lines of dashes; each is a JSON string."""
    _, head, _ = text.split("---\n", 2)
    pairs = [line.split(": ", 1) for line in head.splitlines() if ": " in line]
    return {key: json.loads(value) for key, value in pairs}


@given(
    text=st.text()
    | st.sampled_from(
        ["a\n# b", "---\n", "| x |", "<script>", "[a](b)", "1. x", "=\n", '": x', "\u2028", "`"]
    )
)
def test_no_string_of_a_model_changes_the_form(text: str) -> None:
    model = replace(
        MODEL,
        name=text,
        source=text,
        inputs=(TensorSpec(text, "float32", (text, None)),),
        accuracy=BundleAccuracy(text, 0.5, text, text),
    )
    card = replace(CARD, title=text, description=text, licence=text, notes=(text,))
    info = replace(INFO, risks=(text,), external_files=(text,))
    hostile = model_card_text(replace(FACTS, model=model, card=card, info=info)).decode("utf-8")
    plain = model_card_text(replace(FACTS, info=replace(info, risks=("a risk",))))
    assert front_matter(hostile)["library_name"] == "onnx"
    heads = [line for line in hostile.splitlines() if line.startswith("#")]
    assert heads[1:] == [line for line in plain.decode().splitlines() if line.startswith("## ")]
    assert all(line.isprintable() for line in hostile.split("\n"))
    # Outside of escapes there is no markup but ours: no link, no element, no cell.
    rest = hostile.replace("\\\\", "").split("---\n", 2)[2]
    assert not any(sign in rest.replace(f"\\{sign}", "") for sign in "[<>~$&*")
    rows = [line.replace("\\|", "") for line in rest.splitlines() if line.startswith("| ")]
    assert {row.count("|") for row in rows} == {3, 5}
