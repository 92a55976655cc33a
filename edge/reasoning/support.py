"""Whether the runtimes of a target can run a model's operators: pure tables, no runtime."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge.reasoning import onnxruntime_operators, tflite_operators
from edge.reasoning.onnxruntime_operators import NEWEST, OLDEST_OPSET, ceiling, has_kernel
from edge.reasoning.tflite_operators import custom_operators, operator_versions
from edge.records.model import ModelInfo, RuntimeSupport
from edge.records.target import Target, TargetRuntime

# The file format that each of our backends runs.
_FORMATS: Final = {"onnxruntime": "onnx", "tflite": "tflite"}
_SPELLED: Final = {"onnx": "ONNX", "tflite": "TFLite"}
# Their CUDA kernels are more than the CPU's, and what has none falls back to the CPU.
_GPU_DISTRIBUTION: Final = "onnxruntime-gpu"
_MOST_NAMED: Final = 5


def runtime_support(info: ModelInfo, target: Target) -> tuple[RuntimeSupport, ...]:
    """Say for each runtime of the target whether it can run the model, and if not, why."""
    return tuple(support_by(info, target.name, runtime) for runtime in target.runtimes)


def support_by(info: ModelInfo, target: str, runtime: TargetRuntime) -> RuntimeSupport:
    """Say whether one runtime can run the model, and if not, why; `target` is for the record."""
    reasons = tuple(_reasons(info, runtime))
    return RuntimeSupport(
        target=target,
        runtime=runtime.distribution,
        runtime_version=runtime.version,
        supported=not reasons,
        reasons=reasons,
    )


def support_remedy(
    info: ModelInfo, runtime: TargetRuntime, targets: Sequence[Target]
) -> str | None:
    """Return what to do about a runtime that cannot run a model; None: edgekit knows nothing.

    Names the oldest release that is known to run it, and those of the targets whose runtimes do.
    """
    remedies = []
    oldest = _oldest_that_runs(info, runtime)
    if oldest is not None:
        number = ".".join(map(str, oldest.version))
        remedies.append(f"{oldest.distribution} {number} is the first that is known to run it")
    having = [
        target.name
        for target in targets
        if target.kind != "cloud-gpu" and any(not tuple(_reasons(info, r)) for r in target.runtimes)
    ]
    if having:
        remedies.append(f"targets whose runtime does: {', '.join(having)}")
    return "; ".join(remedies) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    distribution: str
    version: tuple[int, int]


def _oldest_that_runs(info: ModelInfo, runtime: TargetRuntime) -> _Release | None:
    if info.format == "onnx":
        known = [
            _Release(distribution="onnxruntime", version=version)
            for version in onnxruntime_operators.releases()
        ]
    else:
        known = [
            _Release(distribution=name, version=version)
            for name, version in tflite_operators.releases()
        ]
    backend = next(name for name, runs in _FORMATS.items() if runs == info.format)
    for release in known:
        version = ".".join(map(str, (*release.version, 0)))
        other = replace(
            runtime, backend=backend, distribution=release.distribution, version=version, wheels=()
        )
        if not tuple(_reasons(info, other)):
            return release
    return None


def _reasons(info: ModelInfo, runtime: TargetRuntime) -> Iterator[str]:
    runs = _FORMATS.get(runtime.backend)
    if runs is None:
        yield f"edgekit does not know what {runtime.distribution} runs"
    elif runs != info.format:
        yield f"runs {_SPELLED[runs]} files, not {_SPELLED[info.format]}"
    elif info.format == "onnx":
        yield from _onnx_reasons(info, runtime)
    else:
        yield from _tflite_reasons(info, runtime)


def _version(text: str) -> tuple[int, int]:
    numbers = [int(part) for part in text.split(".")[:2] if part.isdigit()]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)


def _onnx_reasons(info: ModelInfo, runtime: TargetRuntime) -> Iterator[str]:
    version = _version(runtime.version)
    most = ceiling(version)
    if most is None:
        yield f"edgekit knows no {runtime.distribution} as old as {runtime.version}"
        return
    # A release accepts all that older ones do; what it accepts beyond those is not known.
    least = (
        f", at least, and edgekit knows no more of {runtime.version}" if version > NEWEST else ""
    )
    if info.ir_version > most.ir:
        yield f"IR version {info.ir_version} is newer than it reads ({most.ir}{least})"
    for opset in info.opsets:
        highest = {"": most.opset, "ai.onnx.ml": most.ml_opset}.get(opset.domain)
        if highest is not None and opset.version > highest:
            name = "opset" if opset.domain == "" else f"{opset.domain} opset"
            yield f"{name} {opset.version} is newer than it has ({highest}{least})"
        if opset.domain == "" and opset.version < OLDEST_OPSET:
            yield f"opset {opset.version} is older than it supports ({OLDEST_OPSET})"
    if info.custom_operators:
        yield f"custom operators: {_listed(info.custom_operators)}"
    lacking = sorted(
        {
            operator.op_type
            for operator in info.operators
            if not has_kernel(operator.domain, operator.op_type, version)
            and not (runtime.distribution == _GPU_DISTRIBUTION and operator.domain)
        }
    )
    if lacking:
        known = f"edgekit knows no kernel in {runtime.version} for" if least else ""
        yield f"{known or 'operators that it has no kernel for'}: {_listed(lacking)}"


def _tflite_reasons(info: ModelInfo, runtime: TargetRuntime) -> Iterator[str]:
    versions = operator_versions(runtime.distribution, _version(runtime.version))
    if versions is None:
        yield f"edgekit has no table for {runtime.distribution} {runtime.version}"
        return
    missing = [name for name, _ in info.operator_versions if name not in versions]
    if missing:
        yield f"operators that it lacks: {_listed(missing)}"
    newer = [
        f"{name} version {number} (it has {versions[name]})"
        for name, number in info.operator_versions
        if number > versions.get(name, number)
    ]
    if newer:
        yield f"operators newer than it has: {_listed(newer)}"
    known = custom_operators(runtime.distribution)
    custom = [name for name in info.custom_operators if name not in known]
    if custom:
        yield f"custom operators that it lacks: {_listed(custom)}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
