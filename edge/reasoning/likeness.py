"""How unlike a model and its runtime are to what the estimates were calibrated on.

The calibration's rows are convolutional networks, mostly fp32 and static int8. Everything else
widens the interval, by a factor that was seen or, where it says so, is assumed.
"""

from dataclasses import dataclass

from edge.records.model import ModelInfo, RuntimeSupport
from edge.records.target import Target

_MOSTLY = 0.5
_PARTLY = 0.1
_DYNAMIC_QUANTISATION = {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Widening:
    """A reason to widen an interval: the upper end times `slower`, the lower over `faster`."""

    slower: float
    faster: float
    reason: str


def widenings(info: ModelInfo, target: Target, support: RuntimeSupport) -> tuple[Widening, ...]:
    """Return the reasons why the calibration may be wrong for this model and this runtime."""
    found = [*_by_kind(info, target), *_by_precision(info, target, support)]
    return tuple(found)


def _by_kind(info: ModelInfo, target: Target) -> list[Widening]:
    shares = _shares(info)
    found = []
    if shares.get("recurrent", 0.0) > _PARTLY:
        # Steps follow each other, each one a small product: assumed, no published row.
        found.append(Widening(slower=4.0, faster=1.0, reason="recurrent layers"))
    # The rows of GPUs have BERT among them.
    if shares.get("matmul", 0.0) > _MOSTLY and target.kind != "cloud-gpu":
        # A transformer's products reach about the rates of dense convolutions without Winograd:
        # BERT-base 55, ViT-L/14 62 GMAC/s on a core of 125 at best, where convolutional networks
        # reached 45 to 83 %. Its attention and normalisations are not in the count of MACs.
        found.append(Widening(slower=2.0, faster=1.2, reason="mostly matrix products"))
    if shares.get("depthwise", 0.0) > _MOSTLY:
        found.append(Widening(slower=1.5, faster=1.0, reason="mostly depthwise convolutions"))
    return found


def _by_precision(info: ModelInfo, target: Target, support: RuntimeSupport) -> list[Widening]:
    old_tflite = support.runtime == "tflite-runtime"
    x86 = target.cpu.architecture == "x86_64"
    if info.precision == "fp16" and target.kind != "cloud-gpu":
        # Weights are expanded at load (TFLite) or cast around every operator (assumed).
        factor = 1.3 if info.format == "tflite" else 4.0
        return [Widening(slower=factor, faster=1.0, reason="fp16 computed in fp32")]
    if info.precision not in ("int8", "mixed"):
        return []
    if target.kind == "cloud-gpu":
        # Quantised, computed in floating point and quantised again (assumed).
        return [Widening(slower=2.0, faster=1.0, reason="int8 computed in fp32 on the GPU")]
    if any(o.op_type in _DYNAMIC_QUANTISATION for o in info.operators):
        # Dynamic int8 in onnxruntime ran at 0.10 to 0.18 times fp32 on convolutional networks.
        return [Widening(slower=10.0, faster=1.0, reason="int8 quantised at run time")]
    if x86 and old_tflite:
        # On x86-64 int8 is 8 times slower than fp32 there, and 2.5 times faster in its successor.
        return [Widening(slower=20.0, faster=1.0, reason="int8 in tflite-runtime on x86-64")]
    if info.format == "onnx":
        # Static int8 in onnxruntime was 1.9 to 3.2 times faster than fp32 with VNNI; on Arm
        # it may gain nothing (assumed).
        return [Widening(slower=2.0, faster=1.0, reason="int8 in onnxruntime")]
    return []


def _shares(info: ModelInfo) -> dict[str, float]:
    """Return each kind of operator's share of the MACs."""
    sums: dict[str, float] = {}
    for operator in info.operators:
        macs = (operator.macs or 0) * operator.least_calls
        sums[operator.kind] = sums.get(operator.kind, 0.0) + macs
    total = sum(sums.values())
    return {kind: macs / total for kind, macs in sums.items()} if total else {}
