"""Converters between ONNX and TFLite: right, or refused; nothing left behind."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError, UsageError
from edge.passes import _converted, load_pass, missing_modules

DIGITS = Path(__file__).parents[2] / "models" / "digits-cnn"
ONNX, TFLITE = DIGITS / "digits-cnn-fp32.onnx", DIGITS / "digits-cnn-fp32.tflite"
SAMPLES = DIGITS / "samples.npz"
TFLITE_INPUT = "serving_default_input"


def request(model: Path, folder: Path, **more: Any) -> dict[str, Any]:
    asked = {"options": {}, "calibration": None, "shapes": {}, "threads": 1, **more}
    return {"model": str(model), "folder": str(folder), **asked}


def needs(name: str) -> None:
    missing = missing_modules(load_pass(name))
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}, whose pins exclude the other extras")


def images() -> dict[str, np.ndarray[Any, Any]]:
    return {"input": np.load(SAMPLES)["images"][:, np.newaxis]}


def test_the_two_files_of_the_default_model_agree() -> None:
    original = _converted.opened(ONNX, "onnx")
    names, told = _converted.require_parity(original, TFLITE, "tflite", images())
    assert names == {"input": TFLITE_INPUT}
    assert told.startswith("largest difference from the original over 16 samples: ")
    assert told.endswith(" (outputs to 5.5)")


def test_answers_that_are_off_are_refused() -> None:
    original = _converted.opened(ONNX, "onnx")
    with pytest.raises(ModelError, match=r"^the converted model's answers are off by \d") as caught:
        _converted.require_parity(original, DIGITS / "digits-cnn-int8.tflite", "tflite", images())
    assert caught.value.what.endswith(" where the largest is 5: the conversion went wrong")


def test_a_file_that_does_not_run_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(b"no model of any kind")
    original = _converted.opened(ONNX, "onnx")
    with pytest.raises(ModelError, match=r"^the converted model does not run: cannot load"):
        _converted.require_parity(original, damaged, "tflite", images())


def test_samples_are_the_data_or_seeded() -> None:
    session = _converted.opened(ONNX, "onnx")
    read = _converted.samples_of(session, request(ONNX, DIGITS, calibration=str(SAMPLES)))
    assert np.array_equal(read["input"], images()["input"][:4])
    seeded = _converted.samples_of(session, request(ONNX, DIGITS))
    assert seeded["input"].shape == (4, 1, 1, 8, 8)


def test_the_current_folder_is_restored(tmp_path: Path) -> None:
    before = Path.cwd()
    with _converted.working_in(tmp_path):
        assert Path.cwd() == tmp_path
    assert Path.cwd() == before


@pytest.mark.extras
def test_onnx_becomes_tflite(tmp_path: Path) -> None:
    needs("onnx_to_tflite")
    before, here = ONNX.read_bytes(), sorted(os.listdir())  # noqa: PTH208 - names will do
    answer = load_pass("onnx_to_tflite").apply(request(ONNX, tmp_path, calibration=str(SAMPLES)))
    assert (answer["file"], answer["inputs"]) == ("model.tflite", {"input": "input"})
    assert answer["notes"][1].startswith("largest difference from the original over 4 samples: ")
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]
    assert ONNX.read_bytes() == before
    assert sorted(os.listdir()) == here  # noqa: PTH208
    session = _converted.opened(tmp_path / "model.tflite", "tflite")
    assert [str(spec) for spec in session.inputs] == ["input float32 1x1x8x8"]


@pytest.mark.extras
def test_names_that_the_converter_would_take_apart_are_mapped(tmp_path: Path) -> None:
    needs("onnx_to_tflite")
    import onnx

    model = onnx.load(ONNX)
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = {"input": "a/b:0", "logits": "c:1"}.get(name, name)
    model.graph.input[0].name, model.graph.output[0].name = "a/b:0", "c:1"
    path = tmp_path / "named.onnx"
    onnx.save(model, path)
    folder = tmp_path / "made"
    folder.mkdir()
    answer = load_pass("onnx_to_tflite").apply(request(path, folder))
    assert answer["inputs"] == {"a/b:0": "a_b_0"}


@pytest.mark.extras
def test_tflite_becomes_onnx(tmp_path: Path) -> None:
    needs("tflite_to_onnx")
    answer = load_pass("tflite_to_onnx").apply(request(TFLITE, tmp_path, calibration=str(SAMPLES)))
    assert answer["file"] == "model.onnx"
    assert answer["inputs"] == {TFLITE_INPUT: TFLITE_INPUT}
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.extras
def test_an_unknown_opset_is_told(tmp_path: Path) -> None:
    asked = request(TFLITE, tmp_path, options={"opset": "new"})
    with pytest.raises(ModelError, match=r"^no opset 'new'$"):
        load_pass("tflite_to_onnx").apply(asked)


@pytest.mark.parametrize("name", ["onnx_to_tflite", "tflite_to_onnx"])
def test_data_that_does_not_fit_is_told(tmp_path: Path, name: str) -> None:
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, images=np.zeros((2, 3), np.float32))
    model = ONNX if name == "onnx_to_tflite" else TFLITE
    with pytest.raises(UsageError, match="no array for the input"):
        load_pass(name).apply(request(model, tmp_path, calibration=str(wrong)))
