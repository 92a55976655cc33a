"""What may go into a bundle, and how its outputs are compared: pure decisions of packaging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from packaging.version import InvalidVersion, Version

from edge.errors import BundleError, UsageError, printable
from edge.reasoning.runtime_faults import fault_of
from edge.records.model import Format, ModelInfo, Precision
from edge.records.platform import Platform
from edge.records.target import TargetRuntime
from edge.records.tensor import TensorSpec
from edge.units import format_bytes

AUTO: Final = "auto"
# Our backend of each distribution that a target may name.
_BACKENDS: Final[Mapping[str, str]] = {
    "onnxruntime": "onnxruntime",
    "tflite-runtime": "tflite",
    "ai-edge-litert": "tflite",
}
_FORMAT_NAMES: Final[Mapping[Format, str]] = {"onnx": "ONNX", "tflite": "TFLite"}
# Every release of the runtimes has three numbers.
_NUMBERS: Final = 3

# Resident memory of a bundle's child with a model of 25 kB on x86-64: onnxruntime 1.32.0 63 MB,
# ai-edge-litert 2.3.0 49 MB, numpy 2.4.6 included in both.
_RUNTIME_BYTES = {"onnxruntime": 63_000_000, "tflite": 49_000_000}
# fp32 outputs on emulated Arm and on x86-64 were seen to differ by at most 6e-7; other runtimes
# and versions sum in other orders. fp16 has 11 bits of precision.
_TOLERANCES: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 1e-2}
# A quantised network may round to the neighbouring step in any layer, and x86 processors without
# VNNI saturate where Arm does not: 5 % of the largest output.
_QUANTISED_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How outputs are compared; records/manifest.py says what the fields mean."""

    compare: Literal["close", "top1"]
    atol: float
    rtol: float


def choose_runtime(
    platform: Platform,
    model_format: Format,
    formats: Mapping[str, str],
    wanted: str | None,
    elsewhere: Sequence[str],
    *,
    version: str | None = None,
) -> TargetRuntime:
    """Return the platform's runtime for a model of that format, or the one of that name.

    `wanted` is auto (as None is), a backend or a distribution. Of several the first is taken that
    the platform has in `version`, else the first. `formats` tells the format of each backend,
    `elsewhere` the targets that have a runtime for the model's.

    Raises:
        BundleError: the platform has no runtime for it.
        UsageError: there is no runtime of the wanted name, or it cannot run the model.
    """
    asked = None if wanted == AUTO else wanted
    if asked is not None:
        _require_format(platform, model_format, formats, asked)
    format_name = _FORMAT_NAMES[model_format]
    fitting = [r for r in platform.runtimes if formats.get(r.backend) == model_format]
    if not fitting:
        others = {formats[r.backend] for r in platform.runtimes if r.backend in formats}
        remedies = [
            f"convert the model to {_FORMAT_NAMES[o]}" for o in _FORMAT_NAMES if o in others
        ]
        remedies += [f"take another target: {', '.join(elsewhere)}"] if elsewhere else []
        what = f"it has no runtime for {format_name} models"
        raise BundleError(what, where=platform.name, hint=", or ".join(remedies) or None)
    named = [r for r in fitting if asked in (None, r.distribution, r.backend)]
    if not named:
        names = " or ".join(f"--runtime {r.distribution}" for r in fitting)
        what = f"--runtime {printable(asked)}: it has none"
        raise UsageError(what, where=platform.name, hint=f"take {names}, or another target")
    exact = [r for r in named if version is not None and _same(r.version, version)]
    return (exact or named)[0]


def _require_format(
    platform: Platform, model_format: Format, formats: Mapping[str, str], asked: str
) -> None:
    """Refuse a runtime that does not exist, and one that runs the other format.

    Raises:
        UsageError: with what to do.
    """
    backends = {**{r.distribution: r.backend for r in platform.runtimes}, **_BACKENDS}
    backend = asked if asked in formats else backends.get(asked)
    if backend is None:
        names = ", ".join(dict.fromkeys([AUTO, *formats, *_BACKENDS]))
        what = f"--runtime {printable(asked)}: no such runtime"
        raise UsageError(what, where=platform.name, hint=f"runtimes: {names}")
    runs = next((f for f in _FORMAT_NAMES if f == formats.get(backend)), None)
    if runs != model_format and runs is not None:
        own, other = _FORMAT_NAMES[model_format], _FORMAT_NAMES[runs]
        what = f"--runtime {asked} runs {other} models only; this one is {own}"
        fitting = [
            r.distribution for r in platform.runtimes if formats.get(r.backend) == model_format
        ]
        remedies = [f"take --runtime {name}" for name in fitting[:1]]
        remedies.append(f"convert the model to {other}")
        raise UsageError(what, where=platform.name, hint=", or ".join(remedies))


def runtime_at(runtime: TargetRuntime, version: str) -> TargetRuntime:
    """Return the runtime in another version, whose wheels are not pinned but have to be resolved.

    Raises:
        UsageError: it is no version.
    """
    try:
        parsed = Version(version)
    except InvalidVersion:
        what = f"--runtime-version {printable(version)}: not a version"
        raise UsageError(what, hint=f"it is like {runtime.version}") from None
    if _same(runtime.version, version):
        return runtime
    missing = _NUMBERS - len(parsed.release)
    exact = str(parsed) if missing <= 0 else f"{parsed}{'.0' * missing}"
    return replace(runtime, version=exact, wheels=(), note=None)


def require_sound_runtime(platform: Platform, runtime: TargetRuntime) -> None:
    """Refuse a release that is known to fail on the platform's processor.

    Raises:
        BundleError: with what happens, where it is reported, and a release that is sound.
    """
    fault = fault_of(runtime, platform.architecture, platform.cpu_features)
    if fault is not None:
        what = f"{runtime.distribution} {runtime.version} {fault.what}"
        hint = f"take --runtime-version {fault.sound} or newer ({fault.source})"
        raise BundleError(what, where=platform.name, hint=hint)


def require_processor(platform: Platform) -> None:
    """Refuse a processor that lacks what every wheel of its architecture takes for granted.

    Raises:
        BundleError: it lacks some.
    """
    missing = platform.lacking_features
    if missing and platform.cpu_features:
        what = f"its processor lacks {', '.join(missing)}, which the runtimes' wheels are built for"
        raise BundleError(what, where=platform.name)


def require_memory(platform: Platform, info: ModelInfo, runtime: TargetRuntime) -> None:
    """Refuse a model that cannot fit: its weights and activations once, and the runtime.

    Raises:
        BundleError: that is more than the platform's usable memory.
    """
    usable = platform.usable_memory_bytes
    own = _RUNTIME_BYTES.get(runtime.backend, 0)
    needed = info.weights_bytes + (info.peak_activation_bytes or 0) + own
    if usable is not None and needed > usable:
        what = (
            f"the model needs at least {format_bytes(needed)} of memory with its runtime, and "
            f"{format_bytes(usable)} can be used"
        )
        hint = "take a smaller or quantised model, or a target with more memory"
        raise BundleError(what, where=platform.name, hint=hint)


def comparison(
    precision: Precision, outputs: Sequence[TensorSpec], largest: float, *, real_inputs: bool
) -> Comparison:
    """Return how outputs are compared on the device.

    `largest` is the largest magnitude of any expected output. With real inputs a quantised
    classifier has to choose the same class; with random ones its choice would hang on a hair.
    """
    tolerance = _TOLERANCES.get(precision)
    if tolerance is not None:
        return Comparison(compare="close", atol=tolerance, rtol=tolerance)
    if real_inputs and all(_is_class_scores(spec) for spec in outputs):
        return Comparison(compare="top1", atol=0.0, rtol=0.0)
    return Comparison(compare="close", atol=_QUANTISED_SHARE * largest, rtol=_QUANTISED_SHARE)


def _is_class_scores(spec: TensorSpec) -> bool:
    shape = spec.shape or ()
    return len(shape) == 2 and isinstance(shape[-1], int) and shape[-1] > 1


def _same(left: str, right: str) -> bool:
    try:
        return Version(left) == Version(right)
    except InvalidVersion:
        return False
