"""Has the instructions of each part of a model's work counted. Device slice: Python 3.8.

Whatever emulates the processor counts (edge/adapters/counter.c); here the places are marked, by a
call that a real kernel refuses and that does nothing.
"""

import argparse
import ctypes
import gc
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping

from edge.device.inference import config_with, memory_bytes
from edge.device.output import print_json, print_line
from edge.device.parent import Limits, run_child
from edge.device.parts import Unpacked
from edge.device.timing import clock_ns
from edge.errors import RuntimeFailure, UsageError, printable
from edge.records.codec import from_dict, to_dict
from edge.records.manifest import Manifest
from edge.records.measurement import SessionConfig

if TYPE_CHECKING:
    from edge.backends.protocol import Backend

# As edge/adapters/counter.c knows them.
MAGIC = 0x65646B74
BEGIN, IMPORTED, LOADED, BOUND, FIRST, WARMED, STEADY, EMPTY, END = range(1, 10)
COUNTED = "EDGEKIT_COUNTED"
WARMUPS, STEADIES = 2, 5
# An emulator takes some 10 s for 10^9 multiplications; more inferences than fit tell little more.
_LONGEST_NS = 90_000_000_000
# Whoever emulates has a limit of its own.
_LIMIT_S = 3600


def count(manifest: Manifest, parts: Unpacked, chosen: argparse.Namespace) -> int:
    """Run the first sample of a bundle so often that its instructions can be counted.

    Raises:
        UsageError: nothing counts here.
        EdgekitError: the runtime or the model fails.
    """
    if os.environ.get(COUNTED) != "1":
        raise UsageError("nothing counts here: run it by `edgekit emulate`")
    config = config_with(manifest, 1)
    answer = run_child(
        "edge.device.counting:count_phases",
        {
            # Not a form that was prepared here: others would count another.
            "model": parts.path(manifest.model.path),
            "config": to_dict(config),
            "samples": parts.path(manifest.samples.path),
        },
        limits=Limits(_LIMIT_S, 2 * _LIMIT_S, memory_bytes(manifest, config)),
        what=manifest.model.name,
        paths=[parts.site],
    )
    if chosen.json:
        print_json(answer)
    else:
        print_line("counted: {warmups} warm-ups, {steady} inferences, one thread".format(**answer))
    return 0


def count_phases(request: Mapping[str, Any]) -> Dict[str, Any]:
    """Import, load, infer, warm up and infer again, with a mark after each; for the limited child.

    `request`: model, config, samples (an .npz of `input.NAME` and `output.NAME`). The answer:
    runtime, warmups, steady, threads.
    """
    config = from_dict(SessionConfig, request["config"])
    mark = _marker()
    # A collection would be counted as a part of whatever it falls into.
    gc.collect()
    gc.disable()
    try:
        mark(BEGIN)
        backend = _imported(config)
        mark(IMPORTED)
        session = backend.open(request["model"], config)
        mark(LOADED)
        from edge.device.samples import Samples

        samples = Samples(request["samples"])
        run = session.bind(samples.inputs(0, session.inputs))
        mark(BOUND)
        try:
            run()
            mark(FIRST)
            warmups, steady = _repeat(run, mark)
        except backend.failures() as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            what = "the inference failed: {}".format(printable(lines[0], 300))
            raise RuntimeFailure(what) from error
        # What a mark costs by itself.
        mark(EMPTY)
        mark(END)
    finally:
        gc.enable()
    runtime = to_dict(session.runtime())
    return {"runtime": runtime, "warmups": warmups, "steady": steady, "threads": config.threads}


def _imported(config: SessionConfig) -> "Backend":
    from edge.backends import load_backend

    backend = load_backend(config.backend)
    backend.import_runtime()
    return backend


def _repeat(run: Callable[[], object], mark: Callable[[int], object]) -> List[int]:
    """Warm up and infer, and return how often each; less often if one inference takes long."""
    start = clock_ns()
    run()
    mark(WARMED)
    took = max(clock_ns() - start, 1)
    warmups, steady = 1, max(1, min(STEADIES, _LONGEST_NS // took))
    if steady == STEADIES:
        for _ in range(WARMUPS - 1):
            run()
            mark(WARMED)
        warmups = WARMUPS
    for _ in range(steady):
        run()
        mark(STEADY)
    return [warmups, steady]


def _marker() -> Callable[[int], object]:
    """Return what marks a place: prctl(2) with an option that there is not."""
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]

    def mark(number: int) -> None:
        prctl(MAGIC, number, 0, MAGIC, 0)

    return mark
