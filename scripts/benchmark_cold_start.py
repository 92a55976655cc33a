"""How long a bundle takes from its start to its first output, against the plain model.

Three programs do the same work in turns, so that whatever else the machine does hits all alike:

Taken is the time from the start of the process to its first line.

- plain: the shortest script, with the runtime that pip installed into a virtual environment: import
  numpy and the runtime, read one sample, open the model as it is, run it, print;
- installed: ROOT/bin/NAME run, which reads the same sample and also writes the outputs to a file;
- file: python3 NAME.pyz run, which also checks the digest of the whole file.

All of them use the same Python, the same wheels and the same number of threads. The files are in
the page cache, as after a restart of the service; how long a card takes to read them is the card's.
The exit status is 1 if the installed one needs more than --max-ratio of the plain one's time.

    edgekit models fetch ppocr-v4-rec && edgekit models fetch minilm-l6-v2
    python scripts/benchmark_cold_start.py ppocr-v4-rec minilm-l6-v2

A name that is not in edgekit's list of models is a file; --shape INPUT=1,128 is for both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from edge.device.feeds import read_arrays, write_arrays

PLAIN = """
import sys
import numpy as np
import onnxruntime as ort

model, sample, threads = sys.argv[1:]
arrays = np.load(sample)
options = ort.SessionOptions()
options.intra_op_num_threads = int(threads)
session = ort.InferenceSession(model, options)
feeds = {i.name: arrays["input." + i.name][0] for i in session.get_inputs()}
print([output.shape for output in session.run(None, feeds)], flush=True)
"""
LIMIT = 0.85


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Run a command and return how long it took until it printed its first line."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        taken = time.perf_counter() - start
        process.stdout.read()
    if process.returncode != 0 or not line:
        raise SystemExit(f"{command[0]} failed")
    return taken


def pip_environment(folder: Path, python: str, wheels: list[dict[str, Any]]) -> str:
    """Make a virtual environment with the bundle's wheels, as pip installs them."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    inside = str(folder / "bin" / "python")
    pins = [f"{wheel['name']}=={wheel['version']}" for wheel in wheels]
    install = [sys.executable, "-m", "pip", "--python", inside, "install", "--quiet", "--no-deps"]
    subprocess.run([*install, *pins], check=True)
    return inside


def one_sample(bundle: Path, place: Path) -> None:
    """Write the inputs of a bundle's first sample."""
    with zipfile.ZipFile(bundle) as archive:
        arrays = read_arrays(archive.extract("samples.npz", place.parent))
    write_arrays(str(place), {n: a[:1] for n, a in arrays.items() if n.startswith("input.")})


def compare(name: str, chosen: argparse.Namespace, work: Path) -> float:
    """Print what each way of starting takes, and return the ratio of the installed bundle."""
    folder = work / Path(name).stem
    folder.mkdir()
    environment = {**os.environ, "EDGEKIT_HOME": str(folder / "home")}
    bundle, sample = folder / "bundle.pyz", folder / "one.npz"
    if chosen.bundle is None:
        package = [sys.executable, "-m", "edge", "package", name, "--target", "host"]
        shapes = [part for shape in chosen.shape for part in ("--shape", shape)]
        subprocess.run([*package, *shapes, "-o", str(bundle)], check=True, stdout=sys.stderr)
    else:
        bundle = Path(chosen.bundle)
    with zipfile.ZipFile(bundle) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        model = archive.extract(manifest["model"]["path"], folder)
    one_sample(bundle, sample)
    (folder / "plain.py").write_text(PLAIN, encoding="utf-8")
    plain = pip_environment(folder / "pip", chosen.python, manifest["wheels"])
    subprocess.run([chosen.python, str(bundle), "install"], check=True, env=environment)
    run = ["run", "--inputs", str(sample), "--outputs", str(folder / "outputs.npz")]
    threads = str(manifest["session"]["threads"])
    commands = {
        "plain": [plain, str(folder / "plain.py"), model, str(sample), threads],
        "installed": [str(folder / "home" / "bin" / manifest["name"]), *run],
        "file": [chosen.python, str(bundle), *run],
    }
    for command in commands.values():
        seconds(command, environment)
    taken: dict[str, list[float]] = {way: [] for way in commands}
    for _ in range(chosen.rounds):
        for way, command in commands.items():
            taken[way].append(seconds(command, environment))
    medians = {way: statistics.median(values) for way, values in taken.items()}
    size = manifest["model"]["size_bytes"] / 1e6
    print(f"{Path(name).stem}, {size:.0f} MB, {threads} threads, medians of {chosen.rounds}")
    for way, median in medians.items():
        ratio = median / medians["plain"]
        fastest = min(taken[way]) * 1e3
        print(f"  {way:9}  {median * 1e3:6.1f} ms  (fastest {fastest:6.1f})  ratio {ratio:.2f}")
    return medians["installed"] / medians["plain"]


def main() -> int:
    """Compare for each model, and judge by the worst of them."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="names or .onnx files")
    parser.add_argument("--bundle", metavar="FILE", help="a bundle of that model for this host")
    parser.add_argument("--shape", action="append", default=[], metavar="INPUT=1,128")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--max-ratio", type=float, default=LIMIT)
    text = "the Python that starts all of them [default: the one below this one]"
    parser.add_argument("--python", default=os.path.realpath(sys.executable), help=text)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        ratios = [compare(name, chosen, Path(work)) for name in chosen.models]
    print(f"the largest ratio is {max(ratios):.2f}, allowed is {chosen.max_ratio:.2f}")
    return int(max(ratios) > chosen.max_ratio)


if __name__ == "__main__":
    sys.exit(main())
