"""Emulations made by hand for the tests of the cost gate and of the reports."""

import dataclasses
from typing import Any

from edge.records.emulation import (
    CostChange,
    Emulation,
    EmulationMatrix,
    Finding,
    InstructionCounts,
    MemoryUse,
    NotEmulated,
    OutputCheck,
    Place,
    Step,
)

PLACE = Place(
    system="Debian 12 (bookworm), arm64",
    python="3.11.2",
    glibc="2.36",
    qemu_cpu="cortex-a72",
    emulator="qemu-aarch64 7.2.22",
    differences=("the sensors are files that stay as they are",),
)
COUNTS = InstructionCounts(
    import_count=2_500_000_000,
    load_count=52_000_000,
    first_count=126_000_000,
    warmup_counts=(120_500_000,),
    steady_counts=(119_900_000, 119_910_000, 119_905_000),
)
STEPS = (
    Step(name="audit", outcome="passed", note="every compiled file finds what it needs there"),
    Step(name="verify", outcome="passed", note="intact, and it fits"),
    Step(name="run", outcome="passed", note="3 of 3 samples agree"),
    Step(name="count", outcome="passed", note="3 steady inferences"),
)
ILLEGAL = Finding(
    kind="illegal-instruction",
    step="run",
    what="libonnxruntime.so.1.32.0 uses an instruction of asimddp that the processor lacks",
    remedy="take a runtime that was built for this processor",
    library="libonnxruntime.so.1.32.0",
    missing="asimddp",
)
CRASH = Finding(kind="crash", step="run", what="it died of SIGILL", remedy="take another runtime")
DEARER = Finding(
    kind="cost-increase",
    step="count",
    what="a steady inference takes 120 M instructions, 9.09 % more than the baseline's 110 M "
    "(allowed: 2 %)",
    remedy="make a new baseline",
)
CHANGES = (
    CostChange(phase="load", baseline=52_000_000, now=52_000_000, allowed=0.02),
    CostChange(phase="first", baseline=128_000_000, now=126_000_000, allowed=0.02),
    CostChange(phase="steady", baseline=109_913_000, now=119_905_000, allowed=0.02),
)


def emulation(**changes: Any) -> Emulation:
    made = Emulation(
        provenance="emulated",
        bundle="digits-cnn-rpi4",
        bundle_sha256="cd" * 32,
        model="digits-cnn",
        model_sha256="ab" * 32,
        target="rpi4",
        runtime="onnxruntime 1.32.0",
        place=PLACE,
        steps=STEPS,
        findings=(),
        outputs=OutputCheck(samples=3, agreed=3, compare="close", largest_difference=6e-7),
        counts=COUNTS,
        memory=MemoryUse(mode="user", peak_bytes=80 << 20, usable_bytes=3 << 30),
        cost_changes=(),
        edgekit_version="0.1.0",
    )
    return dataclasses.replace(made, **changes)


def counted(**changes: Any) -> Emulation:
    return emulation(counts=dataclasses.replace(COUNTS, **changes))


FAILED = emulation(
    bundle="digits-cnn-rpi3",
    target="rpi3",
    place=dataclasses.replace(PLACE, qemu_cpu="cortex-a53", differences=()),
    steps=(
        *STEPS[:2],
        Step(name="run", outcome="failed", note=ILLEGAL.what),
        Step(name="count", outcome="skipped", note="the model does not run there"),
    ),
    findings=(ILLEGAL, CRASH),
    outputs=None,
    counts=None,
    memory=None,
)
DEARER_ONE = emulation(findings=(DEARER,), cost_changes=CHANGES)
NANO = NotEmulated(
    target="jetson-nano",
    family="HostError",
    exit_code=9,
    what="the disk is full",
    hint="free some space",
)


def matrix(*emulations: Emulation, **changes: Any) -> EmulationMatrix:
    made = EmulationMatrix(
        model="digits-cnn",
        emulations=emulations or (FAILED, emulation()),
        not_emulated=(NANO,),
        edgekit_version="0.1.0",
    )
    return dataclasses.replace(made, **changes)
