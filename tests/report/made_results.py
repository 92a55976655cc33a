"""Records made by hand for the tests of the report; the figures mean nothing."""

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Any

from edge.adapters.results import Results
from edge.records.host import Energy, HostFacts, HostState, Reading, Telemetry
from edge.records.measurement import (
    Frames,
    Measurement,
    ModelRef,
    RuntimeRef,
    SessionConfig,
    Stage,
)
from edge.records.model import ModelInfo, OperatorCost, OpsetVersion
from edge.records.scenario import Scenario
from edge.records.tensor import TensorSpec
from edge.records.verdict import Assumption, Candidate, CostPoint, Crossover, Verdict
from edge.records.workload import Workload

SHA256 = "ab" * 32


def results(
    *,
    verdicts: Sequence[Verdict] = (),
    measurements: Sequence[Measurement] = (),
    models: Sequence[ModelInfo] = (),
) -> Results:
    return Results(models=tuple(models), measurements=tuple(measurements), verdicts=tuple(verdicts))


def candidate(target: str = "rpi4", **changes: Any) -> Candidate:
    made = Candidate(
        target=target,
        title="Raspberry Pi 4 Model B",
        kind="edge",
        fit="fits",
        binding="none",
        reason="its upper response time is 62 ms, the limit is 100 ms",
        provenance="measured",
        basis="200 queries on this board",
        service_low_ns=30_000_000,
        service_typical_ns=34_000_000,
        service_high_ns=40_000_000,
        low_ns=41_000_000,
        typical_ns=50_000_000,
        high_ns=62_000_000,
        replicas=1,
        utilisation=0.34,
        headroom=1.6,
        capacity_per_s=18.0,
        cost_per_month=3.1,
        cost_per_million=0.12,
        next_command=None,
    )
    return dataclasses.replace(made, **changes)


def refusal(target: str = "rpi-zero2w", **changes: Any) -> Candidate:
    """A target that does not fit, of which only a floor is known."""
    return candidate(
        target,
        **{
            "title": "Raspberry Pi Zero 2 W",
            "fit": "does-not-fit",
            "binding": "latency",
            "reason": "even its lower response time, 150 ms, is above the limit of 100 ms",
            "provenance": "predicted",
            "low_ns": 150_000_000,
            "typical_ns": None,
            "high_ns": None,
            "replicas": None,
            "utilisation": None,
            "headroom": None,
            "capacity_per_s": None,
            "cost_per_month": None,
            "cost_per_million": None,
            **changes,
        },
    )


def doubt(target: str = "jetson-nano", **changes: Any) -> Candidate:
    """A target whose interval holds the limit."""
    return candidate(
        target,
        **{
            "title": "Jetson Nano 4 GB",
            "fit": "undecided",
            "binding": "measurement",
            "reason": "the limit of 100 ms lies inside 60 ms to 180 ms",
            "provenance": "predicted",
            "low_ns": 60_000_000,
            "typical_ns": 95_000_000,
            "high_ns": 180_000_000,
            "cost_per_month": 4.6,
            "next_command": "edgekit package net.onnx --target jetson-nano",
            **changes,
        },
    )


def unknown(target: str = "cloud-cpu", **changes: Any) -> Candidate:
    """A target of which nothing is known."""
    names = [f.name for f in dataclasses.fields(Candidate)]
    optional = {n: None for n in names if n.endswith(("_ns", "_per_s", "_month", "_million"))}
    return candidate(
        target,
        **{
            **optional,
            "title": "Cloud CPU, 2 vCPU",
            "kind": "cloud-cpu",
            "fit": "undecided",
            "binding": "operators",
            "reason": "no estimate",
            "provenance": "none",
            "basis": "",
            "replicas": None,
            "utilisation": None,
            "headroom": None,
            **changes,
        },
    )


def verdict(**changes: Any) -> Verdict:
    names = ("rpi4", "cloud-cpu", "cloud-gpu-t4")
    loads = [0.1 * 10 ** (k / 6) for k in range(25)]
    points = tuple(
        CostPoint(
            load_per_s=load,
            cost_per_month=(
                3.1 * max(math.ceil(load / 18), 1) if load < 140 else None,
                30.0 * max(math.ceil(load / 60), 1),
                380.0 * max(math.ceil(load / 2500), 1),
            ),
        )
        for load in loads
    )
    made = Verdict(
        answer="edge",
        chosen="rpi4",
        reason="Raspberry Pi 4 Model B is the cheapest of 3 targets that fit.",
        model="net.onnx",
        model_sha256=SHA256,
        workload=Workload(latency_limit_ms=100.0, load_per_s=10.0),
        candidates=(
            refusal(),
            doubt(),
            candidate(),
            candidate(
                "cloud-gpu-t4",
                title="Cloud GPU, NVIDIA T4",
                kind="cloud-gpu",
                provenance="predicted",
                low_ns=2_000_000,
                typical_ns=3_000_000,
                high_ns=9_000_000,
                cost_per_month=380.0,
            ),
            unknown(),
        ),
        crossovers=(
            Crossover(load_per_s=144.0, below="rpi4", above="cloud-cpu"),
            Crossover(load_per_s=720.0, below="cloud-cpu", above="cloud-gpu-t4"),
        ),
        plotted_targets=names,
        cost_points=points,
        assumptions=(
            Assumption(
                name="electricity", value="0.25 USD per kWh", source="https://example.org/power."
            ),
            Assumption(name="write-off of a board", value="36 months", source="assumed"),
        ),
        next_command=None,
        edgekit_version="0.1.0",
    )
    return dataclasses.replace(made, **changes)


def latencies(count: int, seed: int = 1) -> tuple[int, ...]:
    """About 30 ms with a tail to the right, as measured latencies have it."""
    chance = random.Random(seed)
    return tuple(int(3e7 * (1 + chance.expovariate(12))) for _ in range(count))


def measurement(count: int = 1000, **changes: Any) -> Measurement:
    state = HostState(
        clock_hz=1_800_000_000,
        governor="ondemand",
        temperature_celsius=51.2,
        load_1min=0.14,
        memory_available_bytes=3 << 30,
    )
    made = Measurement(
        provenance="measured",
        started_unix_ns=1_700_000_000_000_000_000,
        edgekit_version="0.1.0",
        target="rpi4",
        model=ModelRef(name="net.onnx", format="onnx", sha256=SHA256, file_bytes=123_456),
        config=SessionConfig(backend="onnxruntime", threads=4),
        runtime=RuntimeRef(
            distribution="onnxruntime",
            version="1.23.2",
            providers=("CPUExecutionProvider",),
            threads=4,
        ),
        host=HostFacts(
            machine="aarch64",
            system="Linux 6.1",
            libc="glibc 2.36",
            python="3.11.2",
            cpu_model="Cortex-A72",
            cpu_features=("neon",),
            cores_online=4,
            cores_allowed=4,
            cpu_quota=None,
            memory_bytes=4 << 30,
            memory_available_bytes=3 << 30,
            memory_limit_bytes=None,
            board="Raspberry Pi 4 Model B Rev 1.4",
        ),
        before=state,
        after=state,
        import_ns=400_000_000,
        load_ns=120_000_000,
        first_inference_ns=45_000_000,
        warmup_ns=(33_000_000, 31_000_000),
        latencies_ns=latencies(count),
        peak_memory_bytes=90 << 20,
        memory_before_load_bytes=40 << 20,
        flaws=(),
    )
    return dataclasses.replace(made, **changes)


def telemetry(*, throttled: bool = True) -> Telemetry:
    """Fifty readings that warm up to 82 degrees; the clock is lowered for two times ten of them."""
    readings = []
    for k in range(50):
        slow = throttled and (20 <= k < 30 or k >= 40)
        readings.append(
            Reading(
                at_ns=k * 1_000_000_000,
                clock_hz=1_000_000_000 if slow else 1_800_000_000,
                temperature_celsius=82 - 30 * math.exp(-k / 10),
                throttled=("the clock is capped",) if slow else (),
                memory_available_bytes=3 << 30,
            )
        )
    return Telemetry(1_000_000_000, 120_000, 6_000_000, 3, tuple(readings))


def full_measurement(**changes: Any) -> Measurement:
    """A server run with all that a measurement may hold."""
    made = measurement(
        900,
        scenario=Scenario("server", target_qps=20.0, limit_ns=60_000_000),
        duration_ns=45_000_000_000,
        loop_overhead_ns=130,
        telemetry=telemetry(),
        stages=(
            Stage("decode", (4_000_000,) * 80),
            Stage("resize", (1_000_000,) * 80),
            Stage("inference", (30_000_000,) * 80),
            Stage("decode boxes", (5_000_000,) * 12),
            Stage("never ran", ()),
        ),
        frames=Frames("/dev/video0", 30.0, 900, 12),
        energy=Energy("the board's rails", 200, 6_000_000_000, 5.1, 0.153, 2.1, 0.09),
        rounds=(300, 300, 300),
    )
    return dataclasses.replace(made, **changes)


def operator(op_type: str = "Conv", **changes: Any) -> OperatorCost:
    made = OperatorCost(
        name=f"{op_type}_0",
        op_type=op_type,
        domain="",
        subgraph="",
        kind="dense",
        calls=1,
        macs=1_000_000,
        input_bytes=4096,
        weight_bytes=2048,
        output_bytes=4096,
    )
    return dataclasses.replace(made, **changes)


def model(**changes: Any) -> ModelInfo:
    made = ModelInfo(
        name="net.onnx",
        format="onnx",
        sha256=SHA256,
        file_bytes=123_456,
        external_files=(),
        producer="pytorch 2.6",
        ir_version=8,
        opsets=(OpsetVersion(domain="", version=17),),
        operator_versions=(("Conv", 11), ("Relu", 14)),
        inputs=(TensorSpec("image", "float32", ("batch", 3, 224, 224)),),
        outputs=(TensorSpec("scores", "float32", ("batch", 1000)),),
        parameters=25_000,
        weights_bytes=100_000,
        peak_activation_bytes=1 << 20,
        precision="fp32",
        looks_like="convolutional image classifier",
        custom_operators=(),
        operators=(
            operator(),
            operator(macs=3_000_000),
            operator("Relu", macs=0, weight_bytes=0, kind="elementwise"),
        ),
        risks=(),
    )
    return dataclasses.replace(made, **changes)
