"""What the timing loop adds to a query, against the bare runtime call, on models that do nothing.

    .venv/bin/python scripts/benchmark_loop.py

In turns, in one process: as many bare calls between two clock reads, and the loop that a probe's
child runs; of that the median that it tells, and what it takes for a query in all, keeping the
latency included. The exit status is 1 where either is above the bare call by more than the limit.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from edge.backends import load_backend
from edge.device.timing import Limits, closed_loop, loop_overhead_ns
from edge.records.measurement import SessionConfig

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_NS = 1000
QUERIES = 20_000
# There is no tool here that writes an empty TFLite model; this is the one that takes the least time.
SHORTEST_TFLITE = (
    Path(__file__).resolve().parent.parent / "models" / "digits-cnn" / "digits-cnn-fp32.tflite"
)


def save_identity(path: Path) -> None:
    """Write an ONNX model that gives back the one number that it gets."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


def bound(backend_name: str, path: Path) -> Callable[[], object]:
    """Load a model and bind zeros to its inputs, as a probe's child does."""
    backend = load_backend(backend_name)
    session = backend.open(str(path), SessionConfig(backend_name, 1))
    shapes = {spec.name: tuple(int(d or 1) for d in spec.shape or ()) for spec in session.inputs}
    return session.bind(
        {spec.name: np.zeros(shapes[spec.name], spec.dtype) for spec in session.inputs}
    )


def bulk_ns(run: Callable[[], object]) -> float:
    """Return what one call takes when many stand between two clock reads."""
    start = time.perf_counter_ns()
    for _ in itertools.repeat(None, QUERIES):
        run()
    return (time.perf_counter_ns() - start) / QUERIES


def loop_ns(run: Callable[[], object]) -> tuple[float, float]:
    """Return what the loop reports for one query, the median, and what it takes for one in all."""
    timed = closed_loop(run, Limits(QUERIES, 0, 10**11))
    return statistics.median(timed.latencies), timed.duration_ns / len(timed.latencies)


def pair(run: Callable[[], object], *, bulk_first: bool) -> tuple[float, float, float]:
    """Measure once in both ways, the one or the other first."""
    if bulk_first:
        return (bulk_ns(run), *loop_ns(run))
    looped = loop_ns(run)
    return (bulk_ns(run), *looped)


def main() -> int:
    """Measure both in turns for each runtime and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        identity = Path(folder) / "identity.onnx"
        save_identity(identity)
        runs = {
            "onnxruntime, Identity": bound("onnxruntime", identity),
            "tflite, digits-cnn-fp32": bound("tflite", SHORTEST_TFLITE),
        }
    gc.disable()
    for name, run in runs.items():
        loop_ns(run)
        seen = [pair(run, bulk_first=bool(number % 2)) for number in range(rounds)]
        bare, told, whole = (statistics.median(column) for column in zip(*seen, strict=True))
        added = statistics.median(told - bare for bare, told, _ in seen)
        around = statistics.median(whole - bare for bare, _, whole in seen)
        missed = missed or max(added, around) > LIMIT_NS
        print(
            f"{name:24} bare {bare / 1e3:6.3f} µs   told {told / 1e3:6.3f} ({added / 1e3:+.3f})   "
            f"whole loop {whole / 1e3:6.3f} ({around / 1e3:+.3f}), limit {LIMIT_NS / 1e3:+g}"
        )
    print(f"{'a query of nothing':24} told {loop_overhead_ns() / 1e3:7.3f} µs")
    print(f"medians of {rounds} rounds of {QUERIES} queries")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
