"""Checks and comparisons made by hand for the tests of what CI systems read."""

import dataclasses
from typing import Any

from edge.records.check import Check, LimitResult
from edge.records.comparison import Comparison, Comparisons, Unlike

HOSTILE = 'a<b>&"|`x`\x00\x1b[31m\ud800\n]]>'


def limit(name: str = "p90 latency", **changes: Any) -> LimitResult:
    made = LimitResult(
        name=name,
        unit="ns",
        limit=50e6,
        measured=40e6,
        outcome="passed",
        reason="40 ms is within 50 ms",
    )
    return dataclasses.replace(made, **changes)


MISSED = limit(
    "peak memory",
    unit="bytes",
    limit=float(64 << 20),
    measured=float(80 << 20),
    outcome="missed",
    reason="80 MiB is above 64 MiB",
)
NOT_SHOWN = limit(
    "p99 latency", measured=None, outcome="not-shown", reason="needs 562 more queries"
)


def check(*results: LimitResult, **changes: Any) -> Check:
    made = Check(
        model="net.onnx",
        model_sha256="ab" * 32,
        target="rpi4",
        runtime="onnxruntime 1.32.0",
        threads=4,
        scenario="single-stream",
        host="Raspberry Pi 4 Model B",
        queries=100,
        started_unix_ns=1_700_000_000_000_000_000,
        edgekit_version="0.1.0",
        results=results,
        flaws=(),
    )
    return dataclasses.replace(made, **changes)


def pair(**changes: Any) -> Comparison:
    made = Comparison(
        name="net.onnx",
        target=None,
        runtime="onnxruntime 1.32.0",
        threads=4,
        scenario="single-stream",
        host="Cortex-A72",
        test="signed-rank of rounds",
        samples_a=8,
        samples_b=8,
        a_ns=10e6,
        b_ns=12e6,
        shift_ns=2e6,
        low_ns=1.9e6,
        high_ns=2.1e6,
        p_value=0.0078125,
        threshold_ns=5e5,
        floor_ns=5e3,
        answer="slower",
        reason="slower by 2 ms (1.9 ms to 2.1 ms), more than 500 µs",
        more=None,
        more_of="rounds",
        unlike=(),
        flaws_a=(),
        flaws_b=(),
    )
    return dataclasses.replace(made, **changes)


OTHER_MACHINE = Unlike(what="CPU model", a="Cortex-A72", b="Cortex-A76", decides=True)
OTHER_RUNTIME = Unlike(
    what="runtime", a="onnxruntime 1.31.0", b="onnxruntime 1.32.0", decides=False
)


def comparisons(*pairs: Comparison, **changes: Any) -> Comparisons:
    made = Comparisons(
        a="old",
        b="new",
        percentile=90.0,
        max_increase=0.05,
        confidence=0.95,
        edgekit_version="0.1.0",
        pairs=pairs,
        only_a=(),
        only_b=(),
    )
    return dataclasses.replace(made, **changes)
