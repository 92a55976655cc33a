"""Inspecting in a limited child: small and huge files, real models, errors across the pipe."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_onnx import FLOAT, model, node, value
from onnx import TensorProto

from edge.errors import ModelError, UsageError
from edge.records.codec import from_dict, to_dict
from edge.records.model import ModelInfo
from edge.workflows.inspect import inspect_choice, inspect_model

ROOT = Path(__file__).parent.parent.parent
DEFAULT = ROOT / "models" / "digits-cnn"
# However large the model is.
LIMIT_BYTES = 300 << 20
# Prints the peak resident memory of the largest process that was waited for, and the answer.
MEASURE = """
import json, resource, sys
from pathlib import Path
from edge.records.codec import to_dict
from edge.workflows.inspect import inspect_model
info = inspect_model(Path(sys.argv[1]))
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps([peak, to_dict(info)]))
"""


def _measured(path: Path) -> tuple[int, ModelInfo]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], check=True, capture_output=True, text=True
    )
    peak, info = json.loads(done.stdout)
    return peak, from_dict(ModelInfo, info, path)


def test_3_4_gb_of_external_data_in_under_300_mb(tmp_path: Path) -> None:
    weights = []
    for index in range(17):
        tensor = TensorProto(name=f"w{index}", data_type=FLOAT, dims=[5000, 10_000])
        if index % 2:
            tensor.dims[:] = [10_000, 5000]
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": "w.bin", "offset": str(index * 200_000_000), "length": "200000000"}
        for key, text in place.items():
            tensor.external_data.add(key=key, value=text)
        weights.append(tensor)
    names = ["x", *(f"y{i}" for i in range(17))]
    nodes = [node("MatMul", [names[i], f"w{i}"], names[i + 1]) for i in range(17)]
    path = tmp_path / "large.onnx"
    path.write_bytes(model(nodes, [value("x", [1, 5000])], weights).SerializeToString())
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(3_400_000_000)
    peak, info = _measured(path)
    assert peak < LIMIT_BYTES
    assert info.file_bytes == 3_400_000_000 + path.stat().st_size
    assert info.weights_bytes == info.stored_weights_bytes == 3_400_000_000
    assert info.macs == info.parameters == 850_000_000
    assert info.external_files == ("w.bin",)
    assert info.external_sha256[0] is not None
    risk = "weights take 3.17 GiB: more than 32-bit systems and small boards can hold"
    assert risk in info.risks


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def test_weights_inside_a_large_file_are_not_loaded(tmp_path: Path) -> None:
    # Written by hand, with holes for the contents: two tensors of 625 MB.
    side, count = 12_500, 2
    size = side * side * 4
    names = ["x", "y0", "y1"]
    rest = b"".join(
        _field(1, node("MatMul", [names[i], f"w{i}"], names[i + 1]).SerializeToString())
        for i in range(count)
    )
    rest += _field(11, value("x", [1, side]).SerializeToString())
    rest += _field(12, value("y1", None).SerializeToString())
    heads = []
    for index in range(count):
        tensor = TensorProto(name=f"w{index}", data_type=FLOAT, dims=[side, side])
        head = tensor.SerializeToString() + _varint(9 << 3 | 2) + _varint(size)
        heads.append(_varint(5 << 3 | 2) + _varint(len(head) + size) + head)
    length = len(rest) + sum(len(head) + size for head in heads)
    opset = _field(8, b"\x10\x11")
    path = tmp_path / "inline.onnx"
    with path.open("wb") as file:
        file.write(b"\x08\x08" + opset + _varint(7 << 3 | 2) + _varint(length) + rest)
        for head in heads:
            file.write(head)
            file.seek(size, 1)
        file.truncate()
    peak, info = _measured(path)
    assert path.stat().st_size > 1_250_000_000
    assert peak < LIMIT_BYTES
    assert info.macs == info.parameters == count * side * side
    assert info.stored_weights_bytes == count * size


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_default_model_is_the_same_network_in_every_file(suffix: str, precision: str) -> None:
    info = inspect_model(DEFAULT / f"digits-cnn-{precision}.{suffix}")
    assert info.macs == 55_936
    assert (info.precision, info.format) == (precision, suffix)
    assert info.looks_like == "convolutional network"
    assert info.custom_operators == ()
    assert info.peak_activation_bytes
    assert from_dict(ModelInfo, json.loads(json.dumps(to_dict(info)))) == info


def test_the_facts_of_the_default_model() -> None:
    info = inspect_model(DEFAULT / "digits-cnn-fp32.onnx")
    assert info.parameters == 5450
    assert info.weights_bytes == 21_800
    assert info.file_bytes == (DEFAULT / "digits-cnn-fp32.onnx").stat().st_size
    assert [str(s) for s in (*info.inputs, *info.outputs)] == [
        "input float32 1x1x8x8", "logits float32 1x10",
    ]  # fmt: skip
    assert [o.op_type for o in info.operators] == [
        "Conv", "Relu", "Conv", "Relu", "Conv", "Relu", "Flatten", "Gemm",
    ]  # fmt: skip


def test_errors_come_through_the_pipe(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    good = model([node("Relu", ["x"])], [value("x", ["n", 4])]).SerializeToString()
    path.write_bytes(good)
    assert inspect_model(path, {"x": (2, 4)}).peak_activation_bytes == 64
    with pytest.raises(UsageError) as wrong:
        inspect_model(path, {"x": (2, 5)})
    assert str(wrong.value) == "--shape x: 2x5 does not fit nx4"
    path.write_bytes(good.replace(b"Relu", b"Re\xffu"))
    with pytest.raises(ModelError) as damaged:
        inspect_model(path)
    assert str(damaged.value) == f"{path}: the ONNX file is damaged: a name in it is no text"


def test_for_the_targets_that_are_asked_for() -> None:
    told: list[float] = []
    report = inspect_choice(None, {}, ("rpi4", "rpi4-32bit"), told.append)
    assert report.model.name == "digits-cnn-fp32.onnx"
    assert {(s.target, s.runtime, s.supported) for s in report.support} >= {
        ("rpi4", "onnxruntime", True),
        ("rpi4-32bit", "tflite-runtime", False),
    }
    every = inspect_choice(str(DEFAULT / "digits-cnn-int8.tflite"), {}, (), told.append)
    assert len({s.target for s in every.support}) >= 14
    assert dataclasses.asdict(every)["model"]["format"] == "tflite"
