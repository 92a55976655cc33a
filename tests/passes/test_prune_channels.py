"""The pass prune_channels, from file to file."""

from pathlib import Path
from typing import Any

import made_networks
import numpy as np
import onnx
import pytest
from made_onnx import model, node, value

from edge.errors import ModelError
from edge.formats.read import read_model
from edge.passes import load_pass
from edge.passes._activations import open_session, run

DIGITS = Path("models/digits-cnn/digits-cnn-fp32.onnx")


def pruned(
    path: Path, folder: Path, calibration: Path | None = None, **options: Any
) -> tuple[Path, list[str]]:
    folder.mkdir()
    request = {
        "model": str(path),
        "folder": str(folder),
        "options": options,
        "calibration": calibration and str(calibration),
        "shapes": {},
        "threads": 1,
    }
    answer = load_pass("prune_channels").apply(request)
    # Nothing else stays in the folder.
    assert [file.name for file in folder.iterdir()] == [answer["file"]]
    return folder / answer["file"], answer["notes"]


def macs(path: Path) -> int:
    count = read_model(path, {}).macs
    assert count is not None
    return count


def outputs(path: Path, samples: np.ndarray, name: str = "input") -> np.ndarray:
    session = open_session(onnx.load(path), 1)
    return np.stack([run(session, {name: sample})[0] for sample in samples])


def strokes(count: int, seed: int) -> np.ndarray:
    """Pictures of random strokes, which are to digits what other digits would be."""
    random = np.random.default_rng(seed)
    pictures = np.zeros((count, 1, 1, 8, 8), np.float32)
    for picture in pictures[:, 0, 0]:
        row, column = random.integers(1, 7, 2)
        for _ in range(14):
            picture[row, column] = random.uniform(0.5, 1.0)
            row, column = np.clip(np.add((row, column), random.integers(-1, 2, 2)), 0, 7)
    return pictures


@pytest.fixture
def data(tmp_path: Path) -> Path:
    np.savez(tmp_path / "data.npz", **{"input.input": strokes(96, 1)})
    return tmp_path / "data.npz"


def test_the_work_gets_less_and_the_notes_say_by_how_much(tmp_path: Path) -> None:
    path, notes = pruned(DIGITS, tmp_path / "out", ratio=0.3)
    assert (macs(DIGITS), macs(path)) == (55936, 32896)
    assert path.stat().st_size < DIGITS.stat().st_size
    assert notes == [
        "8 of 58 channels are cut out: 0.05594 M multiply-accumulates become 0.0329 M (-41 %)",
        "10 channels stay whole because of what reads them: an output (1)",
        "chosen by the magnitude of weights alone: no calibration data was given",
    ]
    before, after = read_model(DIGITS, {}), read_model(path, {})
    assert (before.inputs, before.outputs) == (after.inputs, after.outputs)
    assert (before.opsets, before.ir_version) == (after.opsets, after.ir_version)


@pytest.mark.parametrize("round_to", [1, 2, 8])
def test_channel_counts_stay_multiples(tmp_path: Path, round_to: int) -> None:
    path, _ = pruned(DIGITS, tmp_path / "out", ratio=0.4, round_to=round_to, least=2)
    shapes = {tensor.dims[0] for tensor in onnx.load(path).graph.initializer if tensor.dims}
    assert all(size % round_to == 0 for size in shapes - {10})
    assert macs(path) <= 0.6 * macs(DIGITS)


def test_limits_hold_and_are_told(tmp_path: Path) -> None:
    path, notes = pruned(DIGITS, tmp_path / "out", ratio=0.9, least=14, round_to=1)
    sizes = {tensor.dims[0] for tensor in onnx.load(path).graph.initializer if tensor.dims}
    assert sizes == {14, 10}
    assert notes[1] == "90 % were asked for: more cannot be cut within the limits"


def test_least_squares_make_up_for_lost_channels(tmp_path: Path, data: Path) -> None:
    options = {"ratio": 0.4, "round_to": 4, "least": 4, "samples": 96}
    plain, notes = pruned(DIGITS, tmp_path / "plain", data, reconstruct=False, **options)
    fitted, more = pruned(DIGITS, tmp_path / "fitted", data, **options)
    unseen = strokes(64, 2)
    wanted = outputs(DIGITS, unseen)
    assert macs(plain) == macs(fitted)
    error = np.square(outputs(plain, unseen) - wanted).mean()
    assert np.square(outputs(fitted, unseen) - wanted).mean() < 0.6 * error
    text = (
        "chosen by what they bring to the next layers, and by what their loss does to the outputs"
    )
    assert notes[-1] == f"{text} of 96 samples; their means went into biases"
    assert more[-1].startswith(f"{text} of 96 samples; the weights of ")


def test_means_in_biases_and_measured_losses_are_better_than_magnitudes(
    tmp_path: Path, data: Path
) -> None:
    unseen = strokes(64, 2)
    wanted = outputs(DIGITS, unseen)
    errors = []
    for name, file, options in (("blind", None, {}), ("told", data, {"reconstruct": "false"})):
        path, _ = pruned(DIGITS, tmp_path / name, file, ratio=0.2, round_to=4, least=4, **options)
        errors.append(np.square(outputs(path, unseen) - wanted).mean())
    assert errors[1] < errors[0]


@pytest.mark.parametrize("name", made_networks.NETWORKS)
def test_every_kind_of_network_is_fitted_without_harm(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.onnx").write_bytes(made_networks.NETWORKS[name]().SerializeToString())
    random = np.random.default_rng(3)
    samples = random.uniform(-1, 1, (24, 1, 3, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "data.npz", **{"input.x": samples})
    options = {"ratio": 0.2, "round_to": 1, "least": 2}
    file, data = tmp_path / "model.onnx", tmp_path / "data.npz"
    plain, _ = pruned(file, tmp_path / "plain", data, reconstruct=False, **options)
    fitted, _ = pruned(file, tmp_path / "fitted", data, **options)
    wanted = outputs(file, samples, "x")
    errors = [np.square(outputs(p, samples, "x") - wanted).mean() for p in (plain, fitted)]
    assert errors[1] <= errors[0]
    assert macs(plain) < 0.85 * macs(file)


def test_a_model_of_old_with_weights_among_its_inputs_is_pruned(tmp_path: Path) -> None:
    proto = onnx.load(DIGITS)
    for tensor in proto.graph.initializer:
        proto.graph.input.append(value(tensor.name, tensor.dims, tensor.data_type))
    (tmp_path / "old.onnx").write_bytes(proto.SerializeToString())
    path, _ = pruned(tmp_path / "old.onnx", tmp_path / "out")
    assert [i.name for i in onnx.load(path).graph.input] == ["input"]


def test_a_model_that_holds_all_its_channels_is_refused(tmp_path: Path) -> None:
    net = made_networks.Network()
    proto = net.model(net.add("Softmax", net.conv("x", 3, 64), axis=1))
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError) as caught:
        pruned(tmp_path / "model.onnx", tmp_path / "out")
    assert caught.value.what == (
        "no channels can be cut out: 64 channels stay whole because of what reads them: Softmax (1)"
    )


def test_a_model_without_layers_is_refused(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"])], [value("x", [1, 3, 6, 6])])
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="no channels can be cut out: 0 channels stay whole"):
        pruned(tmp_path / "model.onnx", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"reconstruct": True}, "it needs calibration data to score by activation or to"),
        ({"score": "activation"}, "it needs calibration data to score by activation or to"),
        ({"ratio": 1.5}, "pruning takes no ratio 1.5 and score l1"),
        ({"score": "random"}, "pruning takes no ratio 0.3 and score random"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, options: dict[str, Any], what: str
) -> None:
    with pytest.raises(ModelError) as caught:
        pruned(DIGITS, tmp_path / "out", **options)
    assert caught.value.what.startswith(what)


def test_an_int8_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no channels can be cut out"):
        pruned(Path("models/digits-cnn/digits-cnn-int8.onnx"), tmp_path / "out")
