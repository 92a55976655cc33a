"""Which runtime and which version of it a bundle takes, and what is said when it cannot."""

from dataclasses import replace

import pytest

from edge.adapters.targets import load_target
from edge.errors import BundleError, UsageError
from edge.reasoning.bundling import choose_runtime, require_sound_runtime, runtime_at
from edge.reasoning.runtime_faults import FAULTS
from edge.records.model import Format
from edge.records.platform import platform_of

FORMATS = {"onnxruntime": "onnx", "tflite": "tflite"}
PI = platform_of(load_target("rpi4"))
PI_5 = platform_of(load_target("rpi5"))
PI_32 = platform_of(load_target("rpi4-32bit"))
JETSON = platform_of(load_target("jetson-nano"))
ONNX, LITERT, TFLITE = PI.runtimes


@pytest.mark.parametrize(
    ("wanted", "version", "model_format", "distribution"),
    [
        (None, None, "onnx", "onnxruntime"),
        ("auto", None, "onnx", "onnxruntime"),
        ("auto", None, "tflite", "ai-edge-litert"),
        ("onnxruntime", None, "onnx", "onnxruntime"),
        ("tflite", None, "tflite", "ai-edge-litert"),
        ("ai-edge-litert", None, "tflite", "ai-edge-litert"),
        ("tflite-runtime", None, "tflite", "tflite-runtime"),
        # Of several, the one that the target has in that version.
        ("tflite", "2.14", "tflite", "tflite-runtime"),
        ("auto", "2.14.0", "tflite", "tflite-runtime"),
        ("auto", "1.4.0", "tflite", "ai-edge-litert"),
        ("auto", "odd", "tflite", "ai-edge-litert"),
    ],
)
def test_what_is_taken(
    wanted: str | None, version: str | None, model_format: Format, distribution: str
) -> None:
    chosen = choose_runtime(PI, model_format, FORMATS, wanted, (), version=version)
    assert chosen.distribution == distribution


def test_auto_takes_what_the_target_has() -> None:
    assert choose_runtime(PI_32, "tflite", FORMATS, "auto", ()).distribution == "tflite-runtime"
    assert choose_runtime(JETSON, "tflite", FORMATS, "tflite", ()).version == "2.13.0"


@pytest.mark.parametrize(
    ("target", "model_format", "wanted", "what", "hint"),
    [
        (
            "rpi4", "onnx", "tflite",
            "rpi4: --runtime tflite runs TFLite models only; this one is ONNX",
            "take --runtime onnxruntime, or convert the model to TFLite",
        ),
        (
            "rpi4-32bit", "onnx", "tflite-runtime",
            "rpi4-32bit: --runtime tflite-runtime runs TFLite models only; this one is ONNX",
            "convert the model to TFLite",
        ),
        (
            "rpi4", "tflite", "onnxruntime",
            "rpi4: --runtime onnxruntime runs ONNX models only; this one is TFLite",
            "take --runtime ai-edge-litert, or convert the model to ONNX",
        ),
        (
            "jetson-nano", "tflite", "ai-edge-litert",
            "jetson-nano: --runtime ai-edge-litert: it has none",
            "take --runtime tflite-runtime, or another target",
        ),
        (
            "rpi4", "onnx", "torch\n",
            "rpi4: --runtime torch\\n: no such runtime",
            "runtimes: auto, onnxruntime, tflite, tflite-runtime, ai-edge-litert",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(
    target: str, model_format: Format, wanted: str, what: str, hint: str
) -> None:
    platform = platform_of(load_target(target))
    with pytest.raises(UsageError) as caught:
        choose_runtime(platform, model_format, FORMATS, wanted, ())
    assert (str(caught.value), caught.value.hint) == (what, hint)


def test_another_version_has_no_pins() -> None:
    assert ONNX.wheels
    assert runtime_at(ONNX, "1.32.0") is ONNX
    assert runtime_at(ONNX, "1.32") is ONNX
    older = runtime_at(ONNX, "1.31")
    assert older == replace(ONNX, version="1.31.0", wheels=(), note=None)
    assert runtime_at(ONNX, "1.31.1rc1").version == "1.31.1rc1"
    provided = runtime_at(PI_32.runtimes[0], "2.13.0")
    assert (provided.provided, provided.apt_packages) == (("numpy==1.24.2",), ("python3-numpy",))


def test_what_is_no_version() -> None:
    with pytest.raises(UsageError) as caught:
        runtime_at(LITERT, "newest")
    assert str(caught.value) == "--runtime-version newest: not a version"
    assert caught.value.hint == "it is like 2.3.0"


# Processors.


def test_a_release_that_fails_on_the_processor() -> None:
    bad = runtime_at(ONNX, "1.21.0")
    with pytest.raises(BundleError) as caught:
        require_sound_runtime(PI, bad)
    assert str(caught.value) == (
        "rpi4: onnxruntime 1.21.0 stops with an illegal instruction on processors without "
        "fp16 arithmetic (asimdhp)"
    )
    assert caught.value.hint == (
        "take --runtime-version 1.21.1 or newer (microsoft/onnxruntime issues 23957 and 24112)"
    )
    for version in ("1.20.1", "1.21.1", "1.22.0", "1.32.0"):
        require_sound_runtime(PI, runtime_at(ONNX, version))
    require_sound_runtime(PI_5, bad)
    require_sound_runtime(replace(PI, cpu_features=()), bad)
    require_sound_runtime(replace(PI, architecture="x86_64"), bad)
    require_sound_runtime(PI, replace(TFLITE, version="1.21.0"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.distribution}")
def test_every_known_fault_has_a_source_and_a_way_out(fault: object) -> None:
    (known,) = (f for f in FAULTS if f is fault)
    assert known.source
    assert known.sound not in known.versions
