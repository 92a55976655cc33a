"""One process of compare_with_olive.py: times a file, or computes its outputs, in ONNX Runtime.

    PYTHON scripts/olive_timed.py FILE DATA.npz THREADS SECONDS [OUTPUTS.npz]

Runs in edgekit's environment and in Olive's, so it needs no more than numpy and onnxruntime. It
prints the median and the shortest of the times of single runs over the first sample, in
nanoseconds, as JSON. With OUTPUTS.npz it writes instead the first output for each sample.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import numpy as np
import onnxruntime

WARM_UP = 5


def session_of(path: str, threads: int) -> Any:
    """Open a file as a user would, with the threads given."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds(session: Any, data: str) -> list[dict[str, Any]]:
    """Return the samples, one at a time, as the file's inputs take them."""
    names = [entry.name for entry in session.get_inputs()]
    with np.load(data) as held:
        arrays = {name: held[f"input.{name}"] for name in names}
    count = len(arrays[names[0]])
    return [{name: arrays[name][at : at + 1] for name in names} for at in range(count)]


def timed(session: Any, feed: dict[str, Any], seconds: float) -> dict[str, float]:
    """Run one sample again and again for so long."""
    for _ in range(WARM_UP):
        session.run(None, feed)
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < WARM_UP:
        begin = time.perf_counter_ns()
        session.run(None, feed)
        times.append(time.perf_counter_ns() - begin)
    return {"median_ns": statistics.median(times), "least_ns": min(times), "runs": len(times)}


def main() -> None:
    """Do what the arguments say."""
    path, data, threads, seconds, *outputs = sys.argv[1:]
    session = session_of(path, int(threads))
    given = feeds(session, data)
    if outputs:
        made = [session.run(None, feed)[0] for feed in given]
        np.savez(outputs[0], output=np.concatenate(made))
        return
    print(json.dumps(timed(session, given[0], float(seconds))))


if __name__ == "__main__":
    main()
