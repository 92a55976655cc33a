"""What runs in the limited child: measure, infer, make samples. Device slice: Python 3.8.

numpy is not imported until a task starts, so that its time counts as the runtime's import, as in a
real program.
"""

import gc
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple

from edge.device.child import tell_progress
from edge.device.timing import (
    Limits,
    Timed,
    Times,
    arrivals_ns,
    clock_ns,
    closed_loop,
    loop_overhead_ns,
    open_loop,
    unix_ns,
)
from edge.errors import RuntimeFailure, UsageError, printable
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import SessionConfig
from edge.records.scenario import SERVER, Scenario
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    from edge.backends.protocol import Array, Backend, Session

# Warming up takes at least and at most this part of the time allowed for the measurement.
_WARM_UP_PART = 10


def measure(request: Mapping[str, Any]) -> Dict[str, Any]:
    """Time a model: import, load, first inference, warm-ups and queries, each apart.

    `request`: model, config (a SessionConfig), scenario (a Scenario, or absent: single-stream),
    shapes, inputs (an .npz, or None), seed, warmup_queries, min_queries, min_ns, max_ns,
    imported_ns (where the runtime was imported before a fork, how long that took). It stops as
    soon as both minima are reached, or the maximum is. The answer's keys are those of a
    Measurement, and timed_unix_ns (when the queries began), batchable (every input's first dimension
    is free) and, of the scenario server, overloaded.
    """
    started_unix_ns = unix_ns()
    config = from_dict(SessionConfig, request["config"])
    scenario = from_dict(Scenario, request.get("scenario") or {})
    backend, import_ns = _imported(config, request)
    memory_before_load = _status_bytes("VmRSS")
    load_start = clock_ns()
    session = backend.open(request["model"], config)
    load_end = clock_ns()
    fixed = [spec for spec in session.inputs if not _is_free(spec)]
    if scenario.batched and fixed:
        raise UsageError(
            "input {} has a fixed batch".format(printable(fixed[0])),
            hint="export the model with a free first dimension, or measure without batches",
        )
    run = _query(session, scenario, request)
    try:
        first_start = clock_ns()
        run()
        first_end = clock_ns()
        warmup, peak_memory, begun, timed = _time_queries(run, scenario, request)
    except backend.failures() as error:
        raise _failed(error) from error
    answer = {
        "started_unix_ns": started_unix_ns,
        "timed_unix_ns": begun,
        "runtime": to_dict(session.runtime()),
        "import_ns": import_ns,
        "load_ns": load_end - load_start,
        "first_inference_ns": first_end - first_start,
        "warmup_ns": warmup.tolist(),
        "latencies_ns": timed.latencies.tolist(),
        "duration_ns": timed.duration_ns,
        "loop_overhead_ns": loop_overhead_ns(),
        "peak_memory_bytes": peak_memory,
        "memory_before_load_bytes": memory_before_load,
        "batchable": bool(session.inputs) and not fixed,
    }
    if scenario.kind == SERVER:
        answer["overloaded"] = timed.overloaded
    return answer


def _imported(config: SessionConfig, request: Mapping[str, Any]) -> "Tuple[Backend, int]":
    """Import the runtime and tell how long that takes, here or in the process we were forked of."""
    import_start = clock_ns()
    from edge.backends import load_backend

    backend = load_backend(config.backend)
    backend.import_runtime()
    import_ns = clock_ns() - import_start
    before = request.get("imported_ns")
    return backend, import_ns if before is None else int(before)


def _is_free(spec: TensorSpec) -> bool:
    """Whether an input takes any number of samples at once."""
    return bool(spec.shape) and not isinstance((spec.shape or (1,))[0], int)


def _query(
    session: "Session", scenario: Scenario, request: Mapping[str, Any]
) -> Callable[[], object]:
    """Return what runs one query, all of its inputs made and bound ahead."""
    import numpy as np

    count = scenario.samples_per_query
    samples = _samples(session, request, count)
    # Too few are repeated.
    feeds = [
        {name: array[index % len(array), ...] for name, array in samples.items()}
        for index in range(count)
    ]
    if count == 1:
        return session.bind(feeds[0])
    if not scenario.batched:
        return session.bind_each(feeds)
    return session.bind({name: np.concatenate([f[name] for f in feeds]) for name in samples})


def _time_queries(
    run: Callable[[], object], scenario: Scenario, request: Mapping[str, Any]
) -> Tuple[Times, Optional[int], int, Timed]:
    """Warm up and measure; the peak memory is read in between, before the latencies add to it."""
    limits = Limits(int(request["min_queries"]), int(request["min_ns"]), int(request["max_ns"]))
    warm_up = limits.part(_WARM_UP_PART, int(request["warmup_queries"]))
    arrivals = None
    if scenario.target_qps is not None:
        arrivals = arrivals_ns(scenario.target_qps, scenario.seed, limits)
    gc.collect()
    gc.disable()
    try:
        warmup = closed_loop(run, warm_up).latencies
        peak_memory = _status_bytes("VmHWM")
        begun = unix_ns()
        if arrivals is None:
            timed = closed_loop(run, limits, tell_progress)
        else:
            timed = open_loop(run, arrivals, limits.max_ns, tell_progress)
    finally:
        gc.enable()
    return warmup, peak_memory, begun, timed


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
