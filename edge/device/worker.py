"""What runs in the limited child: measure, infer, make samples. Device slice: Python 3.8.

The timing loop below is the one place of the project that reads a clock. numpy is not imported
until a task starts, so that its time counts as the runtime's import, as in a real program.
"""

import gc
import time
from array import array
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple

from edge.device.child import tell_progress
from edge.errors import RuntimeFailure, printable
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import SessionConfig
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    from edge.backends.protocol import Array, Session

# 5 million latencies are an answer of some 50 MB; a model that fast needs no more.
_MOST_QUERIES = 5_000_000
# Warming up takes at least and at most this part of the time allowed for the measurement.
_WARM_UP_PART = 10


def measure(request: Mapping[str, Any]) -> Dict[str, Any]:
    """Time a model: import, load, first inference, warm-ups and queries, each apart.

    `request`: model, config {backend, threads, prepared}, shapes, inputs (an .npz, or None), seed,
    warmup_queries, min_queries, min_ns, max_ns. It stops as soon as both minima are reached, or
    the maximum is. The answer's keys are those of a Measurement.
    """
    started_unix_ns = time.time_ns()
    config = from_dict(SessionConfig, request["config"])
    import_start = time.perf_counter_ns()
    from edge.backends import load_backend

    backend = load_backend(config.backend)
    backend.import_runtime()
    import_end = time.perf_counter_ns()
    memory_before_load = _status_bytes("VmRSS")
    load_start = time.perf_counter_ns()
    session = backend.open(request["model"], config)
    load_end = time.perf_counter_ns()
    run = session.bind(_feeds(session, request))
    try:
        first_start = time.perf_counter_ns()
        run()
        first_end = time.perf_counter_ns()
        warmup, peak_memory, latencies = _time_queries(run, request)
    except backend.failures() as error:
        raise _failed(error) from error
    return {
        "started_unix_ns": started_unix_ns,
        "runtime": to_dict(session.runtime()),
        "import_ns": import_end - import_start,
        "load_ns": load_end - load_start,
        "first_inference_ns": first_end - first_start,
        "warmup_ns": warmup.tolist(),
        "latencies_ns": latencies.tolist(),
        "peak_memory_bytes": peak_memory,
        "memory_before_load_bytes": memory_before_load,
    }


def _time_queries(
    run: Callable[[], object], request: Mapping[str, Any]
) -> "Tuple[array[int], Optional[int], array[int]]":
    """Warm up and measure; the peak memory is read in between, before the latencies add to it."""
    min_ns, max_ns = int(request["min_ns"]), int(request["max_ns"])
    gc.collect()
    gc.disable()
    try:
        warmup = _timing_loop(
            run, int(request["warmup_queries"]), min_ns // _WARM_UP_PART, max_ns // _WARM_UP_PART
        )
        peak_memory = _status_bytes("VmHWM")
        latencies = _timing_loop(run, int(request["min_queries"]), min_ns, max_ns, tell_progress)
    finally:
        gc.enable()
    return warmup, peak_memory, latencies


def _timing_loop(
    run: Callable[[], object],
    min_queries: int,
    min_ns: int,
    max_ns: int,
    progress: Optional[Callable[[float], None]] = None,
) -> "array[int]":
    """Run queries until both minima are reached, or the maximum; return each one's latency in ns.

    Between the two clock reads of a query stands the inference and nothing else. The limits are
    held against the sum of the latencies, so that they need no further clock read. Progress is
    told a hundred times at most.
    """
    clock = time.perf_counter_ns
    latencies = array("q")
    keep = latencies.append
    total = count = 0
    step = max(min_ns // 10, max_ns // 100, 1)
    tell_at = max_ns if progress is None else step
    while (count < min_queries or total < min_ns) and total < max_ns and count < _MOST_QUERIES:
        start = clock()
        run()
        end = clock()
        keep(end - start)
        total += end - start
        count += 1
        if total >= tell_at and progress is not None:
            tell_at = total + step
            minima = min(total / max(min_ns, 1), count / max(min_queries, 1))
            progress(min(1.0, max(minima, total / max_ns)))
    return latencies


def infer(request: Mapping[str, Any]) -> Dict[str, Any]:
    """Run a model on samples, one by one.

    `request`: model, config, shapes, inputs (an .npz of `input.NAME`), outputs (the .npz to write,
    with `output.NAME`). The answer: count, inputs, outputs (specs), runtime.
    """
    session = _open(request)
    from edge.device.feeds import read_samples, write_arrays

    samples = read_samples(request["inputs"], session.inputs, request.get("shapes") or {})
    outputs = _run_samples(session, samples)
    write_arrays(request["outputs"], {"output." + name: a for name, a in outputs.items()})
    return _told(session, samples, outputs)


def make_samples(request: Mapping[str, Any]) -> Dict[str, Any]:
    """Write samples for a model: inputs, and the outputs that it gives for them here.

    `request`: model, config, shapes, count, seed, inputs (a user's .npz, or None: made from the
    seed), out (the .npz to write, with `input.NAME`, or what stands for it, and `output.NAME`).
    The answer: as of infer.
    """
    session = _open(request)
    from edge.device.feeds import seeded_arrays, specs_of, write_arrays

    count = int(request["count"])
    samples = _samples(session, request, count)
    outputs = _run_samples(session, samples)
    if request.get("inputs"):
        arrays = {"input." + name: a for name, a in samples.items()}
    else:
        specs = specs_of(session.inputs, samples)
        arrays = seeded_arrays(specs, count, int(request.get("seed") or 0))
    arrays.update(("output." + name, a) for name, a in outputs.items())
    write_arrays(request["out"], arrays)
    return _told(session, samples, outputs)


def _open(request: Mapping[str, Any]) -> "Session":
    from edge.backends import load_backend

    config = from_dict(SessionConfig, request["config"])
    return load_backend(config.backend).open(request["model"], config)


def _samples(session: "Session", request: Mapping[str, Any], count: int) -> "Dict[str, Array]":
    from edge.device.feeds import concrete_inputs, read_samples, seeded_samples

    shapes = request.get("shapes") or {}
    if request.get("inputs"):
        samples = read_samples(request["inputs"], session.inputs, shapes)
        return {name: samples[name][:count] for name in samples}
    inputs = concrete_inputs(session.inputs, shapes)
    return seeded_samples(inputs, count, int(request.get("seed") or 0))


def _feeds(session: "Session", request: Mapping[str, Any]) -> "Dict[str, Array]":
    return {name: array[0, ...] for name, array in _samples(session, request, 1).items()}


def _run_samples(session: "Session", samples: "Mapping[str, Array]") -> "Dict[str, Array]":
    import numpy as np

    count = len(next(iter(samples.values()))) if samples else 1
    kept: List[List[Any]] = [[] for _ in session.outputs]
    for index in range(count):
        results = session.run({name: array[index, ...] for name, array in samples.items()})
        for values, result in zip(kept, results):
            values.append(result)
    outputs: Dict[str, Any] = {}
    for spec, values in zip(session.outputs, kept):
        if spec.dtype == "str":
            raise RuntimeFailure("output {}: strings are not supported".format(spec.name))
        if len({value.shape for value in values}) > 1:
            raise RuntimeFailure(
                "output {} changes its shape from sample to sample".format(printable(spec)),
                hint="use one sample",
            )
        outputs[spec.name] = np.stack(values)
    return outputs


def _told(
    session: "Session", samples: "Mapping[str, Array]", outputs: "Mapping[str, Array]"
) -> Dict[str, Any]:
    from edge.device.feeds import specs_of

    def plain(specs: Tuple[TensorSpec, ...], arrays: "Mapping[str, Array]") -> List[Any]:
        return [to_dict(spec) for spec in specs_of(specs, arrays)]

    return {
        "count": len(next(iter(outputs.values()))) if outputs else 0,
        "inputs": plain(session.inputs, samples),
        "outputs": plain(session.outputs, outputs),
        "runtime": to_dict(session.runtime()),
    }


def _failed(error: BaseException) -> RuntimeFailure:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return RuntimeFailure("the inference failed: {}".format(printable(lines[0], 300)))


def _status_bytes(key: str) -> Optional[int]:
    """Return a size of this process from /proc/self/status; VmHWM is the peak (proc(5))."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return None
