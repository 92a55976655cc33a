"""edgekit optimize as typed: the table, the record, and what is refused."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from edge.cli import root
from edge.errors import EdgekitError

DIGITS = Path(__file__).parent.parent.parent / "models" / "digits-cnn"
MODEL = str(DIGITS / "digits-cnn-fp32.onnx")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["optimize", *arguments])


def test_without_data_only_outputs_are_compared_and_that_is_said(tmp_path: Path) -> None:
    done = run(MODEL, "--target", "host", "--threads", "1", "-o", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("digits-cnn-fp32.onnx for host: onnxruntime ")
    assert lines[0].endswith(", 1 thread")
    left_out = "it needs inputs to find the ranges of activations: give --calibration"
    assert f"not made: int8 static: {left_out}" in lines
    assert (
        "note: without --evaluate it is not known how accurate any variant is; only the outputs "
        "were compared, on 8 random inputs"
    ) in lines
    assert lines[-1].startswith("chosen: ")
    assert done.stderr.startswith(f"written: {tmp_path / 'out'}/digits-cnn-fp32-")


def test_an_int8_model_is_not_quantised_again(tmp_path: Path) -> None:
    model = str(DIGITS / "digits-cnn-int8.onnx")
    options = ["--threads", "1", "-o", str(tmp_path / "out"), "--json"]
    done = run(model, "--target", "host", *options)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [v["name"] for v in found["variants"]] == ["original", "simplified", "runtime's form"]
    assert {out["what"]: out["reason"] for out in found["left_out"]}["int8"] == (
        "the model is int8 already"
    )
    assert found["variants"][0]["arithmetic"]["integer"] == 1.0
    chosen = found["variants"][found["chosen"]]
    assert (tmp_path / "out" / chosen["file"]).is_file()


def test_what_is_no_share_is_refused() -> None:
    done = run(MODEL, "--target", "host", "--max-accuracy-drop", "0.01")
    assert done.exit_code == 2
    assert "'0.01' is no share such as 5%" in done.stderr


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    done = run(MODEL, "--target", "nowhere", "-o", str(tmp_path / "out"))
    assert isinstance(done.exception, EdgekitError)
    assert "nowhere" in str(done.exception)
    assert not (tmp_path / "out").exists()
