import pytest

from edge.reasoning.half_precision import computes_in_half

WIDENED = "TFLite widens half-precision weights to 32 bits when it loads them"
CAST = (
    "the processor has no half-precision arithmetic (asimdhp): ONNX Runtime puts casts to 32 bits"
    " around every operator"
)


@pytest.mark.parametrize(
    ("features", "runtime", "version", "wanted"),
    [
        (("asimd", "asimdhp", "asimddp"), "onnxruntime", "1.32.0", None),
        (("asimdhp",), "onnxruntime", "1.15.1", None),
        (("asimd",), "onnxruntime", "1.32.0", CAST),
        (("avx512f", "avx512_fp16"), "onnxruntime", "1.32.0", CAST),
        (
            ("asimdhp",),
            "onnxruntime",
            "1.14.1",
            "ONNX Runtime 1.14.1 has no half-precision kernels (since 1.15)",
        ),
        (("asimdhp",), "tflite", "2.14.0", WIDENED),
        (("asimdhp",), "ai-edge-litert", "2.3.0", WIDENED),
        (("asimdhp",), "openvino", "2026.1", "nothing is known of half precision on openvino"),
    ],
)
def test_where_half_precision_is_computed_in(
    features: tuple[str, ...], runtime: str, version: str, wanted: str | None
) -> None:
    assert computes_in_half(features, runtime, version) == wanted
