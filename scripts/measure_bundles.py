#!/usr/bin/env python3
"""Weigh and time the bundles of every target: the table of docs/reference/bundle-sizes.md.

    .venv-make/bin/python scripts/make_mobilenet_v2.py FOLDER
    .venv/bin/python scripts/measure_bundles.py --models FOLDER --write

Each figure is of one run; another program that runs meanwhile changes the times.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.adapters.platform_tags import pip_options
from edge.adapters.targets import load_targets
from edge.adapters.wheelhouse import wheels_for
from edge.backends import load_backend
from edge.errors import BundleError
from edge.records.platform import Platform, platform_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.records.target import TargetRuntime

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "bundle-sizes.md"
BEGIN, END = "<!-- begin table: written by scripts/measure_bundles.py -->", "<!-- end table -->"
MOBILENET = "mobilenet-v2-int8"
DIGITS = ROOT / "models" / "digits-cnn"
# What a download leaves; everything else in the cache is work that a build did.
DOWNLOADED = ("wheels", "locks", "models")
# MB of the int8 MobileNetV2's bundle on rpi4, and seconds of any build.
LIMITS_MB = {"onnxruntime": 22, "ai-edge-litert": 19, "tflite-runtime": 14}
COLD_S, WARM_S, UNCHANGED_S = 5.0, 3.0, 0.3
HEADINGS = (
    "target",
    "runtime",
    "bundle, MB",
    "wheels + model, MB",
    "ratio",
    "cold, s",
    "warm, s",
    "unchanged, s",
    "installed by pip, MB",
    "pip, s",
)

# Bytes and seconds of pip by the wheels that it installs, which many targets share.
Installed = dict[tuple[Path, ...], tuple[int, float]]


@dataclass(frozen=True)
class Row:
    """One bundle and what pip makes of the same wheels."""

    target: str
    runtime: TargetRuntime
    bundle_bytes: int
    parts_bytes: int
    cold_s: float
    warm_s: float
    unchanged_s: float
    stack_bytes: int
    pip_s: float

    def cells(self) -> list[str]:
        """Return what stands in the table."""
        return [
            self.target,
            f"{self.runtime.distribution} {self.runtime.version}",
            f"{self.bundle_bytes / 1e6:.1f}",
            f"{self.parts_bytes / 1e6:.1f}",
            f"{self.bundle_bytes / self.parts_bytes:.2f}",
            f"{self.cold_s:.1f}",
            f"{self.warm_s:.1f}",
            f"{self.unchanged_s:.2f}",
            f"{self.stack_bytes / 1e6:.1f}",
            f"{self.pip_s:.1f}",
        ]


def say(text: str) -> None:
    """Print one line of progress; results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def timed(command: Sequence[str], cache: Path) -> float:
    """Run a command to its end and return the seconds that it took."""
    environment = {**os.environ, "EDGEKIT_CACHE": str(cache)}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    taken = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return taken


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def pip_install(platform: Platform, wheels: Sequence[Path], scratch: Path) -> tuple[int, float]:
    """Install the wheels with pip as for that platform; return bytes on disk and seconds."""
    place, unused = scratch / "stack", scratch / "empty-cache"
    fixed = ["install", "--no-index", "--no-deps", "--target", str(place)]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *fixed]
    command += ["--only-binary=:all:", *pip_options(platform), *map(str, wheels)]
    taken = timed(command, unused)
    size_bytes = folder_bytes(place)
    shutil.rmtree(place)
    return size_bytes, taken


def measure(
    platform: Platform,
    runtime: TargetRuntime,
    model: Path,
    *,
    cache: Path,
    scratch: Path,
    installed: Installed,
) -> Row:
    """Build one bundle cold, warm and unchanged, and install its wheels with pip, once for all."""
    wheels = wheels_for(platform, runtime)
    parts = sum(path.stat().st_size for _, path in wheels) + model.stat().st_size
    output = scratch / "bundle.pyz"
    asked = ["--target", platform.name, "--runtime", runtime.distribution, "-o", str(output)]
    command = [sys.executable, "-m", "edge", "package", str(model), *asked]
    fresh = scratch / "cache"
    for name in DOWNLOADED:
        if (cache / name).is_dir():
            shutil.copytree(cache / name, fresh / name, copy_function=os.link)
    cold = timed(command, fresh)
    output.unlink()
    # With its output gone, a build is done again, whatever is remembered of it.
    warm = timed(command, fresh)
    unchanged = timed(command, fresh)
    paths = tuple(path for _, path in wheels)
    if paths not in installed:
        installed[paths] = pip_install(platform, paths, scratch)
    stack, pip = installed[paths]
    row = Row(
        platform.name,
        runtime,
        output.stat().st_size,
        parts,
        cold,
        warm,
        unchanged,
        stack,
        pip,
    )
    output.unlink()
    shutil.rmtree(fresh)
    return row


def rows(
    models: dict[str, Path], only: Sequence[str], cache: Path, installed: Installed
) -> Iterator[Row]:
    """Measure the model's file of each runtime's format for every target that is no GPU."""
    for target in load_targets():
        if target.kind == "cloud-gpu" or (only and target.name not in only):
            continue
        described = platform_of(target)
        for runtime in target.runtimes:
            say(f"{target.name}, {runtime.distribution}")
            model = models[load_backend(runtime.backend).format]
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                try:
                    yield measure(
                        described,
                        runtime,
                        model,
                        cache=cache,
                        scratch=Path(scratch),
                        installed=installed,
                    )
                except BundleError as error:
                    say(f"refused: {error}")


def missed(row: Row) -> list[str]:
    """Return the limits that the int8 MobileNetV2's bundle misses."""
    found = []
    limit = LIMITS_MB.get(row.runtime.distribution) if row.target == "rpi4" else None
    if limit is not None and row.bundle_bytes > limit * 1e6:
        found.append(f"{row.bundle_bytes / 1e6:.1f} MB, limit {limit} MB")
    for name, taken, most in (
        ("cold", row.cold_s, COLD_S),
        ("warm", row.warm_s, WARM_S),
        ("unchanged", row.unchanged_s, UNCHANGED_S),
    ):
        if taken > most:
            found.append(f"{name} {taken:.2f} s, limit {most} s")
    return [f"{row.target}, {row.runtime.distribution}: {what}" for what in found]


def table(measured: Sequence[Row]) -> str:
    """Return a Markdown table."""
    lines = [HEADINGS, ("---", "---", *["---:"] * (len(HEADINGS) - 2))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *(r.cells() for r in measured)])


def main() -> int:
    """Measure, print the tables, and say which limits are missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=Path, required=True, help="of make_mobilenet_v2.py")
    parser.add_argument("--target", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    files = {
        "int8 MobileNetV2, 224 by 224": {
            suffix: arguments.models / f"{MOBILENET}.{suffix}" for suffix in ("onnx", "tflite")
        },
        "default model, int8": {
            suffix: DIGITS / f"digits-cnn-int8.{suffix}" for suffix in ("onnx", "tflite")
        },
    }
    parts, problems = [], []
    installed: Installed = {}
    # Wheels are downloaded into it before the first clock is read.
    from edge.adapters.store import cache_folder

    cache = cache_folder()
    for title, models in files.items():
        measured = list(rows(models, arguments.target, cache, installed))
        parts.append(f"### {title}\n\n{table(measured)}")
        problems += [what for row in measured for what in missed(row)]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    text = "\n\n".join([f"Measured on {machine}.".replace("_", "-"), *parts])
    print(text)
    if arguments.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    for what in problems:
        say(f"missed: {what}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
