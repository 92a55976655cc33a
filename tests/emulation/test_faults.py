"""Faults put into real bundles on purpose are found on the emulated target, and named.

The bundles are altered and consistent again (tests/altered_bundle.py), so that what is found is the
fault and not that somebody changed a byte. LiteRT stands for both runtimes where it does not
matter which: it unpacks in half the time.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from altered_bundle import (
    altered,
    flipped,
    forced_dot_products,
    in_wheel,
    newer_glibc,
    other_output,
    wheel_path,
)
from made_onnx import model, node, value
from made_tflite import Graph, Operator, Tensor, tflite_bytes

import edge.workflows.emulation_steps
from edge.adapters.targets import load_target
from edge.device.bundle import open_bundle
from edge.reasoning import runtime_faults
from edge.records.emulation import Emulation, Finding
from edge.workflows.emulate import EmulateOptions, emulate_bundle
from edge.workflows.emulation_audit import audit_findings
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

pytestmark = pytest.mark.network

LITERT = "libpywrap_litert_common.so"


@pytest.fixture(scope="module")
def bundles(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder with a sound bundle of each runtime for the Raspberry Pi 4."""
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(shared_cache))
        for name, file in (("litert", "int8.tflite"), ("onnx", "fp32.onnx")):
            choice = resolve_model(f"digits-cnn:digits-cnn-{file}")
            package_model(choice, "rpi4", output=folder / f"{name}.pyz")
        yield folder


@pytest.fixture(autouse=True)
def one_cache(own_cache: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all tests share the emulator's roots; each test's own cache was set before."""
    del own_cache
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))


@pytest.fixture
def litert(bundles: Path) -> Path:
    return bundles / "litert.pyz"


@pytest.fixture
def onnx(bundles: Path) -> Path:
    return bundles / "onnx.pyz"


def emulated(bundle: Path) -> Emulation:
    return emulate_bundle(bundle, EmulateOptions(count=False))


def found(bundle: Path) -> list[tuple[str, str, str | None, str | None]]:
    """Return step, kind, library and missing of what is found; each has something to do."""
    findings = emulated(bundle).findings
    assert all(finding.remedy for finding in findings)
    return [(f.step, f.kind, f.library, f.missing) for f in findings]


def audited(bundle: Path) -> tuple[Finding, ...]:
    with open_bundle(str(bundle)) as opened:
        return audit_findings(bundle, opened.manifest, load_target("rpi4"))


def test_nothing_is_found_in_sound_bundles(litert: Path, onnx: Path) -> None:
    assert audited(onnx) == ()
    sound = emulated(litert)
    assert sound.findings == ()
    assert sound.outputs is not None
    assert (sound.outputs.samples, sound.outputs.agreed) == (16, 16)


def test_a_wheel_for_a_newer_glibc(
    litert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = in_wheel({LITERT: newer_glibc("GLIBC_2.34", "GLIBC_2.94")})
    made = altered(litert, tmp_path / "glibc.pyz", {wheel_path(litert, "ai-edge-litert"): wheel})
    (finding,) = audited(made.path)
    named = ("missing-symbol-version", LITERT, "GLIBC_2.94")
    assert (finding.kind, finding.library, finding.missing) == named
    assert finding.what == f"{LITERT} needs GLIBC_2.94, and rpi4 has GLIBC_2.36"
    # The loader finds it, too, where nobody looked before.
    monkeypatch.setattr(edge.workflows.emulation_steps, "audit_findings", lambda *_: ())
    assert found(made.path) == [("run", *named)]


def test_dot_products_forced_on_a_cortex_a72(litert: Path, tmp_path: Path) -> None:
    wheel = in_wheel({LITERT: forced_dot_products})
    made = altered(litert, tmp_path / "dot.pyz", {wheel_path(litert, "ai-edge-litert"): wheel})
    assert found(made.path) == [("run", "illegal-instruction", LITERT, "asimddp")]


def test_a_runtime_that_is_known_to_stop_with_an_illegal_instruction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known.pyz"
    with monkeypatch.context() as patch:
        # Packaging refuses this release for this processor; somebody's older edgekit did not.
        patch.setattr(runtime_faults, "FAULTS", ())
        choice = resolve_model("digits-cnn:digits-cnn-fp32.onnx")
        package_model(choice, "rpi4", output=path, runtime_version="1.21.0")
    emulation = emulated(path)
    # The audit knows of it, too; the one that names the library is told.
    assert [step.outcome for step in emulation.steps[:3]] == ["failed", "passed", "failed"]
    (run,) = emulation.findings
    assert (run.step, run.kind, run.missing) == ("run", "illegal-instruction", "asimdhp")
    library = "onnxruntime_pybind11_state.cpython-311-aarch64-linux-gnu.so"
    assert run.library == library
    command = "edgekit package digits-cnn-fp32.onnx --target rpi4"
    options = "--runtime onnxruntime --runtime-version 1.21.1"
    assert run.remedy == f"take onnxruntime 1.21.1: `{command} {options}`"


def test_a_sample_output_changed_by_hand(litert: Path, tmp_path: Path) -> None:
    made = altered(litert, tmp_path / "output.pyz", {"samples.npz": other_output})
    (finding,) = emulated(made.path).findings
    assert (finding.step, finding.kind) == ("run", "wrong-output")
    assert finding.what.startswith("1 of 16 samples give other outputs than the bundle carries; ")


def test_a_flipped_byte(litert: Path, tmp_path: Path) -> None:
    assert found(flipped(litert, tmp_path / "flipped.pyz")) == [
        ("verify", "damaged-bundle", None, None)
    ]


def test_a_custom_operator_without_a_kernel_in_onnx(onnx: Path, tmp_path: Path) -> None:
    graph = model(
        [node("Fancy", ["input"], "logits", domain="com.acme")],
        [value("input", (1, 1, 8, 8))],
        outputs=[value("logits", (1, 10))],
        opsets={"": 17, "com.acme": 1},
    ).SerializeToString()
    made = altered(onnx, tmp_path / "custom.pyz", {model_path(onnx): lambda _: graph})
    assert found(made.path) == [("run", "missing-operator", None, "com.acme.Fancy")]


def test_a_custom_operator_without_a_kernel_in_tflite(litert: Path, tmp_path: Path) -> None:
    graph = tflite_bytes(
        Graph(
            tensors=[Tensor("input", (1, 8)), Tensor("output", (1, 10))],
            operators=[Operator("FancyMaths", (0,), (1,))],
            inputs=(0,),
            outputs=(1,),
        )
    )
    made = altered(litert, tmp_path / "custom.pyz", {model_path(litert): lambda _: graph})
    assert found(made.path) == [("run", "missing-operator", None, "FancyMaths")]


def test_an_import_that_fails(litert: Path, tmp_path: Path) -> None:
    def needs_more(code: bytes) -> bytes:
        return b"import fancy_maths\n" + code

    wheel = in_wheel({"ai_edge_litert/interpreter.py": needs_more})
    made = altered(litert, tmp_path / "import.pyz", {wheel_path(litert, "ai-edge-litert"): wheel})
    assert found(made.path) == [("run", "import-failure", None, "fancy_maths")]


def test_a_bundle_for_another_python(litert: Path, tmp_path: Path) -> None:
    made = altered(litert, tmp_path / "python.pyz", python="3.9")
    # Once, though the bundle itself refuses as well.
    assert found(made.path) == [("audit", "misfit", None, "Python 3.9")]


def model_path(bundle: Path) -> str:
    with open_bundle(str(bundle)) as opened:
        return opened.manifest.model.path
