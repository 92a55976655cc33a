"""Targets, models and measurements made by hand for the tests of advice: round figures."""

import dataclasses
import itertools
from typing import Any

from edge.records.host import HostFacts, HostState
from edge.records.measurement import Measurement, ModelRef, RuntimeRef, SessionConfig
from edge.records.model import ModelInfo, OperatorCost, OpsetVersion, RuntimeSupport
from edge.records.target import (
    Accelerator,
    Calibration,
    Cpu,
    Figure,
    Memory,
    OperatingSystem,
    Power,
    Price,
    Target,
    TargetKind,
    TargetRuntime,
)
from edge.records.tensor import TensorSpec

SHA256 = "cd" * 32
_STATE = HostState(None, None, None, None, None)


def figure(value: float) -> Figure:
    return Figure(value=value, source="made for a test", date="2026-01-31")


def calibration(low: float, typical: float, high: float, **changes: Any) -> Calibration:
    """Rates in GMAC/s; no overheads unless they are given."""
    made = Calibration(
        precision="fp32",
        threads=4,
        rate_low_macs_per_s=low * 1e9,
        rate_typical_macs_per_s=typical * 1e9,
        rate_high_macs_per_s=high * 1e9,
        per_operator_ns=0.0,
        per_query_ns=0.0,
        rows=16,
        runtime="ncnn",
        source="made for a test",
    )
    return dataclasses.replace(made, **changes)


def target(name: str = "board", kind: TargetKind = "edge", **changes: Any) -> Target:
    """Four cores of 1 GHz and 8 FLOPs a cycle: 16 GMAC/s; 8 GB/s; 36 or 0.1 USD."""
    gpu = Accelerator(
        name="GPU",
        memory_bytes=figure(16e9),
        bandwidth_bytes_per_s=figure(300e9),
        fp32_flops_per_s=figure(8e12),
        fp16_flops_per_s=figure(64e12),
    )
    price = Price(purchase_usd=figure(36)) if kind == "edge" else Price(hourly_usd=figure(0.1))
    distribution = "onnxruntime-gpu" if kind == "cloud-gpu" else "onnxruntime"
    made = Target(
        name=name,
        title=f"The {name}",
        kind=kind,
        cpu=Cpu(
            model="Cortex-A72",
            architecture="aarch64" if kind == "edge" else "x86_64",
            cores=figure(4),
            clock_hz=figure(1e9),
            fp32_flops_per_cycle=figure(8),
            int8_ops_per_cycle=figure(16),
            features=("asimd",),
            features_source="made for a test",
        ),
        memory=Memory(
            capacity_bytes=figure(2e9),
            usable_bytes=figure(1e9),
            bandwidth_bytes_per_s=figure(8e9),
        ),
        os=OperatingSystem(
            name="Debian", glibc="2.36", libstdcxx="3.4.30", python="3.11", source="made for a test"
        ),
        price=price,
        runtimes=(
            TargetRuntime(backend="onnxruntime", distribution=distribution, version="1.32.0"),
        ),
        accelerator=gpu if kind == "cloud-gpu" else None,
        power=Power(idle_w=figure(2), load_w=figure(5)) if kind == "edge" else None,
        calibrations=(calibration(2, 4, 8),),
    )
    return dataclasses.replace(made, **changes)


def operator(kind: str = "dense", macs: int | None = 1_000_000, **changes: Any) -> OperatorCost:
    made = OperatorCost(
        name="op",
        op_type="Conv",
        domain="",
        subgraph="",
        kind=kind,  # type: ignore[arg-type]
        calls=1,
        macs=macs,
        input_bytes=1000,
        weight_bytes=1000,
        output_bytes=1000,
    )
    return dataclasses.replace(made, **changes)


def info(macs: int | None = 100_000_000, operators: int = 10, **changes: Any) -> ModelInfo:
    """A model of `operators` dense convolutions with `macs` multiply-accumulates in all."""
    each = None if macs is None else macs // operators
    made = ModelInfo(
        name="model.onnx",
        format="onnx",
        sha256=SHA256,
        file_bytes=1_000_000,
        external_files=(),
        producer="a test",
        ir_version=9,
        opsets=(OpsetVersion(domain="", version=17),),
        operator_versions=(),
        inputs=(TensorSpec("input", "float32", (1, 3, 224, 224)),),
        outputs=(TensorSpec("output", "float32", (1, 1000)),),
        parameters=250_000,
        weights_bytes=1_000_000,
        peak_activation_bytes=2_000_000,
        precision="fp32",
        looks_like="a convolutional network",
        custom_operators=(),
        operators=tuple(operator(macs=each) for _ in range(operators)),
        risks=(),
    )
    return dataclasses.replace(made, **changes)


def support(
    of: Target, *, supported: bool = True, reasons: tuple[str, ...] = ()
) -> tuple[RuntimeSupport, ...]:
    return tuple(
        RuntimeSupport(
            target=of.name,
            runtime=runtime.distribution,
            runtime_version=runtime.version,
            supported=supported,
            reasons=reasons,
        )
        for runtime in of.runtimes
    )


def host(**changes: Any) -> HostFacts:
    made = HostFacts(
        machine="aarch64",
        system="Debian GNU/Linux 12",
        libc="2.36",
        python="3.11.2",
        cpu_model="Cortex-A72",
        cpu_features=("asimd",),
        cores_online=4,
        cores_allowed=4,
        cpu_quota=None,
        memory_bytes=4 << 30,
        memory_available_bytes=3 << 30,
        memory_limit_bytes=None,
        board=None,
    )
    return dataclasses.replace(made, **changes)


def measurement(
    typical_ns: int = 10_000_000,
    queries: int = 700,
    for_target: str | None = "board",
    **changes: Any,
) -> Measurement:
    """Latencies that go round in steps of a thousandth, up to 2 % above the typical one."""
    steps = itertools.cycle(range(-20, 21))
    latencies = tuple(typical_ns + next(steps) * typical_ns // 1000 for _ in range(queries))
    made = Measurement(
        provenance="measured",
        started_unix_ns=1_700_000_000_000_000_000,
        edgekit_version="0.1.0",
        target=for_target,
        model=ModelRef("model.onnx", "onnx", SHA256, 1_000_000),
        config=SessionConfig("onnxruntime", 4),
        runtime=RuntimeRef("onnxruntime", "1.32.0", ("CPUExecutionProvider",), 4),
        host=host(),
        before=_STATE,
        after=_STATE,
        import_ns=1,
        load_ns=1,
        first_inference_ns=1,
        warmup_ns=(1,),
        latencies_ns=latencies,
        peak_memory_bytes=80 << 20,
        memory_before_load_bytes=None,
        flaws=(),
    )
    return dataclasses.replace(made, **changes)
