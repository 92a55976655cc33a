"""What a release of ONNX Runtime accepts: operator sets, IR version, and its own operators.

Read out of the published x86-64 wheels of 1.10.0, 1.11.1, 1.12.1, 1.13.1, 1.14.1, 1.15.1, 1.16.3,
1.17.3, 1.18.1, 1.19.2, 1.20.1, 1.21.1, 1.22.1, 1.23.2, 1.24.1, 1.25.0, 1.26.0 to 1.31.0 and 1.32.0:
each was given a one-operator model for every opset of ONNX and of ai.onnx.ml and every IR version,
and asked for its table of CPU kernels (before 1.16, which has no such call: whether it knows the
operator's name). The patch release makes no difference to opsets.
"""

from dataclasses import dataclass
from typing import Final

Version = tuple[int, int]

# All releases promise opset 7 and later (the project's own compatibility page).
OLDEST_OPSET: Final = 7


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The highest versions that a release accepts."""

    opset: int
    ml_opset: int
    ir: int


_CEILINGS: Final[dict[Version, Ceiling]] = {
    (1, 10): Ceiling(15, 2, 8),
    (1, 11): Ceiling(16, 3, 8),
    (1, 12): Ceiling(17, 3, 8),
    (1, 14): Ceiling(18, 3, 8),
    (1, 15): Ceiling(18, 3, 9),
    (1, 16): Ceiling(19, 3, 9),
    (1, 17): Ceiling(20, 4, 9),
    (1, 18): Ceiling(21, 5, 10),
    (1, 21): Ceiling(22, 5, 10),
    (1, 23): Ceiling(23, 5, 11),
    (1, 24): Ceiling(25, 5, 13),
    (1, 25): Ceiling(26, 5, 13),
    (1, 32): Ceiling(28, 5, 14),
}

# com.microsoft operators with a CPU kernel, by the first of the releases above that has them.
_OWN: Final[dict[Version, tuple[str, ...]]] = {
    (1, 10): (
        "Attention", "AttnLSTM", "BiasGelu", "BifurcationDetector", "CDist",
        "ConvTransposeWithDynamicPads", "CropAndResize", "DequantizeLinear",
        "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "EmbedLayerNormalization", "ExpandDims",
        "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "GatherND", "Gelu", "GridSample",
        "Inverse", "MatMulInteger16", "MatMulIntegerToFloat", "MaxpoolWithMask", "MurmurHash3",
        "NGramRepeatBlock", "NhwcMaxPool", "Pad", "QAttention", "QEmbedLayerNormalization",
        "QGemm", "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearConv",
        "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid",
        "QuantizeLinear", "Range", "SampleOp", "SkipLayerNormalization", "SparseToDenseMatMul",
        "Tokenizer", "TransposeMatMul", "Trilu", "Unique", "WordConvEmbedding",
    ),
    (1, 11): ("BeamSearch",),
    (1, 13): ("GreedySearch", "QLinearSoftmax"),
    (1, 14): (
        "MultiHeadAttention", "QLinearWhere", "QuickGelu", "Sampling",
        "SkipSimplifiedLayerNormalization",
    ),
    (1, 16): ("MatMulBnb4", "MatMulFpQ4", "MatMulNBits", "RotaryEmbedding"),
    (1, 17): ("WhisperBeamSearch",),
    (1, 18): ("GroupQueryAttention",),
    (1, 19): ("SparseAttention",),
    (1, 20): (
        "DecoderMaskedMultiHeadAttention", "DynamicTimeWarping", "GatherBlockQuantized",
        "UnfoldTensor",
    ),
    (1, 23): ("MoE", "QMoE"),
    (1, 26): ("CausalConvWithState", "LinearAttention"),
    (1, 29): ("MRotaryEmbedding",),
    (1, 30): (
        "EngramGate", "GatedAdd", "GatedRMSNorm", "LinearAttentionGate", "NGramHashMapping",
    ),
    (1, 31): (
        "BranchwiseRMSNorm", "HyperConnectionPostMix", "HyperConnectionPreMix", "ScaledSiLU",
        "VarlenNGramHashMapping",
    ),
    (1, 32): ("GatedDeltaNet", "GatherPacked", "MoEGroupRouter", "VarlenCausalConvWithState"),
}  # fmt: skip

# ONNX's own operators that got a CPU kernel later than their opset; None: none so far.
_LATE: Final[dict[tuple[str, str], Version | None]] = {
    ("", "DeformConv"): (1, 25),
    ("", "ImageDecoder"): None,
    ("", "TensorScatter"): (1, 25),
    ("ai.onnx.ml", "TreeEnsemble"): (1, 21),
}


# The newest release that was read.
NEWEST: Final[Version] = max(_CEILINGS)


def releases() -> tuple[Version, ...]:
    """Return the releases at which what is accepted changes, oldest first."""
    return tuple(sorted({*_CEILINGS, *_OWN, *(v for v in _LATE.values() if v is not None)}))


def ceiling(version: Version) -> Ceiling | None:
    """Return what a release accepts; None for one older than edgekit knows."""
    known = [v for v in _CEILINGS if v <= version]
    return _CEILINGS[max(known)] if known else None


def has_kernel(domain: str, op_type: str, version: Version) -> bool:
    """Whether a release has a CPU kernel for an operator of ONNX, ai.onnx.ml or com.microsoft."""
    if domain == "com.microsoft":
        return any(op_type in names and since <= version for since, names in _OWN.items())
    if (domain, op_type) in _LATE:
        since = _LATE[domain, op_type]
        return since is not None and since <= version
    return True
