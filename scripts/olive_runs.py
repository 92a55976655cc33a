"""What compare_with_olive.py runs: Olive's commands, edgekit's, and a process for each timing."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from olive_configurations import configurations
from olive_table import EDGEKIT, OLIVE, ORIGINAL, Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
TIMED = HERE / "olive_timed.py"
USER_SCRIPT = HERE / "olive_user_script.py"
REPAIRED = HERE / "olive_repaired.py"
CPU = ("--device", "cpu", "--provider", "CPUExecutionProvider")
COMMANDS = {
    "auto-opt int8": ("auto-opt", *CPU, "--precision", "int8"),
    "auto-opt fp32": ("auto-opt", *CPU),
    "optimize int8": ("optimize", *CPU, "--precision", "int8"),
    "optimize fp32": ("optimize", *CPU),
    "quantize ort": ("quantize", "--implementation", "ort", "--precision", "int8"),
}
LIMIT_S = 1800
# Turns telemetry off. `--disable_telemetry` does not, and without a network each command then
# waits for ten seconds and more, which is not held against Olive.
SILENT = {"CI": "1", "HF_HUB_OFFLINE": "1"}
OUTPUT_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file that somebody made, or why there is none, and how long it took."""

    who: str
    what: str
    wall_s: float
    file: Path | None
    failed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model, its data, and what `edgekit optimize` is told about it."""

    name: str
    model: Path
    calibration: Path
    evaluation: Path
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where files are timed: with which Python, and so which ONNX Runtime, on how many threads."""

    name: str
    python: Path
    threads: int


def _run(command: Sequence[str], folder: Path) -> tuple[float, int, str]:
    """Run a command in a folder of its own; return seconds, status and the end of what it said."""
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    environment = {**os.environ, **SILENT, "HOME": str(folder)}
    begin = time.perf_counter()
    with log.open("wb") as told:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=told,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
            check=False,
        )
    took_s = time.perf_counter() - begin
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    faults = [line for line in lines if "Error" in line.split(":")[0]]
    return took_s, done.returncode, (faults or lines or [""])[-1][:120]


def run_olive(case: Case, olive: Path, folder: Path) -> list[Made]:
    """Run Olive's command line and its best configurations, each from nothing."""
    commands = {
        name: (*arguments[:1], "-m", str(case.model), "-o", "out", *arguments[1:])
        for name, arguments in COMMANDS.items()
    }
    data = case.calibration.parent
    made = configurations(case.name, case.model, data, USER_SCRIPT, folder)
    for kind, configuration in made.items():
        path = folder / f"{kind}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(configuration, indent=2) + "\n", encoding="utf-8")
        commands[f"best: {kind}"] = ("run", "--config", str(path))
    results = []
    for name, arguments in commands.items():
        place = folder / name.removeprefix("best: ").replace(" ", "-")
        took_s, status, told = _run((str(olive), str(REPAIRED), *arguments), place)
        files = sorted((place / "out").rglob("*.onnx"))
        failed = None if files and status == 0 else f"fails: {told}"
        results.append(
            Made(
                who=OLIVE,
                what=name,
                wall_s=took_s,
                file=files[0] if failed is None else None,
                failed=failed,
            )
        )
    return results


def run_edgekit(case: Case, folder: Path) -> Made:
    """Run `edgekit optimize` as a user would."""
    command = [sys.executable, "-m", "edge", "optimize", str(case.model), "--target", "host"]
    command += ["--calibration", str(case.calibration), "--evaluate", str(case.evaluation)]
    command += [*case.options, "-o", str(folder / "out"), "--json"]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    took_s = time.perf_counter() - begin
    if done.returncode != 0:
        told = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        return Made(who=EDGEKIT, what="optimize", wall_s=took_s, file=None, failed=told)
    (folder / "record.json").write_text(done.stdout, encoding="utf-8")
    record = json.loads(done.stdout)
    chosen = record["variants"][record["chosen"]]
    file = folder / "out" / chosen["file"]
    return Made(who=EDGEKIT, what=chosen["name"], wall_s=took_s, file=file)


def _child(place: Place, *arguments: str) -> str:
    command = (str(place.python), str(TIMED), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it fails"])[-1][:200])
    return done.stdout


def _outputs(file: Path, case: Case, place: Place, scratch: Path) -> Any:
    target = scratch / "outputs.npz"
    _child(place, str(file), str(case.evaluation), str(OUTPUT_THREADS), "0", str(target))
    with np.load(target) as held:
        found: Any = held["output"]
    return found


def _cosines(got: Any, wanted: Any) -> tuple[float, ...]:
    left = got.reshape(len(got), -1).astype(np.float64)
    right = wanted.reshape(len(wanted), -1).astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return tuple(float(value) for value in (left * right).sum(1) / np.maximum(norms, 1e-12))


def measure(
    case: Case, made: Sequence[Made], places: Sequence[Place], rounds: int, seconds: float
) -> list[Entry]:
    """Time all files in turns, a process each, and compare what they compute."""
    original = Made(who=ORIGINAL, what="fp32", wall_s=0.0, file=case.model)
    scratch = case.calibration.parent
    files: dict[int, Path] = {}
    outputs: dict[int, Any] = {}
    faults: dict[int, str] = {}
    every = (original, *made)
    for number, entry in enumerate(every):
        if entry.file is None:
            continue
        try:
            outputs[number] = _outputs(entry.file, case, places[0], scratch)
            files[number] = entry.file
        except RuntimeError as error:
            faults[number] = f"does not run: {error}"
    times: Mapping[int, dict[str, list[int]]] = {number: {} for number in files}
    for place in places:
        for turn in range(rounds):
            order = list(files) if turn % 2 == 0 else list(reversed(files))
            for number in order:
                arguments = (str(files[number]), str(case.evaluation), str(place.threads))
                told = json.loads(_child(place, *arguments, str(seconds)))
                times[number].setdefault(place.name, []).append(told["least_ns"])
    labels = _labels(case)
    entries = []
    for number, entry in enumerate(every):
        output = outputs.get(number)
        entries.append(
            Entry(
                model=case.name,
                who=entry.who,
                what=entry.what,
                wall_s=entry.wall_s,
                size_bytes=_size(entry.file) if number in files and entry.file else 0,
                times_ns={name: tuple(found) for name, found in times.get(number, {}).items()},
                cosines=() if output is None else _cosines(output, outputs[0]),
                right=None
                if output is None or labels is None
                else tuple(bool(right) for right in output.argmax(-1) == labels),
                failed=entry.failed or faults.get(number),
            )
        )
    return entries


def _labels(case: Case) -> Any:
    with np.load(case.evaluation) as held:
        return held.get("labels")


def _size(file: Path) -> int:
    """Return the size of a file and of the weights beside it that begin with its name."""
    return sum(path.stat().st_size for path in file.parent.glob(f"{file.name}*"))


def installed_bytes(python: Path) -> int:
    """Return what an environment's packages take on disk, but for pip and what is compiled."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run((str(python), "-c", code), capture_output=True, text=True, check=True)
    total = 0
    for folder, _, names in os.walk(done.stdout.strip()):
        if "__pycache__" not in folder:
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    total += (Path(folder) / name).lstat().st_size
    return total


def runtime_version(python: Path) -> str:
    """Return the version of ONNX Runtime in an environment."""
    code = "import onnxruntime; print(onnxruntime.__version__)"
    done = subprocess.run((str(python), "-c", code), capture_output=True, text=True, check=True)
    return done.stdout.strip()
