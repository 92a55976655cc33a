"""What kind of network it looks like, by stated rules on operators and sizes.

The rules stand in docs/reference/inspect.md; the first that holds gives the answer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.formats.costs import Counted
from edge.records.tensor import TensorSpec

_TREES: Final = {"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"}
_LINEAR: Final = {"LinearClassifier", "LinearRegressor", "SVMClassifier", "SVMRegressor"}
_ATTENTION: Final = {
    "Attention", "QAttention", "MultiHeadAttention", "GroupQueryAttention", "PagedAttention",
    "SparseAttention",
}  # fmt: skip
_SUPPRESSION: Final = {
    "NonMaxSuppression", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5",
    "TFLite_Detection_PostProcess", "EfficientNMS_TRT", "BatchedNMS_TRT",
}  # fmt: skip
_SOFTMAX: Final = {"Softmax", "SOFTMAX", "QLinearSoftmax"}
_LANGUAGE_MODEL_PARAMETERS: Final = 500_000_000
_DIFFUSION_PARAMETERS: Final = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    names: Counter[str]
    dense: float
    depthwise: float
    matmul: float
    recurrent: float
    attention: bool


def looks_like(
    counted: Sequence[Counted],
    parameters: int,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> str:
    """Return a few words for the kind of network."""
    facts = _facts(counted)
    names = facts.names
    convolution = facts.dense + facts.depthwise
    if _TREES & names.keys():
        return "tree ensemble"
    if _LINEAR & names.keys() and not convolution:
        return "linear model"
    if facts.attention and _is_diffusion(convolution, parameters, inputs, outputs):
        return "diffusion network"
    if facts.attention and _is_language_model(parameters, inputs):
        return "large language model"
    if facts.recurrent >= 0.1:
        return "recurrent network"
    # A distribution over classes at the end is a reader of sequences, not boxes.
    ends_in_classes = bool(counted) and counted[-1].cost.op_type in _SOFTMAX
    anchors = _has_anchors(inputs, outputs) and not ends_in_classes
    if convolution and (_SUPPRESSION & names.keys() or anchors):
        return "detector"
    if facts.attention and convolution < 0.5:
        return "transformer"
    if convolution >= 0.5:
        return _convolutional(counted, facts)
    if facts.matmul:
        products = sum(c.cost.kind == "matmul" and c.cost.calls != 0 for c in counted)
        return "perceptron" if products > 1 else "linear model"
    return "unknown"


def _facts(counted: Sequence[Counted]) -> _Facts:
    active = [c.cost for c in counted if c.cost.calls != 0]
    known = all(c.macs is not None for c in active)
    shares: Counter[str] = Counter()
    for cost in active:
        # Without shapes every operator with products counts the same.
        work = (cost.macs or 0) * (cost.calls or 1) if known else int(cost.macs != 0)
        shares[cost.kind] += work
    total = sum(shares[kind] for kind in ("dense", "depthwise", "matmul", "recurrent")) or 1
    names = Counter(cost.op_type for cost in active)
    between = sum(
        cost.kind == "matmul" and cost.macs != 0 and cost.weight_bytes == 0 for cost in active
    )
    softmax = sum(names[name] for name in _SOFTMAX)
    return _Facts(
        names=names,
        dense=shares["dense"] / total,
        depthwise=shares["depthwise"] / total,
        matmul=shares["matmul"] / total,
        recurrent=shares["recurrent"] / total,
        # Two products of activations with a softmax between them.
        attention=bool(_ATTENTION & names.keys()) or (between >= 2 and softmax >= 1),
    )


def _convolutional(counted: Sequence[Counted], facts: _Facts) -> str:
    kinds = Counter(c.cost.kind for c in counted if c.cost.calls != 0)
    if kinds["depthwise"] >= 3 and kinds["depthwise"] * 4 >= kinds["dense"]:
        return "mobile convolutional network"
    return "convolutional network with attention" if facts.attention else "convolutional network"


def _is_diffusion(
    convolution: float,
    parameters: int,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> bool:
    """Whether an image with a time step goes in, and an image of as many channels comes out."""
    images = [spec for spec in inputs if spec.shape is not None and len(spec.shape) == 4]
    steps = [spec for spec in inputs if spec.shape is not None and len(spec.shape) <= 1]
    back = [spec for spec in outputs if spec.shape is not None and len(spec.shape) == 4]
    large = parameters >= _DIFFUSION_PARAMETERS
    return bool(images and steps and back and large and convolution > 0.1)


def _is_language_model(parameters: int, inputs: Sequence[TensorSpec]) -> bool:
    """Whether text goes in, and there is a cache of keys or half a billion parameters."""
    tokens = any(spec.dtype in ("int64", "int32") for spec in inputs)
    cache = any("past" in spec.name or "cache" in spec.name for spec in inputs)
    return tokens and (cache or parameters >= _LANGUAGE_MODEL_PARAMETERS)


def _has_anchors(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bool:
    """Whether an image goes in and many boxes come out: anchors x 4 or more, and scores."""
    images = [spec for spec in inputs if spec.shape is not None and len(spec.shape) == 4]
    shapes = [spec.shape for spec in outputs if spec.shape is not None and len(spec.shape) == 3]
    numbers = [[d for d in shape if isinstance(d, int)] for shape in shapes]
    rows = Counter(sizes[1] for sizes in numbers if len(sizes) == 3)
    pairs = any(times >= 2 and anchors >= 100 for anchors, times in rows.items())
    # The YOLO family: one output, boxes and scores in one row.
    single = len(outputs) == 1 and any(
        len(sizes) == 3 and min(sizes[1:]) >= 5 and max(sizes[1:]) >= 1000 for sizes in numbers
    )
    return bool(images) and (pairs or single)
