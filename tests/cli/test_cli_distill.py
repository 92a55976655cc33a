"""edgekit distill: what is refused before any work, and how a result is shown."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from edge.cli.distill import command
from edge.cli.distill_text import render
from edge.errors import EdgekitError, HostError, UsageError
from edge.records.distillation import (
    Distillation,
    DistilledModel,
    Epoch,
    Evaluation,
    LearntOutput,
    LostAccuracy,
)
from edge.records.measurement import ModelRef
from edge.records.optimization import Accuracy, Agreement, DataUse

DIGITS = Path(__file__).parents[2] / "models" / "digits-cnn" / "digits-cnn-fp32.onnx"


def refused(*arguments: str) -> EdgekitError:
    done = CliRunner().invoke(command, list(arguments))
    assert isinstance(done.exception, EdgekitError), done.output
    return done.exception


@pytest.fixture
def with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.workflows.distill.missing_modules", tuple)


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.workflows.distill.missing_modules", lambda: ("torch",))
    # Not even the teacher is looked at.
    error = refused("absent.onnx", "--student", "nonsense", "--data", "absent.npz")
    assert isinstance(error, HostError)
    assert error.exit_code == 9
    assert str(error) == "a student is trained with torch, which is not installed"
    assert error.hint == "pip install 'edgekit-deploy[distill]'"


@pytest.mark.usefixtures("with_torch")
def test_what_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    given = (str(DIGITS), "--student", "cnn:8", "--data", "absent.npz", "-o")
    error = refused(*given, str(tmp_path))
    assert (error.exit_code, str(error)) == (9, f"{tmp_path}: it is a folder")
    error = refused(*given, str(tmp_path / "absent" / "student.onnx"))
    assert (error.exit_code, str(error)) == (9, f"{tmp_path / 'absent'}: no such folder")
    error = refused(*given, str(DIGITS))
    assert (error.exit_code, str(error)) == (2, f"{DIGITS}: the student would replace its teacher")


@pytest.mark.usefixtures("with_torch")
def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    out = ("-o", str(tmp_path / "student.onnx"))
    error = refused(str(DIGITS), "--student", "bag:8", "--data", "absent.npz", *out)
    assert isinstance(error, UsageError)
    assert error.what == "a student bag takes tokens, not input float32 1x1x8x8"
    error = refused(str(DIGITS), "--student", "cnn:8", "--data", "absent.npz", *out)
    assert str(error) == "absent.npz: no such file"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'TEACHER'"),
        (("m.onnx", "--data", "d.npz"), "Missing option '--student'"),
        (("m.onnx", "--student", "cnn:8"), "Missing option '--data'"),
        (("m.onnx", "--student", "cnn:8", "--data", "d", "--epochs", "0"), "0 is not in the range x>=1"),
        (("m.onnx", "--student", "cnn:8", "--data", "d", "--temperature", "0"), "0.0 is not in the range 0.1<=x<=100"),
        (("m.onnx", "--student", "cnn:8", "--data", "d", "--loss", "best"), "'best' is not one of"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(command, list(arguments))
    assert done.exit_code == click.UsageError.exit_code
    assert message in done.output


def test_a_result_is_told_in_full() -> None:
    def told(name: str, parameters: int, macs: int, file_bytes: int) -> DistilledModel:
        ref = ModelRef(name=name, format="onnx", sha256="0" * 64, file_bytes=file_bytes)
        return DistilledModel(model=ref, parameters=parameters, macs=macs)

    agreed = Agreement(
        samples=40, cosine=0.7, mean_cosine=0.9, largest_error=1.5, largest_output=6.0, top1=0.95
    )
    result = Distillation(
        teacher=told("digits-cnn-fp32.onnx", 5450, 55936, 22895),
        student=told("student.onnx", 1431, 19744, 8094),
        architecture="cnn:8,16",
        file="student.onnx",
        outputs=(
            LearntOutput(name="logits", form="scores", loss="classes", reason="its name says so"),
        ),
        outputs_left_out=(),
        data=DataUse(what="400 samples of data.npz, without labels", samples=400),
        trained_samples=360,
        held_out_samples=40,
        epochs=(Epoch(trained=2.0, held_out=2.1), Epoch(trained=0.5, held_out=0.625)),
        best_epoch=1,
        stopped="epochs",
        hurried=False,
        temperature=2.0,
        learning_rate=0.005,
        batch_size=64,
        seed=0,
        threads=1,
        exporter="torch 2.13.0+cpu, opset 17",
        edgekit_version="0.1.0",
        export_difference=2.9e-06,
        agreement=agreed,
        evaluation=Evaluation(
            data=DataUse(what="450 samples of test.npz", samples=450, labelled=450),
            agreement=agreed,
            teacher=Accuracy(metric="top-1", right=443, samples=450, low=0.9682, high=0.9924),
            student=Accuracy(metric="top-1", right=440, samples=450, low=0.9596, high=0.9879),
            lost=LostAccuracy(value=0.00667, low=-0.004, high=0.0175),
        ),
        words=None,
        remarks=("A student knows only what is like the data that it was trained on.",),
    )
    console = Console(width=160, highlight=False)
    with console.capture() as captured:
        for renderable in render(result):
            console.print(renderable)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    agreement = "95.0 % the same class; cosine 0.9000, at the lowest 0.7000; largest error 1.5 of 6"
    agreement += " (40 samples)"
    assert lines == [
        "student.onnx: cnn:8,16",
        "             teacher  student        less",
        "parameters    5.45 k   1.43 k  3.81 times",
        "MACs          55.9 k   19.7 k  2.83 times",
        "on disk     22.4 KiB  7.9 KiB  2.83 times",
        "accuracy      98.4 %   97.8 %",
        "data       400 samples of data.npz, without labels; 360 trained on, 40 held out",
        "learnt     logits as scores: its name says so",
        "training   2 epochs, the best was 2: held-out loss 0.625, trained 0.5; all were run",
        "export     torch 2.13.0+cpu, opset 17; largest difference 2.9e-06",
        f"held out   {agreement}",
        "evaluated  450 samples of test.npz",
        f"           {agreement}",
        "teacher    443 of 450 right, 98.44 % (95 %: 96.82 to 99.24)",
        "student    440 of 450 right, 97.78 % (95 %: 95.96 to 98.79)",
        "lost       0.67 points of accuracy (95 %: -0.40 to 1.75)",
        "· A student knows only what is like the data that it was trained on.",
    ]
