"""Where a runtime really computes in 16-bit floats, and where it only stores them."""

from collections.abc import Sequence
from typing import Final

# Linux's name for half-precision vector arithmetic (Armv8.2, FEAT_FP16).
_FEATURE: Final = "asimdhp"
# fp16_conv.cc and fp16_pool.cc, registered where MlasFp16AccelerationSupported().
_FIRST: Final = (1, 15)
_ONNX_RUNTIME: Final = ("onnxruntime", "onnxruntime-gpu")
_TFLITE: Final = ("tflite", "ai-edge-litert", "tflite-runtime")


def computes_in_half(features: Sequence[str], runtime: str, version: str) -> str | None:
    """Return why the runtime does not compute convolutions in half precision, None where it does.

    `features` are the processor's, by Linux's names. On ONNX Runtime's CPU provider only Arm builds
    have kernels for half precision, used where the processor has the arithmetic; around every other
    operator it puts casts to 32 bits (insert_cast_transformer.cc). Matrix products are cast even
    there: pull request 19744 took the kernel away in 2024, 29709 brings it back (1.29 was slow on
    x86 with it, issue 32255, and refused models on Arm, 32186). LiteRT widens half-precision weights
    when it loads a model, unless XNNPACK is told otherwise (its README, "Half precision inference"),
    for which Python's interpreter has no option.
    """
    if runtime in _TFLITE:
        return "TFLite widens half-precision weights to 32 bits when it loads them"
    if runtime not in _ONNX_RUNTIME:
        return f"nothing is known of half precision on {runtime}"
    if _FEATURE not in features:
        return (
            f"the processor has no half-precision arithmetic ({_FEATURE}): ONNX Runtime puts casts"
            " to 32 bits around every operator"
        )
    if _release(version) < _FIRST:
        return f"ONNX Runtime {version} has no half-precision kernels (since 1.15)"
    return None


def _release(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())
