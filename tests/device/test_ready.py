"""The prepared form of a model: when it is made, and when it is used."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_bundle import ONNX, WHEEL, samples_file, small_manifest

import edge.device.ready as module
from edge.device.parent import Limits, run_child
from edge.device.preparing import compare
from edge.device.probe import ProbeOptions, model_ref, probe
from edge.device.ready import make_ready, session_model
from edge.errors import RuntimeFailure
from edge.records.codec import from_dict, to_dict
from edge.records.manifest import BundleFile, Manifest
from edge.records.measurement import Measurement, SessionConfig

CLOSE = {"compare": "close", "atol": 1e-2, "rtol": 0.0}
ORIGINAL = "model/digits.onnx"


class Bundle:
    """An unpacked bundle of the digits model, with this machine's runtime as if it were its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, folder / "site"
        self.site.mkdir()
        (folder / "model").mkdir()
        shutil.copy(ONNX, folder / ORIGINAL)
        samples_file(folder)
        data = ONNX.read_bytes()
        listed = BundleFile(ORIGINAL, len(data), hashlib.sha256(data).hexdigest())
        others = [BundleFile(path, 1, "0" * 64) for path in ("samples.npz", WHEEL)]
        manifest = small_manifest((listed, *others))
        carried = replace(manifest.wheels[0], name="onnxruntime")
        self.manifest = replace(manifest, wheels=(carried,))

    def make(self, manifest: Manifest | None = None) -> dict[str, Any]:
        make_ready(str(self.folder), manifest or self.manifest, str(self.site))
        note = json.loads((self.folder / "ready.json").read_text(encoding="utf-8"))
        assert isinstance(note, dict)
        return note

    def chosen(self, manifest: Manifest | None = None) -> tuple[str, bool]:
        path, prepared = session_model(str(self.folder), manifest or self.manifest)
        return str(Path(path).relative_to(self.folder)), prepared

    def left(self) -> set[str]:
        made = {"site", "model", "samples.npz"}
        return {path.name for path in self.folder.iterdir()} - made


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle(tmp_path)


def test_the_form_that_the_runtime_saved_is_used(bundle: Bundle) -> None:
    assert bundle.chosen() == (ORIGINAL, False)
    note = bundle.make()
    assert note["reason"] is None
    assert note["schema_version"] == "1.0"
    assert note["model_sha256"] == bundle.manifest.model.sha256
    assert (note["runtime"], note["runtime_version"]) == ("onnxruntime", "1.0")
    assert bundle.left() == {"ready", "ready.json"}
    for name, told in note["files"].items():
        data = (bundle.folder / "ready" / name).read_bytes()
        assert told == {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert {path.name for path in (bundle.folder / "ready").iterdir()} == set(note["files"])
    assert bundle.chosen() == ("ready/model.onnx", True)


def test_it_gives_what_the_original_gives(bundle: Bundle, tmp_path: Path) -> None:
    bundle.make()
    outputs = []
    for path, prepared in ((ORIGINAL, False), bundle.chosen()):
        got = tmp_path / f"{prepared}.npz"
        request = {
            "model": str(bundle.folder / path),
            "config": {"backend": "onnxruntime", "threads": 1, "prepared": prepared},
            "inputs": str(bundle.folder / "samples.npz"),
            "outputs": str(got),
        }
        run_child("edge.device.worker:infer", request, limits=Limits(wall_s=60), what="digits")
        with np.load(got) as arrays:
            outputs.append(arrays["output.logits"])
    assert len(np.unique(outputs[0])) > 10
    assert np.array_equal(*outputs)


def test_its_graph_is_optimised_already(bundle: Bundle) -> None:
    bundle.make()
    load = {"load_external_data": False}
    original = onnx.load(bundle.folder / ORIGINAL, **load).graph.node
    prepared = onnx.load(bundle.folder / "ready" / "model.onnx", **load).graph.node
    assert len(prepared) < len(original)


def other_processor(_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_processor", lambda: ("another one", "fpu sse2"))


def shorter(bundle: Bundle, _: object) -> None:
    path = bundle.folder / "ready" / "model.weights"
    path.write_bytes(path.read_bytes()[:-1])


def without_weights(bundle: Bundle, _: object) -> None:
    (bundle.folder / "ready" / "model.weights").unlink()


def killed_before_the_note(bundle: Bundle, _: object) -> None:
    (bundle.folder / "ready.json").unlink()


def damaged_note(bundle: Bundle, _: object) -> None:
    (bundle.folder / "ready.json").write_bytes(b"\xff\x00")


def note_of_another_kind(bundle: Bundle, _: object) -> None:
    (bundle.folder / "ready.json").write_text("[1, 2]", encoding="utf-8")


@pytest.mark.parametrize(
    "spoil",
    [
        other_processor,
        shorter,
        without_weights,
        killed_before_the_note,
        damaged_note,
        note_of_another_kind,
    ],
)
def test_in_doubt_the_original_is_used(
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Bundle, pytest.MonkeyPatch], None],
) -> None:
    bundle.make()
    assert bundle.chosen()[1]
    spoil(bundle, monkeypatch)
    assert bundle.chosen() == (ORIGINAL, False)


def test_another_version_of_the_runtime_takes_the_original(bundle: Bundle) -> None:
    bundle.make()
    newer = replace(bundle.manifest, runtime_version="1.1")
    assert bundle.chosen(newer) == (ORIGINAL, False)


def test_making_it_again_leaves_nothing_of_before(bundle: Bundle) -> None:
    bundle.make()
    for name in ("ready", "ready.part"):
        (bundle.folder / name).mkdir(exist_ok=True)
        (bundle.folder / name / "left").write_bytes(b"by a killed process")
    bundle.make()
    assert bundle.left() == {"ready", "ready.json"}
    assert not (bundle.folder / "ready" / "left").exists()
    assert bundle.chosen() == ("ready/model.onnx", True)


def nothing(bundle: Bundle, reason: str) -> None:
    note = bundle.make()
    assert (note["model"], note["files"], note["reason"]) == (None, {}, reason)
    assert bundle.left() == {"ready.json"}
    assert bundle.chosen() == (ORIGINAL, False)


def test_outputs_that_disagree_leave_the_original(bundle: Bundle) -> None:
    samples_file(bundle.folder, wrong=True)
    note = bundle.make()
    assert note["reason"].startswith("sample 0, output logits: entry [0, ")
    assert bundle.left() == {"ready.json"}
    assert bundle.chosen() == (ORIGINAL, False)


def test_a_form_that_the_runtime_dies_of_leaves_the_original(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(task: str, *arguments: Any, **more: Any) -> Any:
        if task.endswith(":compare"):
            raise RuntimeFailure("the child died of SIGSEGV", where="digits.onnx")
        return run_child(task, *arguments, **more)

    monkeypatch.setattr(module, "run_child", dies)
    nothing(bundle, "the child died of SIGSEGV")


def test_a_model_that_is_refused_leaves_a_reason(bundle: Bundle) -> None:
    (bundle.folder / ORIGINAL).write_bytes(bytes(100))
    note = bundle.make()
    assert note["reason"].startswith("cannot load the model: ")
    assert bundle.left() == {"ready.json"}


def test_a_runtime_of_the_systems_own_is_not_relied_on(bundle: Bundle) -> None:
    wheels = tuple(replace(wheel, name="numpy") for wheel in bundle.manifest.wheels)
    bundle.manifest = replace(bundle.manifest, wheels=wheels)
    nothing(bundle, "the runtime is the system's own")


def test_a_runtime_without_such_a_form_leaves_the_original(bundle: Bundle) -> None:
    config = SessionConfig("tflite", 1)
    bundle.manifest = replace(bundle.manifest, session=config)
    nothing(bundle, "the runtime has no faster form of it")


def scaled(path: Path, factor: float, output: str = "y") -> str:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], [output])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2,))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, (2,))],
        [helper.make_tensor("factor", TensorProto.FLOAT, (1,), [factor])],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return str(path)


@pytest.mark.parametrize(
    ("original", "prepared", "output", "reason"),
    [
        (1.0, 1.0, "y", None),
        (1.001, 1.0, "y", None),
        (1.0, 1.001, "y", "sample 0, output y: it is further off than the original's"),
        (1.0, 1.5, "y", "sample 0, output y: entry [1] is 3, expected 2, and 0.01 off is allowed"),
        (1.5, 1.5, "y", "sample 0, output y: entry [1] is 3, expected 2, and 0.01 off is allowed"),
        (1.0, 1.0, "z", "its inputs or outputs are not those of the original"),
    ],
)
def test_the_prepared_form_has_to_be_as_close_as_the_original(
    tmp_path: Path, original: float, prepared: float, output: str, reason: str | None
) -> None:
    samples = tmp_path / "samples.npz"
    values = np.array([[1.0, 2.0]], "float32")
    np.savez(samples, **{"input.x": values, "output.y": values})
    request = {
        "model": scaled(tmp_path / "original.onnx", original),
        "prepared": scaled(tmp_path / "prepared.onnx", prepared, output),
        "config": {"backend": "onnxruntime", "threads": 1},
        "samples": str(samples),
        "rule": CLOSE,
    }
    assert compare(request) == reason


ARM = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

processor\t: 1
Features\t: fp asimd asimddp
CPU part\t: 0xd0b
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ARM, ("0x41 0x0 0xd08 3", "fp asimd evtstrm crc32 cpuid")),
        ("model name : AMD EPYC\nflags : fpu vme\n\nmodel name : B\n", ("AMD EPYC", "fpu vme")),
        ("\n", (None, None)),
    ],
)
def test_the_first_core_says_which_processor_it_is(
    tmp_path: Path, text: str, expected: tuple[str | None, str | None]
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text, encoding="utf-8")
    assert module._processor(str(path)) == expected
    assert module._processor(str(tmp_path / "missing")) == (None, None)


def test_a_measurement_says_which_form_was_measured(bundle: Bundle) -> None:
    bundle.make()
    for _ in range(2):
        path, prepared = session_model(str(bundle.folder), bundle.manifest)
        measurement = probe(
            path,
            SessionConfig("onnxruntime", 1, prepared=prepared),
            ProbeOptions(min_s=0, min_queries=3, warmup_queries=0),
            model=model_ref(path, "digits", "onnx"),
        )
        assert measurement.config.prepared is prepared
        assert from_dict(Measurement, to_dict(measurement)) == measurement
        shutil.rmtree(bundle.folder / "ready", ignore_errors=True)
    assert not prepared
