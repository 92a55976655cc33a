"""Drive one ONNX model with MLCommons' loadgen: the referee's side of benchmark_referee.py.

Runs in an environment of its own, with mlcommons-loadgen, numpy and onnxruntime, and imports nothing
of edgekit. The one argument is JSON: model, inputs (an .npz of `input.NAME`, the first sample is
taken), threads, queries, warm_ups. Prints one JSON line: versions, and p50_ns, p90_ns and p99_ns as
loadgen's own log has them.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import mlperf_loadgen as loadgen
import numpy as np
import onnxruntime

DTYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(uint8)": "uint8"}
PERCENTILES = {"p50_ns": "50.00", "p90_ns": "90.00", "p99_ns": "99.00"}


def bound_session(request: dict[str, Any]) -> tuple[Any, Any]:
    """Load the model, and bind inputs and outputs as edgekit's backend does: the loops are compared.

    Outputs of known shape are written to memory of ours, the others to the runtime's own.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(request["model"], options, providers=providers)
    binding = session.io_binding()
    with np.load(request["inputs"]) as arrays:
        for value in session.get_inputs():
            array = np.asarray(arrays["input." + value.name][0, ...], order="C")
            binding.bind_cpu_input(value.name, array)
    for value in session.get_outputs():
        if all(isinstance(size, int) and size >= 0 for size in value.shape):
            memory = np.zeros(tuple(value.shape), DTYPES[value.type])
            owned = onnxruntime.OrtValue.ortvalue_from_numpy(memory)
            binding.bind_ortvalue_output(value.name, owned)
        else:
            binding.bind_output(value.name, "cpu")
    return session, binding


def drive(run: Any, binding: Any, queries: int, folder: str) -> None:
    """Let loadgen issue `queries` queries, one after the other, and write its logs."""
    complete = loadgen.QuerySamplesComplete
    # Made once: what the driver does beside the inference counts as the query's time.
    response = loadgen.QuerySampleResponse(0, 0, 0)
    responses = [response]

    def issue(ids: Any, _indices: Any) -> None:
        # A query of SingleStream is one sample.
        response.id = ids[0]
        run(binding)
        complete(responses)

    def nothing(*_arguments: Any) -> None:
        pass

    settings = loadgen.TestSettings()
    settings.scenario = loadgen.TestScenario.SingleStream
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_query_count = settings.max_query_count = queries
    settings.min_duration_ms = 1
    logs = loadgen.LogSettings()
    logs.log_output.outdir = folder
    logs.log_output.copy_summary_to_stdout = False
    logs.enable_trace = False
    system = loadgen.ConstructFastSUT(issue, nothing)
    library = loadgen.ConstructQSL(1, 1, nothing, nothing)
    gc.disable()
    loadgen.StartTestWithLogSettings(system, library, settings, logs, "")
    gc.enable()
    loadgen.DestroyQSL(library)
    loadgen.DestroyFastSUT(system)


def logged(folder: Path) -> dict[str, Any]:
    """Return what loadgen's detail log says, by key."""
    lines = (folder / "mlperf_log_detail.txt").read_text(encoding="utf-8").splitlines()
    entries = (json.loads(line.split(" ", 1)[1]) for line in lines if line.startswith(":::MLLOG"))
    return {entry["key"]: entry["value"] for entry in entries}


def main() -> None:
    """Warm up, let loadgen measure, and print what it found."""
    request = json.loads(sys.argv[1])
    session, binding = bound_session(request)
    for _ in range(request["warm_ups"]):
        session.run_with_iobinding(binding)
    with tempfile.TemporaryDirectory() as folder:
        drive(session.run_with_iobinding, binding, request["queries"], folder)
        log = logged(Path(folder))
    found = {name: log[f"result_{p}_percentile_latency_ns"] for name, p in PERCENTILES.items()}
    found["queries"] = log["result_query_count"]
    found["loadgen"] = metadata.version("mlcommons-loadgen")
    found["onnxruntime"] = onnxruntime.__version__
    print(json.dumps(found))


if __name__ == "__main__":
    main()
