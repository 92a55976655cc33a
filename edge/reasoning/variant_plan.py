"""Which variants of a model are worth making for a target, and which are not, and why."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from edge.reasoning.half_precision import computes_in_half
from edge.reasoning.int8_kernels import int8_choice
from edge.records.model import ModelInfo, OperatorKind
from edge.records.optimization import PassStep
from edge.records.sweep import LeftOut

# Below this part of the multiply-accumulates a kind of operator is not worth a variant.
_WORTH: Final = 0.1
# The ranges of a percentile hold what the other methods need as well: it comes first.
_CALIBRATION_METHODS: Final = ("percentile", "minmax", "entropy")
# MatMulNBits with this level multiplies in 8 bits; in float it is slower than fp32 weights.
_IN_INT8: Final = 4
_PRUNED_PARTS: Final = (0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPlan:
    """How one variant is made: passes one after the other; `sizes` are other input shapes."""

    name: str
    steps: tuple[PassStep, ...]
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What the plan depends on beside the model.

    `architecture` and `features` are the target's processor's, as /proc/cpuinfo spells them;
    `is_here`: the target is this machine. `calibrated`: there is data to calibrate with.
    `pruned` are parts of the work to prune, `sizes` input shapes to try; `thorough`: take the
    time for what is seldom the best, too.
    """

    architecture: str
    features: tuple[str, ...]
    runtime: str
    runtime_version: str
    is_here: bool
    calibrated: bool
    thorough: bool = False
    pruned: tuple[float, ...] = ()
    sizes: tuple[Mapping[str, tuple[int, ...]], ...] = ()


def step(name: str, **options: Any) -> PassStep:
    """Return a pass with its options, each as JSON."""
    return PassStep(name=name, options=tuple((k, json.dumps(v)) for k, v in options.items()))


def options_of(taken: PassStep) -> dict[str, Any]:
    """Return the options of a step as they were given."""
    return {key: json.loads(value) for key, value in taken.options}


def plan_variants(
    info: ModelInfo, request: PlanRequest
) -> tuple[tuple[VariantPlan, ...], tuple[LeftOut, ...]]:
    """Return the variants to make, and what was left out with the reason."""
    left_out: list[LeftOut] = []
    make = _onnx_variants if info.format == "onnx" else _tflite_variants
    return tuple(make(info, request, left_out)), tuple(left_out)


def work_share(info: ModelInfo, *kinds: OperatorKind) -> float:
    """Return the part of the multiply-accumulates that operators of these kinds do."""
    total = sum(o.macs_per_inference or 0 for o in info.operators)
    part = sum(o.macs_per_inference or 0 for o in info.operators if o.kind in kinds)
    return part / total if total else 0.0


def _onnx_variants(
    info: ModelInfo, request: PlanRequest, left_out: list[LeftOut]
) -> Sequence[VariantPlan]:
    simplify = step("simplify")
    plans = [VariantPlan(name="simplified", steps=(simplify,))]
    form = step("ort_form", level="all" if request.is_here else "extended")
    plans.append(VariantPlan(name="runtime's form", steps=(form,)))
    why_not = computes_in_half(request.features, request.runtime, request.runtime_version)
    if info.precision == "fp16":
        left_out.append(LeftOut("fp16", "the model is fp16 already"))
    elif why_not is None:
        plans.append(VariantPlan(name="fp16", steps=(simplify, step("fp16"))))
    else:
        left_out.append(LeftOut("fp16", why_not))
    if info.precision in ("int8", "mixed"):
        left_out.append(LeftOut("int8", f"the model is {info.precision} already"))
    else:
        plans += _onnx_int8(info, request, simplify, left_out)
    plans += _reshaped(info, request, simplify, left_out)
    return plans


def _onnx_int8(
    info: ModelInfo, request: PlanRequest, simplify: PassStep, left_out: list[LeftOut]
) -> Sequence[VariantPlan]:
    plans: list[VariantPlan] = []
    matmul = work_share(info, "matmul")
    convolution = work_share(info, "dense", "depthwise")
    kernels = int8_choice(request.architecture, request.features)
    if matmul >= _WORTH:
        dynamic = step("dynamic_int8", per_channel=True, reduce_range=kernels.reduce_range)
        plans.append(VariantPlan(name="int8 dynamic", steps=(simplify, dynamic)))
        apart = (simplify, dynamic, step("apart_sums"))
        plans.append(VariantPlan(name="int8 dynamic, sums apart", steps=apart))
        fused = (simplify, step("fused_attention"), dynamic, step("apart_sums"))
        plans.append(VariantPlan(name="int8 dynamic, attention fused", steps=fused))
    else:
        why = "dynamic int8 of convolutions is slower than fp32, and there are few matrix products"
        left_out.append(LeftOut("int8 dynamic", why))
    if matmul >= _WORTH and request.thorough:
        weights = step("weight_only", bits=8, accuracy_level=_IN_INT8)
        plans.append(VariantPlan(name="int8 weights only", steps=(simplify, weights)))
        weights = step("weight_only", bits=4, accuracy_level=_IN_INT8)
        plans.append(VariantPlan(name="int4 weights only", steps=(simplify, weights)))
    if convolution + matmul < _WORTH:
        left_out.append(LeftOut("int8 static", "the model has no convolutions or matrix products"))
    elif not request.calibrated:
        why = "it needs inputs to find the ranges of activations: give --calibration"
        left_out.append(LeftOut("int8 static", why))
    else:
        plans += _static(request, simplify)
    return plans


def _static(request: PlanRequest, simplify: PassStep) -> Sequence[VariantPlan]:
    methods = _CALIBRATION_METHODS if request.thorough else _CALIBRATION_METHODS[:2]
    plans = [
        VariantPlan(
            name=f"int8 static, {method}", steps=(simplify, _static_step(request, method=method))
        )
        for method in methods
    ]
    careful = _static_step(request, method="percentile", keep_float="measured")
    plans.append(
        VariantPlan(name="int8 static, sensitive layers in float", steps=(simplify, careful))
    )
    return plans


def _static_step(request: PlanRequest, **options: Any) -> PassStep:
    kernels = int8_choice(request.architecture, request.features)
    return step(
        "static_int8",
        per_channel=True,
        activations=kernels.activations,
        symmetric=kernels.symmetric,
        reduce_range=kernels.reduce_range,
        **options,
    )


def _reshaped(
    info: ModelInfo, request: PlanRequest, simplify: PassStep, left_out: list[LeftOut]
) -> Sequence[VariantPlan]:
    """Return pruned variants and other input sizes, each also in int8 where that is possible."""
    plans = []
    can_prune = work_share(info, "dense", "depthwise", "matmul") >= _WORTH
    parts = request.pruned or (_PRUNED_PARTS if request.thorough else ())
    if not parts:
        why = "without training it costs accuracy: ask for it with --prune 0.2, or --thorough"
        left_out.append(LeftOut("pruned channels", why))
    elif not can_prune:
        left_out.append(LeftOut("pruned channels", "there are no convolutions to prune"))
        parts = ()
    bases: list[tuple[str, PassStep, Mapping[str, tuple[int, ...]]]] = [
        (
            f"{part:.0%} pruned",
            step("prune_channels", ratio=part, reconstruct=request.calibrated),
            {},
        )
        for part in parts
    ]
    bases += [
        (
            "input " + ", ".join("x".join(map(str, shape)) for shape in sizes.values()),
            step("input_size", shape={name: list(shape) for name, shape in sizes.items()}),
            dict(sizes),
        )
        for sizes in request.sizes
    ]
    is_float = info.precision in ("fp32", "fp16")
    for name, base, sizes in bases:
        steps = (simplify, base)
        plans.append(VariantPlan(name=name, steps=steps, sizes=sizes))
        if is_float and request.calibrated:
            static = _static_step(request, method="minmax")
            plans.append(
                VariantPlan(name=f"{name}, int8 static", steps=(*steps, static), sizes=sizes)
            )
        elif is_float and work_share(info, "matmul") >= _WORTH:
            dynamic = (*steps, step("dynamic_int8", per_channel=True), step("apart_sums"))
            plans.append(VariantPlan(name=f"{name}, int8 dynamic", steps=dynamic, sizes=sizes))
    return plans


def _tflite_variants(
    info: ModelInfo, request: PlanRequest, left_out: list[LeftOut]
) -> Sequence[VariantPlan]:
    if info.precision in ("int8", "mixed"):
        left_out.append(LeftOut("int8", f"the model is {info.precision} already"))
        return []
    plans = [
        VariantPlan(name="int8 dynamic", steps=(step("tflite_dynamic"),)),
        VariantPlan(name="fp16", steps=(step("tflite_fp16"),)),
    ]
    if request.calibrated:
        plans.append(VariantPlan(name="int8 static", steps=(step("tflite_int8"),)))
    else:
        why = "it needs inputs to find the ranges of activations: give --calibration"
        left_out.append(LeftOut("int8 static", why))
    return plans
