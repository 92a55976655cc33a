"""Which built-in operators, up to which version, a release of the TFLite runtimes has.

Read out of the published x86-64 wheels of tflite-runtime 2.13.0 and 2.14.0 and of ai-edge-litert
1.0.1, 1.4.0, 2.0.3 and 2.3.0: each was given a model of one operator for every built-in code and
the versions 1 to 20, and asked whether its interpreter finds the operator. Releases between two of
these are taken to be like the older one.
"""

from typing import Final

# Highest version in tflite-runtime 2.13.
_BASE: Final[dict[int, tuple[str, ...]]] = {
    1: (
        "ADD_N", "ASSIGN_VARIABLE", "ATAN2", "BITCAST", "BITWISE_XOR", "BROADCAST_ARGS",
        "BUCKETIZE", "CALL_ONCE", "CEIL", "COMPLEX_ABS", "CONV_3D", "CONV_3D_TRANSPOSE", "COS",
        "CUMSUM", "DENSIFY", "DYNAMIC_UPDATE_SLICE", "ELU", "EMBEDDING_LOOKUP_SPARSE",
        "EXPAND_DIMS", "FLOOR", "HARD_SWISH", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT",
        "HASHTABLE_LOOKUP", "HASHTABLE_SIZE", "IF", "IMAG", "L2_POOL_2D",
        "LOCAL_RESPONSE_NORMALIZATION", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR",
        "LSH_PROJECTION", "MATRIX_DIAG", "MATRIX_SET_DIAG", "MULTINOMIAL", "NEG",
        "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "ONE_HOT", "POW", "PRELU",
        "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "RANGE", "RANK", "READ_VARIABLE", "REAL",
        "REDUCE_ALL", "REDUCE_ANY", "RELU_0_TO_1", "RELU_N1_TO_1", "RESHAPE", "REVERSE_SEQUENCE",
        "RFFT2D", "RIGHT_SHIFT", "ROUND", "SCATTER_ND", "SEGMENT_SUM", "SELECT_V2", "SHAPE",
        "SIN", "SKIP_GRAM", "SQRT", "SQUARE", "UNIQUE", "UNSORTED_SEGMENT_MAX",
        "UNSORTED_SEGMENT_MIN", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_SUM", "VAR_HANDLE",
        "WHILE", "ZEROS_LIKE",
    ),
    2: (
        "DEPTH_TO_SPACE", "DIV", "EXP", "FAKE_QUANT", "FLOOR_MOD", "GELU", "GREATER",
        "L2_NORMALIZATION", "LEAKY_RELU", "LESS_EQUAL", "LOG_SOFTMAX", "REDUCE_PROD", "RSQRT",
        "SIGN", "SPACE_TO_DEPTH", "SPLIT_V", "SQUARED_DIFFERENCE", "SQUEEZE", "SUM", "WHERE",
    ),
    3: (
        "ARG_MAX", "ARG_MIN", "AVERAGE_POOL_2D", "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN", "BROADCAST_TO", "CONCATENATION", "EMBEDDING_LOOKUP",
        "FLOOR_DIV", "GREATER_EQUAL", "LESS", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MIRROR_PAD",
        "NOT_EQUAL", "PACK", "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6",
        "REVERSE_V2", "RNN", "SELECT", "SOFTMAX", "SPARSE_TO_DENSE", "TANH", "TILE", "TOPK_V2",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
    ),
    4: (
        "BATCH_MATMUL", "BATCH_TO_SPACE_ND", "EQUAL", "FILL", "GATHER_ND", "LSTM", "MAXIMUM",
        "MINIMUM", "PAD", "PADV2", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
        "SPACE_TO_BATCH_ND", "SPLIT", "SVDF", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UNPACK",
    ),
    5: ("ABS", "ADD", "CAST", "DEQUANTIZE", "SLICE", "SUB"),
    6: ("GATHER", "STRIDED_SLICE", "TRANSPOSE"),
    7: ("CONV_2D", "DEPTHWISE_CONV_2D", "MUL"),
    10: ("FULLY_CONNECTED",),
}  # fmt: skip
# What each release added or raised; the order of time, so that a later one has all before it.
_RAISED: Final[dict[tuple[str, tuple[int, int]], dict[str, int]]] = {
    ("tflite-runtime", (2, 13)): {},
    ("tflite-runtime", (2, 14)): {
        "CONCATENATION": 4, "PACK": 4, "RANGE": 2, "SELECT": 4, "SELECT_V2": 2, "SLICE": 6,
        "STRIDED_SLICE": 8,
    },
    ("ai-edge-litert", (1, 0)): {
        "CAST": 6, "CONV_2D": 8, "DEQUANTIZE": 6, "DILATE": 1, "DYNAMIC_UPDATE_SLICE": 2,
        "EMBEDDING_LOOKUP": 4, "FULLY_CONNECTED": 13, "GATHER": 7, "GATHER_ND": 5, "LOG": 2,
        "REDUCE_WINDOW": 1, "RSQRT": 3, "STABLEHLO_ADD": 1, "STABLEHLO_COMPOSITE": 1,
        "STABLEHLO_GATHER": 1, "STABLEHLO_MAXIMUM": 1, "STABLEHLO_MINIMUM": 1,
        "STABLEHLO_MULTIPLY": 1, "STABLEHLO_PAD": 1, "STABLEHLO_REDUCE_WINDOW": 1,
        "STABLEHLO_RNG_BIT_GENERATOR": 1, "STABLEHLO_SCATTER": 1, "TRANSPOSE_CONV": 5,
    },
    ("ai-edge-litert", (1, 4)): {
        "CAST": 7, "DYNAMIC_UPDATE_SLICE": 4, "STABLEHLO_AND": 1, "STABLEHLO_SHIFT_LEFT": 1,
        "TRANSPOSE": 7,
    },
    ("ai-edge-litert", (2, 0)): {
        "PAD": 5, "PADV2": 5, "SQRT": 2,
    },
    ("ai-edge-litert", (2, 3)): {
        "ADD": 6, "BROADCAST_TO": 4, "CAST": 9, "CONCATENATION": 7, "COS": 2, "DEQUANTIZE": 9,
        "DYNAMIC_UPDATE_SLICE": 6, "EMBEDDING_LOOKUP": 5, "EQUAL": 5, "FILL": 5,
        "FULLY_CONNECTED": 14, "GATHER": 8, "GATHER_ND": 6, "GELU": 3, "MUL": 8, "NOT_EQUAL": 4,
        "PACK": 5, "PAD": 6, "PADV2": 6, "QUANTIZE": 6, "REVERSE_V2": 4, "SIN": 2, "SLICE": 8,
        "SOFTMAX": 4, "SPLIT": 5, "SPLIT_V": 3, "TRANSPOSE": 9, "UNPACK": 6,
    },
}  # fmt: skip

# Custom operators that come with the runtime. The last three run inside its XNNPACK delegate.
_CUSTOM: Final[dict[str, frozenset[str]]] = {
    "tflite-runtime": frozenset(
        {"AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess"}
    ),
    "ai-edge-litert": frozenset(
        {
            "AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess",
            "Convolution2DTransposeBias", "MaxPoolingWithArgmax2D", "MaxUnpooling2D",
        }
    ),
}  # fmt: skip


def releases() -> tuple[tuple[str, tuple[int, int]], ...]:
    """Return the releases that were read, oldest first."""
    return tuple(_RAISED)


def custom_operators(distribution: str) -> frozenset[str]:
    """Return the custom operators that the runtime brings along."""
    return _CUSTOM.get(distribution, frozenset())


def operator_versions(distribution: str, version: tuple[int, int]) -> dict[str, int] | None:
    """Return the highest version of every built-in operator; None for a runtime not known."""
    known = [v for name, v in _RAISED if name == distribution and v <= version]
    if not known:
        return None
    versions = {name: number for number, names in _BASE.items() for name in names}
    for release, raised in _RAISED.items():
        versions.update(raised)
        if release == (distribution, max(known)):
            break
    return versions
