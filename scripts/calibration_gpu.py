"""Calibrations of cloud GPUs, from the shares of the peak that published rows reach."""

from collections.abc import Iterable
from statistics import fmean

from calibration_rows import Row, rounded

from edge.records.target import Calibration, Target

SOURCE = "scripts/calibration/rows.csv by scripts/calibrate_targets.py"

# Rows of data-centre GPUs are int8 and fp16 in TensorRT. fp32 in onnxruntime is taken to reach at
# least half the share of the peak that they reach with full batches, and at most 95 %.
GPU_SLOWER = 2.0
GPU_HIGHEST_SHARE = 0.95
# Fused kernels of the rows' networks in TensorRT (general knowledge), to price a launch.
GPU_KERNELS = {"resnet": 60, "bert": 120}
GPU_PER_QUERY_NS = 500_000.0
# Dense peaks in tera-operations a second: fp16, int8 (data sheets; the A2 by general knowledge).
GPU_PEAKS = {
    "NVIDIA T4": (65, 130),
    "NVIDIA L4": (121, 242),
    "NVIDIA A10": (125, 250),
    "NVIDIA A30": (165, 330),
    "NVIDIA A100-PCIe-80GB": (312, 624),
    "NVIDIA A100-SXM-80GB": (312, 624),
    "NVIDIA A2": (18, 36),
}


def gpu_calibrations(target: Target, rows: Iterable[Row]) -> list[Calibration]:
    """Return the calibrations of a cloud GPU from the shares of the peak that GPUs reach."""
    shares, launches, count = [], [], 0
    full: dict[tuple[str, str, str], float] = {}
    ours = [row for row in rows if row.device in GPU_PEAKS]
    for row in ours:
        share = row.rate * 2 / 1e12 / GPU_PEAKS[row.device][row.precision == "int8"]
        if "offline" in row.model or "batch 32" in row.model:
            shares.append(share)
            key = (row.device, row.precision, row.family)
            full[key] = max(full.get(key, 0.0), row.rate)
        count += 1
    for row in ours:
        key = (row.device, row.precision, row.family)
        if row.model.endswith(("singlestream", "batch 1")) and key in full:
            launch = row.latency_ns - row.macs / full[key] * 1e9
            launches.append(launch / GPU_KERNELS[row.family])
    device = target.accelerator
    assert device is not None
    # Not int8: onnxruntime's CUDA provider computes quantised convolutions in floating point.
    peaks = {"fp32": device.fp32_flops_per_s, "fp16": device.fp16_flops_per_s}
    found = []
    for precision, peak in peaks.items():
        if peak is None:
            continue
        macs_per_s = peak.value / 2
        found.append(
            Calibration(
                precision=precision,  # type: ignore[arg-type]
                threads=1,
                rate_low_macs_per_s=rounded(min(shares) / GPU_SLOWER * macs_per_s),
                rate_typical_macs_per_s=rounded(fmean(shares) * macs_per_s),
                rate_high_macs_per_s=rounded(GPU_HIGHEST_SHARE * macs_per_s),
                per_operator_ns=rounded(max(launches)),
                per_query_ns=GPU_PER_QUERY_NS,
                rows=count,
                runtime="TensorRT",
                source=f"{SOURCE}; shares of the peak that seven GPUs reach",
                relative="NVIDIA A2, A10, A30, A100, L4 and T4",
            )
        )
    return found
