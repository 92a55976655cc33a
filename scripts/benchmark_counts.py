"""How many instructions a model takes on the emulated cores, and how well that repeats.

Each bundle is counted in five whole runs, in a root of its own target, while another process keeps
both cores busy (this script starts and ends it). A row has the median of the runs; the spread is the
largest less the smallest of the five, in parts of the median. Counts are no times.

    edgekit models fetch blazeface-128-onnx
    python scripts/benchmark_counts.py
    python scripts/benchmark_counts.py --runs 2 --target rpi5 blazeface-128-onnx
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.adapters.counter import Counted, read_counts
from edge.adapters.targets import load_target
from edge.reasoning.stand_in import stand_in_for
from edge.workflows.emulated_place import set_up
from edge.workflows.models import resolve_model
from edge.workflows.package import package_model

# Cortex-A53, A72 and A76.
TARGETS = ("rpi3", "rpi4", "rpi5")
MODELS = (
    "digits-cnn:digits-cnn-fp32.onnx",
    "digits-cnn:digits-cnn-int8.onnx",
    "digits-cnn:digits-cnn-fp32.tflite",
    "digits-cnn:digits-cnn-int8.tflite",
    "blazeface-128-onnx",
)
PHASES: tuple[tuple[str, Callable[[Counted], int]], ...] = (
    ("import", lambda counted: counted.counts.import_count),
    ("load", lambda counted: counted.counts.load_count),
    ("first", lambda counted: counted.counts.first_count),
    ("steady", lambda counted: counted.counts.steady),
)
LONGEST_S = 600


@contextmanager
def busy() -> Iterator[None]:
    """Keep all cores busy while the block runs."""
    command = [sys.executable, "-c", "while True: pass"]
    load = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in load:
            process.kill()
            process.wait()


def counted(target_name: str, model: str, runs: int, folder: Path) -> tuple[str, list[Counted]]:
    """Return the core, and what each of the runs counted."""
    target = load_target(target_name)
    bundle = package_model(resolve_model(model), target_name, output=folder / "bundle.pyz")
    found = []
    with set_up(target, stand_in_for(target), count=True, progress=lambda _part: None) as place:
        if place.uncounted is not None:
            raise SystemExit(f"{target_name}: {place.uncounted}")

        def run(name: str, counts: Path | None = None) -> None:
            ran = place.runner.run(
                bundle.path, name, "--json", home=folder, wall_s=LONGEST_S, counted=counts
            )
            if ran.status != 0:
                raise SystemExit(f"{model} on {target_name}: {ran.stderr}")

        # As `edgekit emulate` does: the bundle is unpacked before anything is counted.
        run("run")
        for number in range(runs):
            run("count", folder / f"counts-{number}")
            found.append(read_counts(folder / f"counts-{number}"))
        return place.place.qemu_cpu or "this machine", found


def main() -> None:
    """Count what is named, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", default=MODELS)
    parser.add_argument("--target", action="append", metavar="NAME", help="by default three")
    parser.add_argument("--runs", type=int, default=5, metavar="N")
    chosen = parser.parse_args()
    heads = " | ".join(f"{name} | spread" for name, _ in PHASES)
    print(f"| model | core | {heads} | memory MB |")
    print("| --- | --- |" + " ---: |" * (2 * len(PHASES) + 1))
    for model in chosen.models:
        for target in chosen.target or TARGETS:
            with tempfile.TemporaryDirectory() as folder, busy():
                core, runs = counted(target, model, chosen.runs, Path(folder))
            cells = [model.rpartition(":")[2], core]
            for _, phase in PHASES:
                values = [phase(run) for run in runs]
                middle = statistics.median_low(values)
                cells.append(f"{middle / 1e6:.3f} M")
                cells.append(f"{100 * (max(values) - min(values)) / max(middle, 1):.3f} %")
            peaks = [run.peak_bytes for run in runs if run.peak_bytes is not None]
            cells.append(f"{max(peaks) / 1e6:.0f}" if peaks else "unknown")
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
