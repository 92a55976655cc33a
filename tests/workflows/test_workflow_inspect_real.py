"""Real models from the registries against figures that others measured or published.

Their sources: PP-OCR, Magika, MiniLM and SSD-MobileNetV2 as counted by hand for the cards; BlazeFace
from MediaPipe's model card (31 M); Basic Pitch is one network in two formats.
"""

from pathlib import Path

import pytest

from edge.workflows.inspect import inspect_model
from edge.workflows.models import resolve_model

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]

FIGURES = {
    "ppocr-v4-det": (2.3e9, "mobile convolutional network"),
    "ppocr-v4-rec": (702e6, "mobile convolutional network"),
    "ppocr-v2-cls": (16.3e6, "mobile convolutional network"),
    "magika": (367e6, "convolutional network"),
    "ssd-mobilenetv2": (673e6, "detector"),
    "blazeface-128-onnx": (30.8e6, "detector"),
    "blazeface-short-range": (30.8e6, "detector"),
    "silero-vad": (0.68e6, "recurrent network"),
}


@pytest.fixture
def fetched(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize("name", FIGURES)
def test_figures(name: str) -> None:
    macs, looks_like = FIGURES[name]
    choice = resolve_model(name)
    info = inspect_model(choice.path, choice.shapes)
    assert info.macs == pytest.approx(macs, rel=0.01)
    assert info.looks_like == looks_like
    assert info.moved_bytes
    assert info.peak_activation_bytes
    assert choice.file is not None
    assert info.sha256 == choice.file.sha256


@pytest.mark.usefixtures("fetched")
def test_one_network_in_two_formats() -> None:
    onnx, tflite = (resolve_model(f"basic-pitch:basic-pitch.{s}") for s in ("onnx", "tflite"))
    first = inspect_model(onnx.path, onnx.shapes)
    second = inspect_model(tflite.path)
    assert first.macs == second.macs == 524_079_648


@pytest.mark.usefixtures("fetched")
def test_state_in_a_second_subgraph() -> None:
    info = inspect_model(resolve_model("microwakeword-okay-nabu").path)
    once = [o for o in info.operators if o.subgraph]
    assert once
    assert all(o.calls == 0 for o in once)
    assert info.precision == "int8"


@pytest.mark.usefixtures("fetched")
def test_a_custom_operator() -> None:
    info = inspect_model(resolve_model("selfie-segmentation").path)
    assert info.custom_operators == ("Convolution2DTransposeBias",)
