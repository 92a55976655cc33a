"""Students that are really trained: they learn, take what their teacher takes, and come out right."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from made_onnx import INT64, model, node, value

from edge.backends import backend_for_format
from edge.errors import ModelError, UsageError
from edge.records.codec import from_dict, to_dict
from edge.records.distillation import Distillation
from edge.records.measurement import SessionConfig
from edge.workflows.distill import distill, record_path
from edge.workflows.distill_request import DistillRequest

pytestmark = pytest.mark.extras

DIGITS = Path(__file__).parents[2] / "models" / "digits-cnn"
WORDS, CLASSES = 40, 3
TOKENS = ("input_ids", "attention_mask", "token_type_ids")
Arrays = Mapping[str, "np.ndarray[Any, Any]"]


def train(folder: Path, teacher: Path, student: str, data: Arrays, **more: Any) -> Distillation:
    np.savez(folder / "data.npz", **{f"input.{name}": array for name, array in data.items()})
    asked = {"shapes": {}, "threads": 1, "output": folder / "student.onnx", **more}
    request = DistillRequest(
        teacher=str(teacher), student=student, data=folder / "data.npz", **asked
    )
    return distill(request, lambda _part: None)


def run(path: Path, **feeds: "np.ndarray[Any, Any]") -> "list[np.ndarray[Any, Any]]":
    backend = backend_for_format("onnx" if path.suffix == ".onnx" else "tflite")
    session = backend.open(str(path), SessionConfig(backend=backend.name, threads=1))
    return session.run(feeds)


def specs(path: Path) -> list[str]:
    backend = backend_for_format("onnx")
    session = backend.open(str(path), SessionConfig(backend=backend.name, threads=1))
    return [str(spec) for spec in (*session.inputs, *session.outputs)]


def images(count: int) -> "np.ndarray[Any, Any]":
    """The default model's samples, each many times with noise of its own."""
    given = np.load(DIGITS / "samples.npz")["images"]
    picked = given[np.arange(count) % len(given)][:, None]
    noise = np.random.default_rng(0).normal(size=picked.shape) * 0.05
    return np.clip(picked + noise, 0, 1).astype(np.float32)


def linear(folder: Path, last: str | None = None, batch: int | str = "n") -> Path:
    """A teacher for vectors of 8: a product, and a last operator if one is named."""
    weights = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    nodes = [node("MatMul", ["x", "w"], "y")]
    if last is not None:
        nodes.append(node(last, ["y"], "z", **({"axis": 1, "p": 2} if last == "LpNormalization" else {})))  # fmt: skip
    made = model(
        nodes,
        [value("x", (batch, 8))],
        [onnx.numpy_helper.from_array(weights, "w")],
        [value(nodes[-1].output[0], (batch, 4))],
    )
    path = folder / "teacher.onnx"
    onnx.save(made, str(path))
    return path


def vectors(count: int = 300) -> "np.ndarray[Any, Any]":
    rows: np.ndarray[Any, Any] = np.random.default_rng(2).normal(size=(count, 1, 8))
    return rows.astype(np.float32)


def reader(folder: Path) -> Path:
    """A teacher for texts: the masked mean of its words' scores."""
    table = np.random.default_rng(3).normal(size=(WORDS, CLASSES)).astype(np.float32) * 4
    table[0] = 0
    free = ("batch", "sequence")
    made = model(
        [
            node("Gather", ["table", "input_ids"], "words"),
            node("Cast", ["attention_mask"], "kept", to=onnx.TensorProto.FLOAT),
            node("Unsqueeze", ["kept", "last"], "mask"),
            node("Mul", ["words", "mask"], "counted"),
            node("ReduceSum", ["counted", "one"], "sum", keepdims=0),
            node("ReduceSum", ["mask", "one"], "length", keepdims=0),
            node("Div", ["sum", "length"], "mean"),
            # It takes a third input, as BERT does, and makes nothing of it.
            node("Cast", ["token_type_ids"], "types", to=onnx.TensorProto.FLOAT),
            node("ReduceSum", ["types", "one"], "type", keepdims=1),
            node("Mul", ["type", "nothing"], "zero"),
            node("Add", ["mean", "zero"], "logits"),
        ],
        [value(name, free, INT64) for name in TOKENS],
        [
            onnx.numpy_helper.from_array(table, "table"),
            onnx.numpy_helper.from_array(np.array([-1]), "last"),
            onnx.numpy_helper.from_array(np.array([1]), "one"),
            onnx.numpy_helper.from_array(np.zeros(1, np.float32), "nothing"),
        ],
        [value("logits", ("batch", CLASSES))],
    )
    path = folder / "reader.onnx"
    onnx.save(made, str(path))
    return path


def texts(count: int, length: int = 12) -> dict[str, "np.ndarray[Any, Any]"]:
    random = np.random.default_rng(4)
    # Words from 30 on occur in no text.
    ids = random.integers(1, 30, (count, 1, length))
    mask = (np.arange(length) < random.integers(2, length - 2, (count, 1, 1))).astype(np.int64)
    return dict(zip(TOKENS, (ids * mask, mask, np.zeros_like(ids)), strict=True))


def test_a_student_of_digits(tmp_path: Path) -> None:
    teacher = DIGITS / "digits-cnn-fp32.onnx"
    given = np.load(DIGITS / "samples.npz")
    labelled = tmp_path / "labelled.npz"
    np.savez(labelled, **{"input.input": given["images"][:, None], "labels": given["labels"]})
    result = train(
        tmp_path, teacher, "cnn:8,16", {"input": images(400)}, evaluate=labelled, epochs=40
    )
    assert result.agreement.top1 is not None
    assert result.agreement.top1 >= 0.9
    assert result.agreement.samples == result.held_out_samples == 40
    assert result.trained_samples == 360
    assert result.export_difference < 1e-4
    assert [output.loss for output in result.outputs] == ["classes"]
    assert result.epochs[result.best_epoch].held_out < result.epochs[0].held_out / 2
    assert result.student.parameters < result.teacher.parameters
    assert result.student.macs is not None
    assert result.student.macs < (result.teacher.macs or 0)
    judged = result.evaluation
    assert judged is not None
    assert judged.data.labelled == 16
    assert judged.teacher is not None
    assert judged.student is not None
    assert judged.lost is not None
    assert judged.lost.value == pytest.approx(judged.teacher.value - judged.student.value)
    student = tmp_path / "student.onnx"
    assert specs(student) == specs(teacher)
    assert student.stat().st_size == result.student.model.file_bytes
    written = json.loads(record_path(student).read_text())
    assert from_dict(Distillation, written) == result
    assert written == json.loads(json.dumps(to_dict(result)))


def test_the_same_seed_gives_the_same_student(tmp_path: Path) -> None:
    made = []
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        folder = tmp_path / name
        folder.mkdir()
        result = train(
            folder, linear(folder), "mlp:16", {"x": vectors()}, epochs=3, seed=seed
        )  # fmt: skip
        made.append((result.student.model.sha256, result.epochs))
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_a_tflite_teacher_gives_an_onnx_student(tmp_path: Path) -> None:
    teacher = DIGITS / "digits-cnn-fp32.tflite"
    result = train(tmp_path, teacher, "mobile:4", {"serving_default_input": images(60)}, epochs=2)
    assert result.teacher.model.format == "tflite"
    assert result.student.model.format == "onnx"
    (given,) = run(tmp_path / "student.onnx", serving_default_input=images(1)[0])
    (told,) = run(teacher, serving_default_input=images(1)[0])
    assert given.shape == told.shape


# Chance is about 0.4; attention has to find out what the bag is built for.
@pytest.mark.parametrize(("student", "least"), [("bag:8", 0.85), ("transformer:1,16,2", 0.65)])
def test_a_student_of_texts(student: str, least: float, tmp_path: Path) -> None:
    teacher = reader(tmp_path)
    shapes = dict.fromkeys(TOKENS, (1, 12))
    result = train(tmp_path, teacher, student, texts(600), shapes=shapes, epochs=25)
    assert result.agreement.top1 is not None
    assert result.agreement.top1 >= least
    assert result.words == 29
    path = tmp_path / "student.onnx"
    assert specs(path) == specs(teacher)
    ids, mask, types = (array[0] for array in texts(1).values())
    (short,) = run(path, input_ids=ids, attention_mask=mask, token_type_ids=types)
    padded = [np.pad(array, ((0, 0), (0, 9))) for array in (ids, mask, types)]
    (long,) = run(path, **dict(zip(TOKENS, padded, strict=True)))
    assert np.allclose(short, long, atol=1e-5)
    # Numbers that no text had, and some that the teacher itself would not take, are one word.
    answers = [
        run(path, input_ids=np.where(mask > 0, n, 0), attention_mask=mask, token_type_ids=types)[0]
        for n in (35, 10**6, -5)
    ]
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])


@pytest.mark.parametrize(
    ("last", "form"),
    [
        ("Softmax", "probabilities"),
        ("LogSoftmax", "log-probabilities"),
        ("LpNormalization", "embedding"),
        ("Tanh", "values"),
    ],
)
def test_outputs_keep_their_form(last: str, form: str, tmp_path: Path) -> None:
    result = train(tmp_path, linear(tmp_path, last), "mlp:32", {"x": vectors()}, epochs=60)
    assert [output.form for output in result.outputs] == [form]
    assert result.agreement.mean_cosine > 0.9
    (given,) = run(tmp_path / "student.onnx", x=vectors(5)[:, 0])
    assert given.shape == (5, 4)
    sums = {
        "probabilities": given.sum(-1),
        "log-probabilities": np.exp(given).sum(-1),
        "embedding": np.linalg.norm(given, axis=-1),
    }
    if form in sums:
        assert np.allclose(sums[form], 1, atol=1e-5)


def test_a_loss_may_be_asked_for(tmp_path: Path) -> None:
    result = train(
        tmp_path, linear(tmp_path), "mlp:16", {"x": vectors()}, epochs=2, loss="embedding"
    )
    (output,) = result.outputs
    assert (output.form, output.loss, output.reason) == ("embedding", "embedding", "as --loss says")


OWN = """
import torch

def build(inputs, outputs):
    print(inputs, outputs)
    return torch.nn.Linear(inputs[0].shape[1], outputs[0].shape[1])

def wrong(inputs, outputs):
    return torch.nn.Linear(8, 5)

def nothing(inputs, outputs):
    return None

def broken(inputs, outputs):
    raise KeyError("oh")
"""


def test_a_students_own_architecture(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    student = f"{tmp_path / 'own.py'}:build"
    result = train(
        tmp_path, linear(tmp_path), student, {"x": vectors()}, trusted=True, epochs=40,
        learning_rate=0.02,
    )  # fmt: skip
    assert result.student.parameters >= 8 * 4 + 4
    assert result.agreement.mean_cosine > 0.99


@pytest.mark.parametrize(
    ("function", "what"),
    [
        ("wrong", "the student gives 2x5 for a batch of 2, and y float32 nx4 is wanted"),
        ("nothing", "it returns no torch.nn.Module"),
        ("broken", "it fails: KeyError: 'oh'"),
        ("absent", "there is no such function"),
    ],
)
def test_an_own_architecture_that_does_not_do(function: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    student = f"{tmp_path / 'own.py'}:{function}"
    with pytest.raises(UsageError) as caught:
        train(tmp_path, linear(tmp_path), student, {"x": vectors()}, trusted=True)
    assert caught.value.what == what
    assert not (tmp_path / "student.onnx").exists()


def test_time_that_is_up_ends_the_training(tmp_path: Path) -> None:
    result = train(tmp_path, linear(tmp_path), "mlp:16", {"x": vectors()}, max_s=1e-6, epochs=50)
    assert (len(result.epochs), result.stopped, result.hurried) == (1, "time", True)
    hurried = "The clock shortened the training: another run may give another student."
    assert hurried in result.remarks


def test_a_curve_that_falls_no_more_ends_it(tmp_path: Path) -> None:
    result = train(
        tmp_path, linear(tmp_path), "mlp:16", {"x": vectors()}, epochs=60, patience=1,
        learning_rate=0.5,
    )  # fmt: skip
    assert result.stopped == "no-better"
    assert len(result.epochs) == result.best_epoch + 2
    losses = [epoch.held_out for epoch in result.epochs]
    assert min(losses) == losses[result.best_epoch]


def test_what_cannot_be_learnt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        train(tmp_path, linear(tmp_path, "Round", batch=4), "mlp:4", {"x": np.zeros((20, 4, 8), "f")})  # fmt: skip
    assert caught.value.what == (
        "the input x float32 4x8 has no batch of 1, or a free one, as its first axis"
    )
    picked = model(
        [node("ArgMax", ["x"], "y", axis=1)],
        [value("x", ("n", 8))],
        outputs=[value("y", ("n", 1), INT64)],
    )
    onnx.save(picked, str(tmp_path / "picked.onnx"))
    with pytest.raises(ModelError) as caught:
        train(tmp_path, tmp_path / "picked.onnx", "mlp:4", {"x": vectors(20)})
    assert caught.value.what == ("none of its outputs holds floats, and only floats can be learnt")
    with pytest.raises(UsageError) as few:
        train(tmp_path, linear(tmp_path), "mlp:4", {"x": vectors(9)})
    assert few.value.what == "9 samples are too few to train a student on"
    assert not (tmp_path / "student.onnx").exists()


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    out = tmp_path / "out"
    out.mkdir()
    np.savez(tmp_path / "data.npz", x=vectors())
    command = [sys.executable, "-m", "edge", "distill", str(linear(tmp_path)), "--epochs", "1000000"]  # fmt: skip
    command += ["--student", "mlp:16", "--data", str(tmp_path / "data.npz"), "--threads", "1"]
    command += ["--patience", "1000000", "-o", str(out / "student.onnx")]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(scratch.glob("edgekit-*/output-0.rows")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in complaints
    assert list(out.iterdir()) == []
    assert list(scratch.glob("edgekit-*")) == []
