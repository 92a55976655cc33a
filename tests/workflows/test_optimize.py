"""An optimisation of the default model on this machine, and of made-up ones, whole."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ConfigError, EdgekitError, ModelError
from edge.reasoning.variant_choice import Floors
from edge.records.optimization import Optimization
from edge.workflows.evidence import evidence_of
from edge.workflows.models import resolve_model
from edge.workflows.optimize import Optimized, OptimizeRequest, optimize
from edge.workflows.optimize_data import DataPaths
from edge.workflows.package import package_model

ROOT = Path(__file__).parent.parent.parent
DIGITS = ROOT / "models" / "digits-cnn"
SAMPLES = DIGITS / "samples.npz"
FLOORS = Floors(most_accuracy_drop=0.01, least_cosine=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("optimize")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(made / "cache"))
        yield made


@pytest.fixture(scope="module")
def done(folder: Path) -> Optimized:
    request = OptimizeRequest(
        model="digits-cnn:digits-cnn-fp32.onnx",
        target="host",
        data=DataPaths(calibration=SAMPLES, evaluation=SAMPLES),
        floors=FLOORS,
        threads=1,
        output=folder / "out",
    )
    return optimize(request)


def test_every_variant_has_its_evidence(done: Optimized) -> None:
    found = done.result
    names = [variant.name for variant in found.variants]
    assert names == [
        "original",
        "simplified",
        "runtime's form",
        "int8 static, percentile",
        "int8 static, minmax",
        "int8 static, sensitive layers in float",
    ]
    assert [v.passes == () for v in found.variants] == [True] + [False] * 5
    for variant in found.variants:
        assert variant.verdict != "failed", variant.reason
        assert variant.measurement is not None
        assert variant.model is not None
        assert variant.accuracy is not None
        assert (variant.accuracy.right, variant.accuracy.samples) == (16, 16)
    for variant in found.variants[1:]:
        assert variant.speedup is not None
        assert variant.agreement is not None
        assert variant.agreement.samples == 16
        assert variant.agreement.cosine > 0.99
    assert found.variants[1].agreement is not None
    assert found.variants[1].agreement.largest_error < 1e-5


def test_int8_is_smaller_and_really_computed_in_int8(done: Optimized) -> None:
    original, int8 = done.result.variants[0], done.result.variants[4]
    assert original.arithmetic is not None
    assert int8.arithmetic is not None
    assert (original.arithmetic.integer, int8.arithmetic.integer) == (0.0, 1.0)
    assert original.model is not None
    assert int8.model is not None
    assert int8.model.file_bytes < 0.6 * original.model.file_bytes
    assert (original.precision, int8.precision) == ("fp32", "int8")


def test_what_was_chosen_is_not_slower_than_the_original(done: Optimized) -> None:
    chosen = done.result.variants[done.result.chosen]
    assert chosen.verdict == "chosen"
    if done.result.chosen:
        assert chosen.speedup is not None
        assert chosen.speedup.value >= 1.0
    slower = [v for v in done.result.variants[1:] if v.speedup and v.speedup.high < 1]
    assert {v.verdict for v in slower} <= {"slower"}


def test_what_is_left_out_and_not_known_is_said(done: Optimized) -> None:
    left_out = {out.what: out.reason for out in done.result.left_out}
    assert set(left_out) == {"fp16", "int8 dynamic", "pruned channels"}
    assert done.result.remarks == (
        "16 of the 16 samples that evaluate calibrated, too: accuracy on new data may be lower",
    )


def test_the_file_lies_beside_its_evidence(done: Optimized) -> None:
    chosen = done.result.variants[done.result.chosen]
    assert chosen.file == done.path.name
    evidence = done.path.with_name(done.path.stem + ".optimization.json")
    assert evidence_of(done.path) == done.result
    assert json.loads(evidence.read_text())["schema_version"] == Optimization.SCHEMA_VERSION
    assert [p.name for p in done.path.parent.iterdir() if p.name.startswith(".")] == []


def test_a_bundle_tells_the_evidence(done: Optimized, tmp_path: Path) -> None:
    choice = resolve_model(str(done.path))
    assert choice.card is not None
    assert choice.card.name == "digits-cnn"
    written = package_model(choice, "host", output=tmp_path / "a.pyz")
    told = written.manifest.model.accuracy
    assert told is not None
    assert (told.metric, told.value) == ("top-1", 1.0)
    with zipfile.ZipFile(written.path) as bundle:
        card = bundle.read("model-card.md").decode()
    chosen = done.result.variants[done.result.chosen]
    assert "## Optimisation" in card
    assert f"| variant | {chosen.name} |" in card
    assert f"made of | digits-cnn-fp32.onnx, SHA-256 {done.result.model.sha256} |" in card


def test_evidence_of_another_file_is_not_taken(done: Optimized, tmp_path: Path) -> None:
    shutil.copytree(done.path.parent, tmp_path / "out")
    path = tmp_path / "out" / done.path.name
    shutil.copyfile(DIGITS / "digits-cnn-int8.onnx", path)
    assert evidence_of(path) is None
    assert resolve_model(str(path)).card is None


def test_damaged_evidence_is_an_error(done: Optimized, tmp_path: Path) -> None:
    shutil.copytree(done.path.parent, tmp_path / "out")
    path = tmp_path / "out" / done.path.name
    path.with_name(path.stem + ".optimization.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        resolve_model(str(path))


def test_a_model_that_does_not_run_is_no_optimisation(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x07nothing of the kind")
    request = OptimizeRequest(
        model=str(broken), target="host", data=DataPaths(), floors=FLOORS, output=tmp_path / "out"
    )
    with pytest.raises(ModelError):
        optimize(request)
    assert not (tmp_path / "out").exists()


def test_data_that_does_not_fit_is_refused_before_any_variant(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", input=np.zeros((4, 3, 8, 8), np.float32))
    request = OptimizeRequest(
        model=str(DIGITS / "digits-cnn-fp32.onnx"),
        target="host",
        data=DataPaths(evaluation=tmp_path / "odd.npz"),
        floors=FLOORS,
        output=tmp_path / "out",
    )
    with pytest.raises(EdgekitError, match=r"odd\.npz"):
        optimize(request)
    assert not (tmp_path / "out").exists()


def test_the_record_is_of_the_model_that_was_given(done: Optimized) -> None:
    assert done.result.model.name == "digits-cnn-fp32.onnx"
    assert done.result.card == "digits-cnn"
