"""What ai-edge-quantizer makes of real models: right, on each runtime, or refused with a reason."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends import backend_for_format
from edge.errors import ModelError, UsageError
from edge.passes import load_pass
from edge.records.measurement import SessionConfig

pytestmark = [
    pytest.mark.extras,
    # The library keeps all tensors to calibrate, and its runtime says that this is for debugging.
    pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`"),
]

DIGITS = Path(__file__).parents[2] / "models" / "digits-cnn"
FP32 = DIGITS / "digits-cnn-fp32.tflite"
LAYERS = "2 CONV_2D, 1 DEPTHWISE_CONV_2D, 1 FULLY_CONNECTED"
NAME = "serving_default_input"
OLD_RUNTIME = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
rows = []
for image in np.load(sys.argv[2])["images"]:
    interpreter.set_tensor(given["index"], image[np.newaxis])
    interpreter.invoke()
    rows.append(interpreter.get_tensor(wanted["index"]))
np.save(sys.argv[3], np.concatenate(rows))
"""


def apply(name: str, folder: Path, model: Path = FP32, **request: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    asked = {"options": {}, "calibration": None, "shapes": {}, "threads": 1, **request}
    return load_pass(name).apply({"model": str(model), "folder": str(folder), **asked})


def images() -> np.ndarray[Any, Any]:
    return np.load(DIGITS / "samples.npz")["images"]


def answers(path: Path) -> np.ndarray[Any, Any]:
    backend = backend_for_format("tflite")
    session = backend.open(str(path), SessionConfig(backend="tflite", threads=1))
    assert [spec.name for spec in session.inputs] == [NAME]
    (wanted,) = session.outputs
    assert (wanted.dtype, wanted.shape) == ("float32", (1, 10))
    return np.concatenate([session.run({NAME: image[np.newaxis]})[0] for image in images()])


def old_answers(path: Path, folder: Path) -> np.ndarray[Any, Any]:
    made = folder / "answers.npy"
    command = [sys.executable, "-c", OLD_RUNTIME, str(path), str(DIGITS / "samples.npz"), str(made)]
    subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
    return np.load(made)


def cosine(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(np.min(np.sum(one * other, axis=1) / lengths))


def output_names(path: Path) -> list[str]:
    backend = backend_for_format("tflite")
    session = backend.open(str(path), SessionConfig(backend="tflite", threads=1))
    return [spec.name for spec in session.outputs]


def changed(folder: Path, change: Callable[[Any], None]) -> Path:
    from edge.passes._tflite_model import packed, parse

    model = parse(FP32.read_bytes())
    change(model)
    path = folder / "changed.tflite"
    path.write_bytes(packed(model))
    return path


def first_convolution(model: Any) -> tuple[Any, Any, Any]:
    from edge.passes._tflite_quantised import weighted_operators

    graph, _, operator, _, _ = next(weighted_operators(model))
    return operator, graph.tensors[operator.inputs[1]], graph.tensors[operator.inputs[2]]


def put(model: Any, tensor: Any, numbers: np.ndarray[Any, Any]) -> None:
    model.buffers[tensor.buffer].data = np.frombuffer(numbers.astype("<f4").tobytes(), np.uint8)


@pytest.mark.parametrize(
    ("name", "notes", "least"),
    [
        (
            "tflite_int8",
            ["activations' ranges from 16 samples", f"{LAYERS}: int8 input and weights"],
            0.999,
        ),
        (
            "tflite_dynamic",
            [f"{LAYERS}: int8 weights, a float input that the runtime quantises as it goes"],
            0.999,
        ),
        ("tflite_fp16", ["4 weights in fp16; the arithmetic is fp32"], 0.99999),
    ],
)
def test_a_variant_is_smaller_and_right_on_both_runtimes(
    tmp_path: Path, name: str, notes: list[str], least: float
) -> None:
    before = FP32.read_bytes()
    answer = apply(name, tmp_path / "made", calibration=str(DIGITS / "samples.npz"))
    assert answer == {"file": "model.tflite", "notes": notes}
    made = tmp_path / "made" / "model.tflite"
    assert [path.name for path in made.parent.iterdir()] == ["model.tflite"]
    assert FP32.read_bytes() == before
    assert made.stat().st_size < 0.65 * len(before)
    assert output_names(made) == output_names(FP32)
    assert cosine(answers(made), answers(FP32)) > least
    assert cosine(old_answers(made, tmp_path), answers(FP32)) > least


def test_a_scale_a_channel_in_dense_layers_is_wrong_on_the_old_runtime_only(tmp_path: Path) -> None:
    apply("tflite_dynamic", tmp_path, options={"dense": "channel"})
    made = tmp_path / "model.tflite"
    assert cosine(answers(made), answers(FP32)) > 0.999
    assert cosine(old_answers(made, tmp_path), answers(FP32)) < 0.5


def test_weights_alone_are_widened_before_use(tmp_path: Path) -> None:
    answer = apply("tflite_dynamic", tmp_path, options={"compute": "float"})
    assert answer["notes"] == ["int8 weights, float arithmetic"]
    assert cosine(answers(tmp_path / "model.tflite"), answers(FP32)) > 0.999


def test_an_operator_may_stay_in_float(tmp_path: Path) -> None:
    samples = str(DIGITS / "samples.npz")
    (wanted,) = output_names(FP32)
    answer = apply("tflite_int8", tmp_path, calibration=samples, options={"float": f".*{wanted}.*"})
    assert answer["notes"][1:] == [
        "2 CONV_2D, 1 DEPTHWISE_CONV_2D: int8 input and weights",
        "1 FULLY_CONNECTED: left in float",
    ]
    assert cosine(answers(tmp_path / "model.tflite"), answers(FP32)) > 0.999


def test_ends_may_be_integers(tmp_path: Path) -> None:
    samples = str(DIGITS / "samples.npz")
    apply("tflite_int8", tmp_path, calibration=samples, options={"ends": "int8"})
    config = SessionConfig(backend="tflite", threads=1)
    session = backend_for_format("tflite").open(str(tmp_path / "model.tflite"), config)
    assert [spec.dtype for spec in (*session.inputs, *session.outputs)] == ["int8", "int8"]


def test_fp16_weights_are_widened_first(tmp_path: Path) -> None:
    apply("tflite_fp16", tmp_path / "half")
    half = tmp_path / "half" / "model.tflite"
    answer = apply("tflite_int8", tmp_path, half, calibration=str(DIGITS / "samples.npz"))
    assert answer["notes"] == [
        "activations' ranges from 16 samples",
        f"{LAYERS}: int8 input and weights",
        "4 weights were fp16 and were widened to fp32 first",
    ]
    assert cosine(answers(tmp_path / "model.tflite"), answers(half)) > 0.999
    with pytest.raises(ModelError, match=r"^4 weights of the model are fp16 already$"):
        apply("tflite_fp16", tmp_path, half)


def test_a_dead_channel_keeps_its_bias(tmp_path: Path) -> None:
    def kill(model: Any) -> None:
        from edge.passes._tflite_model import content

        _, weight, bias = first_convolution(model)
        weights = content(model, weight, "<f4").reshape(weight.shape).copy()
        biases = content(model, bias, "<f4").copy()
        weights[..., 0] *= 1e-9 / np.abs(weights[..., 0]).max()
        biases[0] = 2.0
        put(model, weight, weights)
        put(model, bias, biases)

    dead = changed(tmp_path, kill)
    answer = apply("tflite_int8", tmp_path / "made", dead, calibration=str(DIGITS / "samples.npz"))
    assert (
        answer["notes"][-1]
        == "channels that got coarser weights, so that their biases fit int32: 1"
    )
    made = tmp_path / "made" / "model.tflite"
    assert cosine(answers(made), answers(dead)) > 0.999
    assert cosine(old_answers(made, tmp_path), answers(dead)) > 0.999


def test_a_file_that_only_xnnpack_would_run_is_refused(tmp_path: Path) -> None:
    def fade(model: Any) -> None:
        from edge.passes._tflite_model import content

        operator, weight, bias = first_convolution(model)
        for tensor in (weight, bias):
            put(model, tensor, content(model, tensor, "<f4") * np.float32(1e-10))
        operator.builtinOptions.fusedActivationFunction = 3  # RELU6

    faded = changed(tmp_path, fade)
    with pytest.raises(ModelError) as caught:
        apply("tflite_int8", tmp_path / "made", faded, calibration=str(DIGITS / "samples.npz"))
    assert caught.value.what.startswith("in int8 the runtime's own kernels refuse it: ")
    assert "no_integer_overflow_from_quantization" in caught.value.what
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("tflite_int8", {}, "activations in int8 need calibration data, and there is none"),
        ("tflite_int8", {"ends": "int4"}, "no ends 'int4'"),
        ("tflite_int8", {"ranges": "entropy"}, "no ranges 'entropy'"),
        ("tflite_dynamic", {"compute": "half"}, "no compute 'half'"),
        ("tflite_dynamic", {"dense": "row"}, "no dense 'row'"),
    ],
)
def test_what_is_missing_or_meaningless_is_told(
    tmp_path: Path, name: str, options: dict[str, str], told: str
) -> None:
    with pytest.raises(ModelError) as caught:
        apply(name, tmp_path, options=options)
    assert str(caught.value) == told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["tflite_int8", "tflite_dynamic", "tflite_fp16"])
def test_a_quantised_or_damaged_model_is_refused(tmp_path: Path, name: str) -> None:
    samples = str(DIGITS / "samples.npz")
    with pytest.raises(ModelError, match=r"^\d+ tensors of the model are quantised already$"):
        apply(name, tmp_path / "made", DIGITS / "digits-cnn-int8.tflite", calibration=samples)
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(FP32.read_bytes()[:64])
    with pytest.raises(ModelError) as caught:
        apply(name, tmp_path / "made", damaged, calibration=samples)
    assert str(caught.value) == f"{damaged}: the file cannot be read as TFLite"


def test_data_that_does_not_fit_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, **{f"input.{NAME}": np.zeros((2, 3), np.float32)})
    with pytest.raises(UsageError) as caught:
        apply("tflite_int8", tmp_path, calibration=str(wrong))
    assert caught.value.what == (
        f"calibration data: the array for {NAME} float32 1x1x8x8 has the shape 2x3"
    )
