"""Run the probe that a bundle has inside, as the device would, on this machine."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from edge.device.parent import run_program
from edge.errors import RuntimeFailure, UsageError
from edge.records.codec import from_dict
from edge.records.manifest import MANIFEST_PATH
from edge.records.scenario import ONE_BY_ONE
from edge.workflows.probe_request import ProbeRequest

R = TypeVar("R")
# Verifying and unpacking a bundle comes before its measurement.
_UNPACK_S: Final = 900.0


def is_bundle(path: Path) -> bool:
    """Whether a file is one that `package` wrote: a zip with a manifest, whatever its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST_PATH in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def bundle_arguments(request: ProbeRequest) -> list[str]:
    """Return the request as options of a bundle's own probe.

    Raises:
        UsageError: shapes, or inputs that are samples: a bundle has its own.
    """
    if request.shapes:
        raise UsageError("a bundle has its own shapes: leave out --shape")
    options, scenario = request.options, request.scenario
    words: list[tuple[str, object]] = [
        ("--min-time", f"{options.min_s:g}"),
        ("--max-time", f"{options.longest_s:g}"),
        ("--min-queries", options.min_queries),
        ("--warm-up", options.warmup_queries),
        ("--threads", request.threads),
        ("--graph-level", request.graph_level),
        ("--provider", request.provider),
        ("--meter", request.meter),
        ("--input", request.inputs),
        ("--fps", request.fps),
    ]
    if scenario is None:
        words.append(("--scenario", "offline"))
    elif scenario != ONE_BY_ONE:
        limit_ms = None if scenario.limit_ns is None else scenario.limit_ns / 1e6
        words += [
            ("--scenario", scenario.kind),
            ("--target-qps", scenario.target_qps),
            ("--limit-ms", limit_ms),
        ]
        if scenario.target_qps is None:
            words.append(("--samples-per-query", scenario.samples_per_query))
    found = [str(word) for pair in words if pair[1] is not None for word in pair]
    return [*found, "--energy"] if request.energy else found


def run_bundle(path: Path, kind: type[R], arguments: Sequence[str], *, longest_s: float) -> R:
    """Run `probe` of a bundle with some options, and return the record that it prints.

    Raises:
        BundleError: the bundle is damaged, or does not fit this machine.
        RuntimeFailure: the runtime or the model failed.
    """
    command = [str(path), "probe", "--json", *arguments]
    printed = run_program(command, wall_s=_UNPACK_S + longest_s, what=path.name)
    try:
        answer = json.loads(printed)
    except ValueError as error:
        raise RuntimeFailure("its probe printed no JSON", where=path) from error
    return from_dict(kind, answer, path)
