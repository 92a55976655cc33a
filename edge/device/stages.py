"""Times what a program does for a query, each stage apart: decode, resize, normalise, inference.

Part of the device slice: Python 3.8. `measure_stages` is the limited child's task, `run_stages` its
parent's side.
"""

import time
from array import array
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from edge.device.child import tell_progress
from edge.device.parent import Limits, Progress, run_child
from edge.device.sources import Source, Step, check_rate, kind_of, open_source, serve_frames
from edge.errors import UsageError
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import Frames, SessionConfig, Stage

if TYPE_CHECKING:
    from edge.backends.protocol import Array, Session

END_TO_END = "end to end"
_TASK = "edge.device.stages:measure_stages"
_NS = 1_000_000_000
_MOST_QUERIES = 200_000
_MOST_RESULTS = 1000
_WARM_UP_PART = 10
_TOLD = 20
# Importing, loading and opening, on a slow board.
_START_UP_S = 300.0
# A picture of 48 million pixels, decoded, with OpenCV and its codecs.
_PICTURES_BYTES = 1 << 30


class _Program:
    """What a program does for one query, and how long each part of it took."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self.times: List[array[int]] = [array("q") for _ in steps]
        self.end_to_end: array[int] = array("q")
        self.waits: array[int] = array("q")

    def run(self, value: Any, arrived: Optional[int] = None) -> Tuple[Any, int]:
        """Run every stage with one clock read after each; return the result and the last time.

        With `arrived`, the time since then counts: it was the query's wait.
        """
        clock = time.perf_counter_ns
        start = previous = clock()
        marks = []
        for _name, step in self._steps:
            value = step(value)
            marks.append(clock())
        for times, mark in zip(self.times, marks):
            times.append(mark - previous)
            previous = mark
        if arrived is not None:
            self.waits.append(start - arrived)
        self.end_to_end.append(previous - (start if arrived is None else arrived))
        return value, previous

    def told(self) -> Dict[str, List[int]]:
        """Return the times of each stage, in the order in which they happen."""
        waits = {"wait": self.waits.tolist()} if self.waits else {}
        names = (name for name, _step in self._steps)
        return {**waits, **{name: times.tolist() for name, times in zip(names, self.times)}}


def measure_stages(request: Mapping[str, Any]) -> Dict[str, Any]:
    """Time a program that feeds a model with real input; a task for the limited child.

    `request`: as `stage_request` makes it. The answer: stages {name: ns of each query},
    end_to_end_ns, frames {source, per_s, offered, dropped} or None, inputs {kind, count,
    postprocess, results: what came out for the first queries}, runtime.
    """
    from edge.backends import load_backend
    from edge.device.feeds import concrete_inputs

    config = from_dict(SessionConfig, request["config"])
    session = load_backend(config.backend).open(request["model"], config)
    specs = concrete_inputs(session.inputs, request.get("shapes") or {})
    fps: Optional[float] = request.get("fps")
    form = request.get("preprocessing") or {}
    source = open_source(request["input"], specs, form, fps=fps, threads=config.threads)
    steps, postprocess = _all_steps(source, session, request.get("postprocess"))
    minimum, maximum = int(request["min_ns"]), int(request["max_ns"])
    _closed(
        _Program(steps),
        source,
        min_queries=int(request["warmup_queries"]),
        min_ns=minimum // _WARM_UP_PART,
        max_ns=maximum // _WARM_UP_PART,
    )
    program = _Program(steps)
    frames = None
    if fps is None and source.kind != "camera":
        results = _closed(
            program,
            source,
            min_queries=int(request["min_queries"]),
            min_ns=minimum,
            max_ns=maximum,
            progress=tell_progress,
        )
    else:
        rate = fps or source.fps or 30.0
        results, frames = _at_rate(program, source, request, rate)
    return {
        "stages": program.told(),
        "end_to_end_ns": program.end_to_end.tolist(),
        "frames": frames,
        "inputs": {
            "kind": source.kind,
            "count": source.count,
            "postprocess": postprocess,
            "results": results,
        },
        "runtime": to_dict(session.runtime()),
    }


def _all_steps(source: Source, session: "Session", asked: Any) -> Tuple[List[Step], str]:
    """Return the source's steps, the inference and what comes after it, and the latter's name."""
    from edge.device.postprocess import choose, function_of

    value = source.first(0)
    for _name, step in source.steps:
        value = step(value)
    outputs: List[Array] = session.run(value)
    kind = choose(asked, outputs)
    steps: List[Step] = [*source.steps, ("inference", session.run)]
    return steps if kind == "none" else [*steps, ("postprocess", function_of(kind))], kind


def _closed(
    program: _Program,
    source: Source,
    *,
    min_queries: int,
    min_ns: int,
    max_ns: int,
    progress: Optional[Callable[[float], None]] = None,
) -> List[Any]:
    """Run query after query until both minima are reached, or the maximum; return results."""
    results: List[Any] = []
    total = count = 0
    step = tell_at = max(max_ns // 100, min_ns // 10, 1)
    while (count < min_queries or total < min_ns) and total < max_ns and count < _MOST_QUERIES:
        result, _end = program.run(source.first(count))
        _keep(results, result)
        total += program.end_to_end[-1]
        count += 1
        if progress is not None and total >= tell_at:
            tell_at = total + step
            minima = min(total / max(min_ns, 1), count / max(min_queries, 1))
            progress(min(1.0, max(minima, total / max_ns)))
    return results


def _at_rate(
    program: _Program, source: Source, request: Mapping[str, Any], rate: float
) -> Tuple[List[Any], Dict[str, Any]]:
    """Offer the source's frames at `rate`; return results, and what became of the frames."""
    seconds = float(request["seconds"])
    results: List[Any] = []
    step = max(1, int(seconds * rate) // _TOLD)
    told = 0

    def work(frame: int, arrived: int) -> int:
        nonlocal told
        result, end = program.run(source.first(frame), arrived)
        _keep(results, result)
        if frame >= told:
            told = frame + step
            tell_progress(min(1.0, frame / (seconds * rate)))
        return end

    offered, dropped = serve_frames(work, rate, seconds, time.perf_counter_ns, time.sleep)
    frames = {"source": request["input"], "per_s": rate, "offered": offered, "dropped": dropped}
    return results, frames


def _keep(results: List[Any], result: Any) -> None:
    if len(results) < _MOST_RESULTS and isinstance(result, int):
        results.append(result)


def stage_request(
    model: str,
    config: SessionConfig,
    source: str,
    *,
    shapes: Mapping[str, Sequence[int]],
    preprocessing: Mapping[str, Any],
    postprocess: Optional[str] = None,
    warmup_queries: int = 10,
    min_queries: int = 662,
    min_s: float = 5.0,
    max_s: float = 60.0,
    fps: Optional[float] = None,
    seconds: float = 10.0,
) -> Dict[str, Any]:
    """Return the request for `measure_stages`, checked as far as it can be before a child starts.

    `source` is a file, a folder, camera:N or test:WIDTHxHEIGHT. `preprocessing`: scale and offset
    (numbers, or one for each channel), resize (stretch, letterbox or crop), order (RGB or BGR),
    sample_rate_hz, tokenizer (a file). With `fps`, and always with a camera, frames are offered at
    a rate for `seconds`; otherwise the limits count.

    Raises:
        UsageError: there is no such source, or it cannot have a rate.
    """
    from edge.device.pictures import check_form

    kind = kind_of(source)
    check_rate(kind, fps, seconds)
    check_form(preprocessing)
    if kind == "test" and fps is None:
        raise UsageError("test frames need a rate", where=source, hint="--fps 30")
    return {
        "model": model,
        "config": to_dict(config),
        "shapes": {name: list(shape) for name, shape in shapes.items()},
        "input": source,
        "preprocessing": dict(preprocessing),
        "postprocess": postprocess,
        "warmup_queries": warmup_queries,
        "min_queries": min_queries,
        "min_ns": int(min_s * _NS),
        "max_ns": int(max_s * _NS),
        "fps": fps,
        "seconds": seconds,
    }


def run_stages(
    request: Mapping[str, Any],
    *,
    memory_bytes: int,
    what: str,
    paths: Sequence[str] = (),
    progress: Optional[Progress] = None,
) -> Tuple[Tuple[Stage, ...], Optional[Frames]]:
    """Run `measure_stages` in a limited child; return its stages, the last being "end to end".

    `memory_bytes` is what the model needs; pictures come on top.

    Raises:
        EdgekitError: the input cannot be read, the runtime or the model failed.
    """
    longest_s = max(request["max_ns"] / _NS, request["seconds"])
    wall_s = _START_UP_S + 2 * longest_s
    threads = int(request["config"]["threads"])
    room = 0 if kind_of(request["input"]) in ("samples", "text", "sound") else _PICTURES_BYTES
    limits = Limits(wall_s, int(wall_s * (threads + 1)), memory_bytes + room)
    answer = run_child(_TASK, request, limits=limits, what=what, progress=progress, paths=paths)
    times = {**answer["stages"], END_TO_END: answer["end_to_end_ns"]}
    stages = tuple(Stage(name, tuple(latencies)) for name, latencies in times.items())
    frames = answer["frames"]
    return stages, None if frames is None else from_dict(Frames, frames)
