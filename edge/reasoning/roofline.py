"""How long one inference takes on a target, from its work and published rates: an interval.

One inference takes about max(MACs / rate, bytes / bandwidth) + operators x per-operator cost +
per-query cost. The interval's ends take the rates that 90 % of the calibration's rows lie
between, widened where the model or the runtime is unlike those rows. docs/adr/0007-first-estimates.md
tells how the rates were had and how often the interval holds the truth.
"""

from dataclasses import dataclass

from edge.reasoning.likeness import Widening, widenings
from edge.records.estimate import Estimate
from edge.records.model import ModelInfo, RuntimeSupport
from edge.records.target import Calibration, Target

# Winograd's F(2x2, 3x3) needs 2.25 times fewer multiplications than are counted (Lavin and Gray,
# Fast Algorithms for Convolutional Neural Networks, 2015), so the floor of a convolution must
# allow for it; a matrix product has no such way.
_WINOGRAD = 2.25
# AMX does eight times the int8 operations of AVX-512 VNNI a cycle (Intel's Optimization Manual).
_AMX = 8
# A target's bandwidth figure is what a program measured; the bus of a Raspberry Pi 4 has 2.3
# times as much. A floor takes three times the figure.
_BUS_OVER_MEASURED = 3
# Weights below this size may stay in a cache from one query to the next.
_CACHED_BYTES = 32 << 20
# An operator's fixed cost was fitted to networks of 10 million MACs and more. At the low end it is
# left out, because small operators were not among the rows; at the high end it counts 1.5 times.
_OVERHEAD_AT_MOST = 1.5
# The per-query cost of a calibration is an upper bound; a typical query pays about a quarter, and
# the cheapest a hundredth: 1 µs on a CPU, where a call of onnxruntime took 3 to 5 µs at 3 GHz.
_TYPICAL_SHARE = 0.25
_LEAST_SHARE = 0.01

_MIB = 1 << 20
# Resident memory of a process with the runtime and a model of a few kB (65 MB and 40 MB measured
# on x86-64 with onnxruntime 1.32 and tflite-runtime 2.14), halved and doubled for other versions.
_RUNTIME_BYTES = {"onnxruntime": (32 * _MIB, 130 * _MIB), "tflite": (20 * _MIB, 80 * _MIB)}
# CUDA's context and libraries on the device (assumed: 300 to 1,000 MB are seen in practice).
_GPU_CONTEXT_BYTES = (300 * _MIB, 1000 * _MIB)
# Runtimes keep packed copies beside the weights (a 3.4 GB network took 7 GB in onnxruntime), and
# an arena is larger than the highest sum of live tensors.
_WEIGHT_COPIES = 2.0
_FP16_WEIGHT_COPIES = 3.0
_ARENA = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """The part of the target that computes: its peak and its memory."""

    threads: int
    peak_macs_per_s: float
    bandwidth_bytes_per_s: float
    calibrations: tuple[Calibration, ...]


def runs_on_gpu(target: Target, support: RuntimeSupport) -> bool:
    """Whether that runtime of the target computes on its accelerator."""
    names = {r.distribution for r in target.runtimes if r.distribution.endswith("-gpu")}
    return target.accelerator is not None and support.runtime in names


def estimate(
    info: ModelInfo, target: Target, support: RuntimeSupport, *, batch: int = 1
) -> Estimate:
    """Predict the service time of one inference of the model on the target.

    In a batch the inferences share the fixed costs; the result is still that of one. Without a
    calibration that resembles the model, the result is a floor: it has no upper end.
    """
    gpu = runs_on_gpu(target, support)
    machine = _machine(target, info, gpu=gpu)
    widening = widenings(info, target, support)
    calibration = _calibration(machine.calibrations, info, gpu=gpu)
    floor_ns = _floor_ns(info, machine)
    memory = _memory_bytes(info, gpu=gpu)
    common = {
        "target": target.name,
        "model": info.name,
        "runtime": f"{support.runtime} {support.runtime_version}",
        "precision": info.precision,
        "threads": machine.threads,
        "memory_low_bytes": memory[0],
        "memory_bytes": memory[1],
    }
    why_not = _why_not_calibrated(info, calibration)
    if why_not is not None or calibration is None or info.macs is None:
        basis = f"a floor from the hardware's peak: {why_not}"
        return Estimate(
            low_ns=floor_ns,
            typical_ns=None,
            high_ns=None,
            calibrated=False,
            bound="compute",
            basis=basis,
            **common,  # type: ignore[arg-type]
        )
    times = _times(info, info.macs, machine, calibration, widening, batch=batch)
    low_ns = max(round(times.low_ns), floor_ns)
    typical_ns = max(round(times.typical_ns), low_ns)
    return Estimate(
        low_ns=low_ns,
        typical_ns=typical_ns,
        high_ns=max(round(times.high_ns), typical_ns),
        calibrated=True,
        bound=times.bound,  # type: ignore[arg-type]
        basis=_basis(calibration, widening),
        **common,  # type: ignore[arg-type]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Times:
    low_ns: float
    typical_ns: float
    high_ns: float
    bound: str


def _times(
    info: ModelInfo,
    macs: int,
    machine: _Machine,
    calibration: Calibration,
    widening: tuple[Widening, ...],
    *,
    batch: int,
) -> _Times:
    slower, faster = 1.0, 1.0
    for one in widening:
        slower *= one.slower
        faster *= one.faster
    compute = macs / calibration.rate_typical_macs_per_s * 1e9
    compute_low = macs / (calibration.rate_high_macs_per_s * faster) * 1e9
    compute_high = macs / calibration.rate_low_macs_per_s * slower * 1e9
    bandwidth = machine.bandwidth_bytes_per_s
    streamed = _streamed_bytes(info) / bandwidth * 1e9
    moved = _known_moved_bytes(info) / bandwidth * 1e9
    queries = calibration.per_query_ns / batch
    operators = _operator_calls(info) * calibration.per_operator_ns / batch
    overhead = operators + queries * _TYPICAL_SHARE
    parts = {"compute": compute, "memory": streamed, "overhead": overhead}
    return _Times(
        low_ns=max(compute_low, streamed / _BUS_OVER_MEASURED) + queries * _LEAST_SHARE,
        typical_ns=max(compute, streamed) + overhead,
        high_ns=max(compute_high, moved) + _OVERHEAD_AT_MOST * operators + queries,
        bound=max(parts, key=lambda name: parts[name]),
    )


def _machine(target: Target, info: ModelInfo, *, gpu: bool) -> _Machine:
    cpu = target.cpu
    if gpu and target.accelerator is not None:
        device = target.accelerator
        flops = device.fp32_flops_per_s.value
        if info.precision != "fp32":
            faster = (device.fp16_flops_per_s, device.int8_ops_per_s)
            flops = max([flops, *(f.value for f in faster if f is not None)])
        return _Machine(
            threads=1,
            peak_macs_per_s=flops / 2,
            bandwidth_bytes_per_s=device.bandwidth_bytes_per_s.value,
            calibrations=target.calibrations,
        )
    per_cycle = cpu.fp32_flops_per_cycle.value
    if info.precision != "fp32":
        per_cycle = max(2 * per_cycle, cpu.int8_ops_per_cycle.value)
        per_cycle *= _AMX if "amx_int8" in cpu.features else 1
    return _Machine(
        threads=int(cpu.cores.value),
        peak_macs_per_s=cpu.cores.value * cpu.clock_hz.value * per_cycle / 2,
        bandwidth_bytes_per_s=target.memory.bandwidth_bytes_per_s.value,
        # What was calibrated on a cloud GPU says nothing of the processor beside it.
        calibrations=() if target.kind == "cloud-gpu" else target.calibrations,
    )


def _calibration(
    calibrations: tuple[Calibration, ...], info: ModelInfo, *, gpu: bool
) -> Calibration | None:
    by_precision = {c.precision: c for c in calibrations}
    if gpu and info.precision in ("int8", "mixed"):
        # onnxruntime's CUDA provider computes quantised convolutions in floating point.
        return by_precision.get("fp32")
    if info.precision == "mixed":
        # Some layers run in int8 and some in float: no row says how many, so both ends are taken.
        return _both(by_precision.get("fp32"), by_precision.get("int8"))
    if info.precision == "fp16" and not gpu:
        # Our runtimes on a CPU store fp16 and compute in fp32.
        return by_precision.get("fp32")
    return by_precision.get(info.precision)


def _both(first: Calibration | None, second: Calibration | None) -> Calibration | None:
    if first is None or second is None:
        return first
    return Calibration(
        precision="fp32",
        threads=first.threads,
        rate_low_macs_per_s=min(first.rate_low_macs_per_s, second.rate_low_macs_per_s),
        rate_typical_macs_per_s=first.rate_typical_macs_per_s,
        rate_high_macs_per_s=max(first.rate_high_macs_per_s, second.rate_high_macs_per_s),
        per_operator_ns=max(first.per_operator_ns, second.per_operator_ns),
        per_query_ns=max(first.per_query_ns, second.per_query_ns),
        rows=first.rows + second.rows,
        runtime=first.runtime,
        source=first.source,
        relative=first.relative,
    )


def _why_not_calibrated(info: ModelInfo, calibration: Calibration | None) -> str | None:
    if info.macs is None:
        return "the shapes are not all known (give them with --shape)"
    if info.macs == 0:
        return "the model has no multiply-accumulates, and nothing like it was calibrated"
    if calibration is None:
        return f"no published {info.precision} figures of this machine or a relative"
    return None


def _basis(calibration: Calibration, widening: tuple[Widening, ...]) -> str:
    place = f" of {calibration.relative}, scaled" if calibration.relative else ""
    text = f"{calibration.rows} published rows{place} ({calibration.runtime})"
    reasons = "; ".join(w.reason for w in widening)
    return f"{text}; widened: {reasons}" if reasons else text


def _floor_ns(info: ModelInfo, machine: _Machine) -> int:
    multiplications = sum(
        (o.macs or 0) * o.least_calls / (_WINOGRAD if o.kind == "dense" else 1)
        for o in info.operators
    )
    compute = multiplications / machine.peak_macs_per_s
    memory = _streamed_bytes(info) / (machine.bandwidth_bytes_per_s * _BUS_OVER_MEASURED)
    return int(max(compute, memory) * 1e9)


def _streamed_bytes(info: ModelInfo) -> int:
    # Weights that no cache holds are read again by every query.
    return info.weights_bytes if info.weights_bytes > _CACHED_BYTES else 0


def _known_moved_bytes(info: ModelInfo) -> int:
    known = sum((o.moved_bytes or 0) * o.least_calls for o in info.operators)
    return max(known, info.weights_bytes)


def _operator_calls(info: ModelInfo) -> int:
    return sum(o.least_calls for o in info.operators)


def _memory_bytes(info: ModelInfo, *, gpu: bool) -> tuple[int, int | None]:
    backend = "tflite" if info.format == "tflite" else "onnxruntime"
    own_low, own_high = _GPU_CONTEXT_BYTES if gpu else _RUNTIME_BYTES[backend]
    low = info.weights_bytes + own_low
    if info.peak_activation_bytes is None:
        return low, None
    copies = _FP16_WEIGHT_COPIES if info.precision == "fp16" else _WEIGHT_COPIES
    high = copies * info.weights_bytes + _ARENA * info.peak_activation_bytes + own_high
    return low, int(high)
