"""Show what a sweep adds to each configuration beyond what its child spends on measuring.

    python scripts/benchmark_sweep.py [--rounds 5]

For each runtime it sweeps over threads and graph levels of the small default model, and takes from
the wall time all that the children spent on loading, the first inference, warming up and queries.
What is left is forking, importing what could not be imported ahead, reading the machine, and the
sweep itself. Beside it stands the same with a new interpreter for every child. The limit is 100 ms
in the median of the configurations; it exits with 1 above. What a sweep spends once, whatever its
size (inspecting the model, starting the process that children are forked from), is told apart.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from edge.device.probe import ProbeOptions
from edge.workflows import sweep
from edge.workflows.models import resolve_model

LIMIT_MS = 100.0
OPTIONS = ProbeOptions(min_s=0.0, max_s=5.0, min_queries=64, warmup_queries=10)
MODELS = ("digits-cnn:digits-cnn-fp32.onnx", "digits-cnn:digits-cnn-fp32.tflite")


@contextmanager
def _executed() -> Iterator[None]:
    usual = sweep.preimported
    sweep.preimported = lambda *_args: nullcontext()  # type: ignore[assignment,return-value]
    try:
        yield
    finally:
        sweep.preimported = usual


def added_ms(model: str, rounds: int) -> tuple[list[float], float]:
    """Return what was added to each child, and what the sweep spent once, in milliseconds."""
    begun: list[int] = []
    start = time.perf_counter_ns()
    spent: list[int] = []
    real = sweep.probe

    def watched(*args: object, **options: object) -> object:
        begun.append(time.perf_counter_ns())
        measured = real(*args, **options)  # type: ignore[arg-type]
        spent.append(
            measured.load_ns
            + measured.first_inference_ns
            + sum(measured.warmup_ns)
            + sum(measured.latencies_ns)
        )
        return measured

    sweep.probe = watched  # type: ignore[assignment]
    try:
        result = sweep.sweep_model(
            resolve_model(model),
            ("threads", "graph-level"),
            OPTIONS,
            rounds=rounds,
            progress=lambda fraction, _rest, _text: (
                ends.append(time.perf_counter_ns()) if fraction == 1.0 else None
            ),
        )
    finally:
        sweep.probe = real
    failed = [f"{row.name}: {row.error}" for row in result.rows if row.error]
    if failed:
        sys.exit("\n".join(failed))
    walls = [after - before for before, after in zip(begun, [*begun[1:], ends.pop()], strict=True)]
    added = [(wall - own) / 1e6 for wall, own in zip(walls, spent, strict=True)]
    return added, (begun[0] - start) / 1e6


ends: list[int] = []


def main() -> int:
    """Print the table; return 1 where a runtime is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("| model | children | added, median | most | new interpreters, median | once |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    worst = 0.0
    for model in MODELS:
        added, once = added_ms(model, rounds)
        with _executed():
            plain, _ = added_ms(model, rounds)
        median = statistics.median(added)
        worst = max(worst, median)
        print(
            f"| {model.partition(':')[2]} | {len(added)} | {median:.0f} ms | {max(added):.0f} ms "
            f"| {statistics.median(plain):.0f} ms | {once:.0f} ms |"
        )
    print(f"limit: {LIMIT_MS:.0f} ms a configuration; worst median {worst:.0f} ms")
    return int(worst > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
