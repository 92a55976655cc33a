"""The published rows of scripts/calibration/rows.csv, and which of them stand for which target."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.records.target import Target

ROWS = Path(__file__).resolve().parent / "calibration" / "rows.csv"

# The same networks on the same Raspberry Pi 5 took onnxruntime 1.25 to 3.0 times as long as ncnn
# (published side by side, 13 pairs); half precision explains up to 2 of that. So where all rows are
# ncnn's, ours may be 1.6 times slower or 1.25 times faster.
OTHER_RUNTIME = (1.6, 1.25)
# Scaled from a relative by cores, clock and vector width: assumed, both ways.
RELATIVE = (1.5, 1.5)
# fp32 from fp16 rows: half the lanes, but what is not arithmetic does not get slower.
FROM_FP16 = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One published latency, and the work of its model."""

    device: str
    runtime: str
    precision: str
    threads: int
    model: str
    family: str
    macs: float
    operators: int | None
    latency_ns: float

    @property
    def rate(self) -> float:
        """Multiply-accumulates a second, everything included."""
        return self.macs / self.latency_ns * 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of one device at some threads and one precision, times `scale`."""

    device: str
    precision: str
    threads: tuple[int, ...]
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which rows stand for one target and one precision, and how far they are from it."""

    target: str
    precision: str
    parts: tuple[Part, ...]
    relative: str | None = None
    slower: float = 1.0
    faster: float = 1.0


def own(target: str, device: str, threads: int, precisions: str = "fp32 int8") -> list[Plan]:
    """Plan for a target that has rows of its own, by ncnn alone."""
    slower, faster = OTHER_RUNTIME
    return [
        Plan(
            target=target,
            precision=precision,
            parts=(Part(device=device, precision=precision, threads=(threads,)),),
            slower=slower,
            faster=faster,
        )
        for precision in precisions.split()
    ]


def azure(target: str, threads: tuple[int, ...]) -> list[Plan]:
    """Plan for an x86-64 cloud machine of which two vCPUs are one core."""
    slower, faster = OTHER_RUNTIME
    # Two vCPUs are one core with two threads: between one thread and two of a large machine.
    return [
        Plan(
            target=target,
            precision=precision,
            parts=tuple(
                Part(device=device, precision=precision, threads=threads)
                for device in ("Azure D64s v6", "Azure D64as v7")
            ),
            relative="Azure D64s v6 and D64as v7",
            slower=slower,
            faster=faster,
        )
        for precision in ("fp32", "int8")
    ]


def plans(targets: Iterable[Target]) -> list[Plan]:
    """Return what to fit, as far as the targets exist."""
    by_name = {target.name: target for target in targets}
    found = [
        *own("rpi-zero2w", "Raspberry Pi Zero 2 W", 4),
        *own("rpi3", "Raspberry Pi 3 Model B+", 4),
        *own("jetson-nano", "Jetson Nano", 4),
        *own("rpi5", "Raspberry Pi 5", 4, "int8"),
        *azure("cloud-cpu", (1, 2)),
        *azure("cloud-cpu-4c", (2, 4)),
    ]
    for precision in ("fp32", "int8"):
        # Three runtimes are among the rows, TFLite one of them: nothing to widen.
        pi4 = (Part(device="Raspberry Pi 4 Model B", precision=precision, threads=(4,)),)
        found.append(Plan(target="rpi4", precision=precision, parts=pi4))
        # 32-bit code has half the vector registers: assumed to cost up to a factor of two.
        found.append(
            Plan(
                target="rpi4-32bit",
                precision=precision,
                parts=pi4,
                relative="rpi4",
                slower=2.0,
            )
        )
    found.append(
        Plan(
            target="rpi5",
            precision="fp32",
            parts=(
                Part(device="Raspberry Pi 5", precision="fp32", threads=(4,)),
                Part(device="Raspberry Pi 5", precision="fp16", threads=(4,), scale=FROM_FP16),
            ),
            faster=OTHER_RUNTIME[1],
        )
    )
    found += _from_larger(
        "jetson-orin-nano",
        "Jetson Orin Nano",
        (6,),
        relative=None,
        clock_hz=1.5e9,
        by_name=by_name,
    )
    # c7g's Neoverse V1 has twice the vector width of the rows' Neoverse N2; not counted on.
    found += _from_larger(
        "cloud-cpu-arm",
        "Azure D64ps v6",
        (2,),
        relative="Azure D64ps v6",
        clock_hz=3.4e9,
        by_name=by_name,
    )
    return [plan for plan in found if plan.target in by_name]


def _from_larger(
    target: str,
    device: str,
    threads: tuple[int, ...],
    *,
    relative: str | None,
    clock_hz: float,
    by_name: dict[str, Target],
) -> list[Plan]:
    # int8 rows as they are, fp32 from fp16 rows; both by the clock where it is another one.
    if target not in by_name:
        return []
    clock = by_name[target].cpu.clock_hz.value / clock_hz
    slower, faster = (a * b for a, b in zip(OTHER_RUNTIME, RELATIVE, strict=True))
    return [
        Plan(
            target=target,
            precision=precision,
            parts=(Part(device=device, precision=rows, threads=threads, scale=scale),),
            relative=relative,
            slower=slower if relative else OTHER_RUNTIME[0],
            faster=faster if relative else OTHER_RUNTIME[1],
        )
        for precision, rows, scale in (
            ("fp32", "fp16", clock * FROM_FP16),
            ("int8", "int8", clock),
        )
    ]


def read_rows() -> list[Row]:
    """Read the published rows."""
    with ROWS.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                device=line["device"],
                runtime=line["runtime"].split(" v")[0].split(";")[0],
                precision=line["precision"],
                threads=int(line["threads"] or 0),
                model=line["model"],
                family=line["family"],
                macs=float(line["macs_million"]) * 1e6,
                operators=int(line["operators"]) if line["operators"] else None,
                latency_ns=float(line["latency_ms"]) * 1e6,
            )
            for line in csv.DictReader(file)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A row on the target's scale."""

    row: Row
    scale: float

    @property
    def latency_ns(self) -> float:
        """Latency, as the target would take it."""
        return self.row.latency_ns / self.scale


def samples(plan: Plan, rows: Iterable[Row]) -> list[Sample]:
    """Return the plan's rows, scaled to the target."""
    found = []
    for row in rows:
        for part in plan.parts:
            same = (row.device, row.precision) == (part.device, part.precision)
            if same and row.threads in part.threads:
                found.append(Sample(row=row, scale=part.scale))
    return found


def rounded(value: float) -> float:
    """Keep three digits."""
    digits = 3 - math.ceil(math.log10(value))
    return float(round(value, digits))
