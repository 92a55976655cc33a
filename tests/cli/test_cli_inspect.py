"""edgekit inspect as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_onnx import empty, model, node, value

from edge.records.codec import from_dict
from edge.records.model import ModelInfo, RuntimeSupport

ROOT = Path(__file__).parent.parent.parent
DEFAULT = ROOT / "models" / "digits-cnn"


def edgekit(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge", "inspect", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """A product with an open batch, in a file with an awkward name."""
    proto = model([node("MatMul", ["x", "w"])], [value("x", ["n", 4])], [empty("w", [4, 5])])
    path = tmp_path / "my [red]model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_the_whole_page(tmp_path: Path) -> None:
    done = edgekit("--target", "rpi", "--target", "rpi4-32bit", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    digest = json.loads(edgekit("--json", cwd=tmp_path).stdout)["model"]["sha256"]
    assert lines == [
        "digits-cnn-fp32.onnx: convolutional network",
        "format      ONNX, opset 13, IR version 7, made by pytorch 2.13.0",
        f"sha256      {digest}",
        "input       input float32 1x1x8x8",
        "output      logits float32 1x10",
        "parameters  5.45 k",
        "MACs        55.9 k an inference",
        "moved       42.6 KiB an inference",
        "memory      weights 21.3 KiB, activations 8 KiB at their peak",
        "on disk     22.4 KiB, weights 21.3 KiB",
        "precision   fp32",
        "",
        "operator  count    MACs   share     moved",
        "Conv          3  55.3 k  98.9 %  29.2 KiB",
        "Gemm          1     640   1.1 %  2.83 KiB",
        "Relu          3                  10.5 KiB",
        "Flatten       1                       0 B",
        "total         8  55.9 k          42.6 KiB",
        "",
        "target      runs it  with, or why not",
        "rpi4        yes      onnxruntime 1.32.0",
        "rpi4-32bit  no       tflite-runtime 2.14.0: runs TFLite files, not ONNX",
    ]


def test_every_operator(tmp_path: Path) -> None:
    done = edgekit("--operators", "--target", "rpi", cwd=tmp_path)
    text = done.stdout.split("calls")[1]
    assert [line.split()[0] for line in text.splitlines()[1:9]] == [
        "Conv", "Relu", "Conv", "Relu", "Conv", "Relu", "Flatten", "Gemm",
    ]  # fmt: skip


def test_one_json_document(dense: Path, tmp_path: Path) -> None:
    done = edgekit(dense.name, "--shape", "x=3,4", "--json", "--target", "jetson", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert list(document) == ["model", "support"]
    info = from_dict(ModelInfo, document["model"])
    assert (info.macs, info.name) == (60, dense.name)
    support = [from_dict(RuntimeSupport, entry) for entry in document["support"]]
    assert {entry.target for entry in support} == {"jetson-nano"}


def test_open_sizes_are_asked_for(dense: Path, tmp_path: Path) -> None:
    done = edgekit(dense.name, "--target", "rpi", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("my [red]model.onnx: ")
    assert "input       x float32 nx4" in done.stdout
    assert "MACs        unknown an inference" in done.stdout
    assert "costs and memory are not known: give --shape x=?,4" in done.stdout


def test_saving(dense: Path, tmp_path: Path) -> None:
    done = edgekit(dense.name, "--shape", "x=3,4", "-o", "results", cwd=tmp_path)
    assert done.returncode == 0
    saved = tmp_path / "results" / f"{dense.name}.model.json"
    assert done.stderr == f"saved results/{dense.name}.model.json\n"
    assert from_dict(ModelInfo, json.loads(saved.read_text(encoding="utf-8"))).macs == 60


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["none.onnx"], 4, "none.onnx"),
        (["--shape", "input=2,1,8,8"], 2, "--shape input: 2x1x8x8 does not fit 1x1x8x8"),
        (["--shape", "image=1,1,8,8"], 2, "--shape image: no such input"),
        (["--shape", "input=1,a"], 2, "input=1,a: expected an input's name"),
        (["--target", "rpi44"], 3, "rpi44: no such target"),
        (["-o", "/proc/nowhere"], 9, "/proc/nowhere"),
    ],
)
def test_errors(arguments: list[str], status: int, message: str, tmp_path: Path) -> None:
    done = edgekit(*arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr
