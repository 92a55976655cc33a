"""Which form of int8 a processor's kernels are fast and right in: pure, for ONNX Runtime.

Sources: the choice of kernels in ONNX Runtime's onnxruntime/core/mlas/lib/platform.cpp and
convsym.cpp; which types the optimizer fuses in
core/optimizer/qdq_transformer/selectors_actions/qdq_selector_action_transformer.cc (int8
activations on Arm only, QDQIsInt8Allowed); the saturation of U8S8 products and what 7 bits do
against it in https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html ("When
and why do I need to try U8U8?").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

# As /proc/cpuinfo names them; AMX multiplies into 32 bits as well.
_WIDE_SUMS: Final = ("avx512_vnni", "avx_vnni", "amx_int8")
_X86: Final = ("x86_64", "amd64", "i386", "i686")
_ARM: Final = ("aarch64", "arm64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Choice:
    """The form of int8 for one processor; weights are int8 with a zero point of 0 everywhere.

    `symmetric` would put the zero points of activations into the middle. `why` is a sentence.
    """

    activations: Literal["uint8", "int8"]
    reduce_range: bool
    symmetric: bool
    why: str


def int8_choice(architecture: str, features: Sequence[str]) -> Int8Choice:
    """Return the form that ONNX Runtime computes fastest without wrong sums.

    `features` are flags as /proc/cpuinfo names them. No kernel is faster with symmetric
    activations, and a Relu is free only where the zero point may be the lowest number.
    """
    if architecture in _X86:
        return _x86(features)
    if architecture in _ARM:
        return _arm(features)
    why = "uint8 activations, and weights of 7 bits, are what every kernel computes right"
    return Int8Choice(activations="uint8", reduce_range=True, symmetric=False, why=why)


def _x86(features: Sequence[str]) -> Int8Choice:
    found = [feature for feature in _WIDE_SUMS if feature in features]
    if found:
        why = f"uint8 activations with int8 weights, in the 32-bit sums of {found[0]}"
    else:
        why = (
            "without VNNI, products of uint8 and int8 are added in 16 bits, which saturate:"
            " weights of 7 bits keep the sums right"
        )
    return Int8Choice(activations="uint8", reduce_range=not found, symmetric=False, why=why)


def _arm(features: Sequence[str]) -> Int8Choice:
    if "i8mm" in features:
        kernel = "the matrix products of i8mm (smmla)"
    elif "asimddp" in features:
        kernel = "the dot products of asimddp (sdot)"
    else:
        kernel = "16-bit products (smull), for there is no dot product"
    why = f"int8 activations and weights, in {kernel}"
    return Int8Choice(activations="int8", reduce_range=False, symmetric=False, why=why)
