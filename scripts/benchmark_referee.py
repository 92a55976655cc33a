"""Hold our latencies against referees that we did not write: docs/reference/referee.md.

    python3.11 -m venv LOADGEN && LOADGEN/bin/pip install mlcommons-loadgen==6.0.17 \
        onnxruntime==1.32.0 numpy==1.26.4
    python3.11 -m venv LITERT && LITERT/bin/pip install ai-edge-litert==2.3.0
    .venv/bin/python scripts/benchmark_referee.py --loadgen LOADGEN --litert LITERT --write

The referees are no dependencies of the project, so they have environments of their own, made by
hand; the runtime there must be of the version that measures here. MLCommons' loadgen drives ONNX
models through ONNX Runtime (SingleStream), litert-benchmark TFLite models through LiteRT. Ours is
the child of a probe. They measure in turns, each time in a fresh process, the same file, inputs,
threads and number of queries. The difference is the median of the rounds' differences. The exit
status is 1 where a limit is missed. Other programs that run meanwhile make the figures useless.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.device.facts import read_host_facts
from edge.device.feeds import seeded_samples
from edge.device.parent import Limits, run_child
from edge.reasoning.stats import quantile
from edge.records.codec import from_dict
from edge.records.tensor import TensorSpec
from edge.workflows.models import resolve_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "referee.md"
BEGIN, END = "<!-- begin table: written by scripts/benchmark_referee.py -->", "<!-- end table -->"
DRIVER = ROOT / "scripts" / "referee_loadgen.py"
LIMITS = Limits(wall_s=900, cpu_s=7200, memory_bytes=None)
# From 1 ms on by part, below by a constant: what the referee's own call costs.
PART = {"p50": 0.01, "p90": 0.03, "p95": 0.05, "p99": 0.08}
CONSTANT_NS, SHORT_NS = 1500, 1_000_000
# litert-benchmark prints hundredths of a millisecond.
LITERT_STEP_NS = 10_000
LEAST_QUERIES, MOST_QUERIES = 64, 50_000
# Processes of one model differ by 2 % and more, so many short rounds tell more than a few long ones.
LEAST_ROUNDS, CASE_S, START_S = 5, 45.0, 0.6
ONNX_HEADINGS = ("model", "queries", "ours p50", "loadgen p50", "p50", "p90", "p99", "")
TFLITE_HEADINGS = ("model", "queries", "ours p50", "litert-benchmark p50", "p50", "p95", "")

Percentiles = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One model: what `edgekit models` calls it, and sizes for its free dimensions."""

    model: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()


def _tokens(*shape: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, shape) for name in ("input_ids", "attention_mask", "token_type_ids"))


ONNX = (
    Case("digits-cnn:digits-cnn-fp32.onnx"),
    Case("digits-cnn:digits-cnn-int8.onnx"),
    Case("silero-vad"),
    Case("blazeface-128-onnx"),
    Case("minilm-l6-v2", _tokens(1, 16)),
    Case("ppocr-v4-rec"),
    Case("efficientnet-lite0"),
    Case("minilm-l6-v2", _tokens(1, 128)),
    Case("minilm-l6-v2", _tokens(2, 384)),
)
TFLITE = (Case("blazeface-short-range"), Case("hand-landmark-lite"), Case("pose-landmark-full"))


@dataclass(frozen=True)
class Work:
    """A case made ready: the file, and a file with one sample of its inputs."""

    name: str
    path: Path
    shapes: dict[str, list[int]]
    inputs: Path
    threads: int


def ready(case: Case, backend: str, folder: Path, threads: int, paths: tuple[str, ...]) -> Work:
    """Fetch the model and write the inputs that both sides take."""
    choice = resolve_model(case.model)
    shapes = {n: list(s) for n, s in {**choice.shapes, **dict(case.shapes)}.items()}
    config = {"backend": backend, "threads": threads}
    request = {"model": str(choice.path), "config": config, "shapes": shapes, "count": 1}
    made = folder / "made.npz"
    answer = run_child(
        "edge.device.worker:make_samples",
        {**request, "out": str(made)},
        limits=LIMITS,
        what=case.model,
        paths=paths,
    )
    specs = [from_dict(TensorSpec, spec) for spec in answer["inputs"]]
    inputs = folder / "inputs.npz"
    np.savez(inputs, **{f"input.{n}": a for n, a in seeded_samples(specs, 1, 0).items()})
    size = ", ".join("x".join(map(str, shape)) for _, shape in case.shapes[:1])
    return Work(f"{choice.path.name} {size}".strip(), choice.path, shapes, inputs, threads)


def ours(work: Work, backend: str, queries: int, paths: tuple[str, ...] = ()) -> dict[str, Any]:
    """Measure as a probe does; return the child's answer."""
    request = {
        "model": str(work.path),
        "config": {"backend": backend, "threads": work.threads},
        "shapes": work.shapes,
        "inputs": str(work.inputs),
        "warmup_queries": warm_ups(queries),
        "min_queries": queries,
        "min_ns": 0,
        "max_ns": 600 * 10**9,
    }
    answer: dict[str, Any] = run_child(
        "edge.device.worker:measure", request, limits=LIMITS, what=work.name, paths=paths
    )
    return answer


def warm_ups(queries: int) -> int:
    """Return how many queries both sides run first."""
    return max(10, queries // 10)


def percentiles(answer: Mapping[str, Any], wanted: tuple[int, ...]) -> Percentiles:
    """Return ours, by nearest rank."""
    return {f"p{p}": quantile(answer["latencies_ns"], p) for p in wanted}


def printed(command: list[str]) -> str:
    """Run a referee and return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def loadgen(work: Work, environment: Path, queries: int) -> dict[str, Any]:
    """Let loadgen measure."""
    request = {
        "model": str(work.path),
        "inputs": str(work.inputs),
        "threads": work.threads,
        "queries": queries,
        "warm_ups": warm_ups(queries),
    }
    command = [str(environment / "bin" / "python"), str(DRIVER), json.dumps(request)]
    found: dict[str, Any] = json.loads(printed(command).splitlines()[-1])
    if found["queries"] != queries:
        sys.exit(f"loadgen made {found['queries']} queries, asked for {queries}")
    return found


def litert_benchmark(work: Work, environment: Path, queries: int) -> Percentiles:
    """Let litert-benchmark measure."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [str(environment / "bin" / "litert-benchmark"), "--model", str(work.path)]
        command += ["--num_runs", str(queries), "--warmup_runs", str(warm_ups(queries))]
        command += ["--num_threads", str(work.threads), "--result_json", str(result)]
        printed(command)
        latency = json.loads(result.read_text(encoding="utf-8"))["latency"]
    return {"p50": latency["median_ms"] * 1e6, "p95": latency["p95_ms"] * 1e6}


def in_turns(
    first: Callable[[], Percentiles], second: Callable[[], Percentiles], rounds: int
) -> tuple[list[Percentiles], list[Percentiles]]:
    """Run both as often as said; the next round begins with the other of the two."""
    seen: tuple[list[Percentiles], list[Percentiles]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            seen[side].append((first, second)[side]())
    return seen


def row(
    work: Work, queries: int, seen: tuple[list[Percentiles], list[Percentiles]], step_ns: int = 0
) -> tuple[list[str], bool]:
    """Return a line of the table, and whether every limit is kept."""
    ours_p50, theirs_p50 = (statistics.median(r["p50"] for r in side) for side in seen)
    cells = [work.name, f"{queries}", duration(ours_p50), duration(theirs_p50)]
    kept = True
    for name in seen[0][0]:
        pairs = [(a[name], b[name]) for a, b in zip(*seen, strict=True)]
        if theirs_p50 < SHORT_NS:
            # The constant is of the call; the tail belongs to the machine.
            differs = statistics.median(a - b for a, b in pairs)
            kept = kept and (name != "p50" or abs(differs) <= CONSTANT_NS + step_ns / 2)
            cells.append(f"{differs / 1e3:+.2f} µs")
        else:
            differs = statistics.median((a - b) / b for a, b in pairs)
            kept = kept and abs(differs) <= PART[name] + step_ns / 2 / theirs_p50
            cells.append(f"{differs:+.2%}")
    return [*cells, "within" if kept else "**missed**"], kept


def duration(ns: float) -> str:
    """Spell a latency."""
    return f"{ns / 1e3:.1f} µs" if ns < SHORT_NS else f"{ns / 1e6:.2f} ms"


def table(headings: tuple[str, ...], rows: list[list[str]]) -> str:
    """Return Markdown."""
    lines = [headings, ("---", *["---:"] * (len(headings) - 2), "---"), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def queries_for(answer: Mapping[str, Any], seconds: float) -> int:
    """Return how many queries take about so long."""
    wanted = int(seconds * 1e9 / quantile(answer["latencies_ns"], 50))
    return min(MOST_QUERIES, max(LEAST_QUERIES, wanted))


def main() -> int:
    """Measure every case, print the tables, and write them where that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loadgen", type=Path, help="environment with mlcommons-loadgen")
    parser.add_argument("--litert", type=Path, help="environment with ai-edge-litert")
    parser.add_argument("--rounds", type=int, default=21, help="at most; slow models have 5")
    parser.add_argument("--seconds", type=float, default=1.0, help="of inference, a side and round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="models whose name holds this text")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    host = read_host_facts()
    told = f"Measured on {host.cpu_model or host.machine}, {host.cores_allowed} cores"
    told += f", {platform.python_implementation()} {host.python}; {options.threads} thread"
    told += f", up to {options.rounds} rounds of about {options.seconds:g} s on each side."
    parts, kept = [told], True
    for backend, cases, environment in (
        ("onnxruntime", ONNX, options.loadgen),
        ("tflite", TFLITE, options.litert),
    ):
        if environment is not None:
            text, good = compare(backend, cases, environment, options)
            parts.append(text)
            kept = kept and good
    text = "\n\n".join(parts)
    print(text)
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    return int(not kept)


def compare(
    backend: str, cases: tuple[Case, ...], environment: Path, options: argparse.Namespace
) -> tuple[str, bool]:
    """Measure the cases of one runtime against its referee; return the text, and if all is kept."""
    site = next(environment.glob("lib/python*/site-packages"))
    # LiteRT is not what the project's environment has, so ours takes the referee's, too.
    paths = (str(site),) if backend == "tflite" else ()
    wanted = (50, 95) if backend == "tflite" else (50, 90, 99)
    rows, kept, versions = [], True, set()
    for case in cases:
        if options.only not in case.model:
            continue
        with tempfile.TemporaryDirectory() as folder:
            work = ready(case, backend, Path(folder), options.threads, paths)
            trial = ours(work, backend, 32, paths)
            queries = queries_for(trial, options.seconds)
            runtime = trial["runtime"]
            versions.add(f"{runtime['distribution']} {runtime['version']}")

            def we(work: Work = work, queries: int = queries) -> Percentiles:
                return percentiles(ours(work, backend, queries, paths), wanted)

            def they(work: Work = work, queries: int = queries) -> Percentiles:
                if backend == "tflite":
                    return litert_benchmark(work, environment, queries)
                found = loadgen(work, environment, queries)
                if f"onnxruntime {found['onnxruntime']}" not in versions:
                    sys.exit(f"{environment}: onnxruntime {found['onnxruntime']}, ours {versions}")
                versions.add(f"mlcommons-loadgen {found['loadgen']}")
                return {f"p{p}": found[f"p{p}_ns"] for p in wanted}

            step_ns = LITERT_STEP_NS if backend == "tflite" else 0
            took_s = queries * quantile(trial["latencies_ns"], 50) / 1e9 + START_S
            rounds = max(LEAST_ROUNDS, min(options.rounds, int(CASE_S / took_s / 2)))
            line, good = row(work, queries, in_turns(we, they, rounds), step_ns)
        print("  ".join(line), file=sys.stderr, flush=True)
        rows.append(line)
        kept = kept and good
    headings = TFLITE_HEADINGS if backend == "tflite" else ONNX_HEADINGS
    return f"With {', '.join(sorted(versions))}:\n\n{table(headings, rows)}", kept


if __name__ == "__main__":
    sys.exit(main())
