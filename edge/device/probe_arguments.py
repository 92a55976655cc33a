"""The options of a bundle's probe, and what they come to. Device slice: Python 3.8."""

import argparse
from typing import Optional

from edge.errors import UsageError
from edge.records.measurement import GRAPH_LEVELS
from edge.records.scenario import (
    MULTI_STREAM,
    OFFLINE,
    QUOTED_PERCENTILES,
    SERVER,
    SINGLE_STREAM,
    Scenario,
)

_NS_PER_MS = 1_000_000


def add_probe_options(probe: argparse.ArgumentParser) -> None:
    """Give the parser of `probe` its options."""
    presets = probe.add_mutually_exclusive_group()
    for name, text in (
        ("quick", "1 second and 64 queries"),
        ("full", "a minute and 662 queries"),
        ("soak", "ten minutes: does it keep its speed?"),
    ):
        presets.add_argument(
            "--" + name, dest="preset", action="store_const", const=name, help=text
        )
    for option, kind, metavar, text in (
        ("--min-time", float, "S", "measure at least so many seconds"),
        ("--max-time", float, "S", "and never more seconds than this"),
        ("--min-queries", int, "N", "measure at least so many inferences"),
        ("--warm-up", int, "N", "inferences before that, kept apart"),
        ("--samples-per-query", int, "N", "samples in each query, or the offline batch"),
        ("--target-qps", float, "X", "queries a second that arrive, on average"),
        ("--limit-ms", float, "MS", "the limit for the server's p99"),
        ("--rounds", int, "N", "how often a sweep measures each combination"),
    ):
        probe.add_argument(option, type=kind, metavar=metavar, help=text)
    probe.add_argument("--scenario", choices=sorted(QUOTED_PERCENTILES), help="MLPerf's scenario")
    probe.add_argument("--graph-level", choices=GRAPH_LEVELS, help="how far graphs are optimised")
    probe.add_argument("--provider", metavar="NAME", help="execution provider or delegate")
    for option, metavar, text in (
        ("--input", "FILE", "time the stages of a program that reads this"),
        ("--meter", "FILE", "a power meter's CSV: time, watts"),
        ("--sweep", "AXES", "measure combinations of threads,graph-level,provider"),
        ("--output", "FOLDER", "also write the result there"),
    ):
        flags = ["-o", option] if option == "--output" else [option]
        probe.add_argument(*flags, metavar=metavar, help=text)
    probe.add_argument("--fps", type=float, metavar="X", help="offer frames of --input at a rate")
    for option, text in (
        ("--energy", "measure joules in a pass of its own"),
        ("--resume", "take up an interrupted sweep or search"),
        ("--save-settings", "use a sweep's best combination from now on"),
        ("--batch-curve", "find the best offline batch"),
        ("--find-load", "find the highest load that keeps --limit-ms"),
    ):
        probe.add_argument(option, action="store_true", help=text)


def require_sound_probe(chosen: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: they do not.
    """
    modes = [
        name
        for name, is_on in (
            ("--sweep", chosen.sweep is not None),
            ("--batch-curve", chosen.batch_curve),
            ("--find-load", chosen.find_load),
            ("--input", chosen.input is not None),
        )
        if is_on
    ]
    if len(modes) > 1:
        raise UsageError("{} do not go together".format(" and ".join(modes)))
    if chosen.sweep is None and (chosen.rounds or chosen.save_settings):
        raise UsageError("--rounds and --save-settings go with --sweep")
    if chosen.resume and not (chosen.sweep or chosen.find_load or chosen.batch_curve):
        raise UsageError("--resume goes with --sweep, --find-load or --batch-curve")
    if chosen.find_load and chosen.limit_ms is None:
        raise UsageError("--find-load needs --limit-ms")
    if chosen.fps is not None and chosen.input is None:
        raise UsageError("--fps goes with --input")
    if not chosen.find_load:
        scenario_of(chosen.scenario, chosen.samples_per_query, chosen.target_qps, chosen.limit_ms)


def scenario_of(
    kind: Optional[str],
    samples: Optional[int] = None,
    target_qps: Optional[float] = None,
    limit_ms: Optional[float] = None,
) -> Optional[Scenario]:
    """Return the scenario that options ask for; None: offline, with a batch still to be found.

    A query of several samples is one batch of the model if that takes one: who measures finds out.

    Raises:
        UsageError: they do not go together.
    """
    chosen = kind or (SERVER if target_qps is not None else SINGLE_STREAM)
    if chosen == OFFLINE and samples is None and target_qps is None and limit_ms is None:
        return None
    if chosen == MULTI_STREAM and samples is None:
        raise UsageError("multi-stream needs --samples-per-query")
    if chosen == SERVER and target_qps is None:
        raise UsageError("server needs --target-qps, or --find-load")
    limit_ns = None if limit_ms is None else int(limit_ms * _NS_PER_MS)
    try:
        return Scenario(chosen, samples or 1, target_qps=target_qps, limit_ns=limit_ns)
    except ValueError as error:
        raise UsageError(str(error)) from error
