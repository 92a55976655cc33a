"""What `edgekit probe` does by its options: measure, sweep, search, or ask other machines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from edge.cli.measurement import print_measurement, told_percent
from edge.cli.output import note, print_json
from edge.cli.probe_options import Chosen
from edge.errors import EdgekitError, RuntimeFailure, UsageError, printable

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records.measurement import Measurement
    from edge.workflows.models import ModelChoice
    from edge.workflows.probe_request import ProbeRequest

# Unpacking and verifying on a slow card, and the start of each measurement.
_REMOTE_START_S: Final = 1200.0


def run(chosen: Chosen) -> None:
    """Do what the options ask for.

    Raises:
        EdgekitError: they do not go together, or what they ask for fails.
    """
    from edge.adapters.targets import load_target
    from edge.workflows.models import resolve_model
    from edge.workflows.probe import results_folder

    _require_sound(chosen)
    request = chosen.request()
    limits = chosen.limits()
    label = None if chosen.target is None else load_target(chosen.target).name
    request = replace(request, target=label)
    choice = resolve_model(chosen.model)
    with results_folder(chosen.output):
        if chosen.host:
            _probe_hosts(chosen, request, choice)
        elif chosen.sweep is not None:
            _sweep(chosen, request, choice, chosen.sweep)
        elif chosen.find_load or chosen.batch_curve:
            _search(chosen, request, choice)
        else:
            measurement = _measure(chosen, request, choice)
            if not chosen.check:
                return
            from edge.cli.checks_text import print_check
            from edge.workflows.checks import check_measurement, exit_code

            check = check_measurement(measurement, limits)
            print_check(check, "json" if chosen.as_json else chosen.format, chosen.check_output)
            sys.exit(exit_code(check))


def _require_sound(chosen: Chosen) -> None:
    modes = {
        "--sweep": chosen.sweep is not None,
        "--find-load": chosen.find_load,
        "--batch-curve": chosen.batch_curve,
        "--host": bool(chosen.host),
        "--check": chosen.check,
    }
    given = [name for name, is_on in modes.items() if is_on]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} do not go together")
    if chosen.sweep is None and (chosen.rounds or chosen.save_settings):
        raise UsageError("--rounds and --save-settings go with --sweep")
    if chosen.resume and not (chosen.sweep or chosen.find_load or chosen.batch_curve):
        raise UsageError("--resume goes with --sweep, --find-load or --batch-curve")
    if chosen.find_load and (chosen.limit_ms is None or not chosen.limit_ms > 0):
        raise UsageError("--find-load needs --limit-ms")
    if chosen.fps is not None and chosen.input is None:
        raise UsageError("--fps goes with --input")
    limited = any(getattr(chosen, name) is not None for name in _LIMITS)
    if limited != chosen.check:
        raise UsageError("--check and its limits (--max-p90-ms and others) go together")


_LIMITS: Final = (
    "max_p50_ms",
    "max_p90_ms",
    "max_p99_ms",
    "max_load_ms",
    "max_first_ms",
    "max_memory_mib",
    "min_per_s",
    "max_dropped",
)


def _measure(chosen: Chosen, request: "ProbeRequest", choice: "ModelChoice") -> "Measurement":
    from edge.workflows.probe import probe_anything, save_measurement

    with told_percent(f"measuring {choice.path.name}") as progress:
        measurement = probe_anything(choice, request, progress=progress, tell=_tell())
        saved = save_measurement(measurement, chosen.output)
    if chosen.as_json and not chosen.check:
        print_json(measurement)
    elif not chosen.check:
        print_measurement(measurement)
    note(f"saved: {saved}")
    return measurement


def _sweep(chosen: Chosen, request: "ProbeRequest", choice: "ModelChoice", axes: str) -> None:
    from edge.adapters.results import save_result
    from edge.device.search_summary import sweep_lines
    from edge.workflows.probe import plain_name, save_measurement
    from edge.workflows.sweep import sweep_anything

    stem = plain_name(choice.path.stem)
    with _told_remaining() as progress:
        result = sweep_anything(
            choice,
            axes,
            request,
            rounds=chosen.rounds,
            journal=chosen.output / f"{stem}.sweep.jsonl",
            resume=chosen.resume,
            save_settings=chosen.save_settings,
            progress=progress,
            interrupted=lambda part: click.echo("\n".join(sweep_lines(part)), err=True),
        )
    saved = [save_result(result, chosen.output, stem)]
    saved += [
        save_measurement(row.measurement, chosen.output)
        for row in result.rows
        if row.measurement is not None
    ]
    if chosen.as_json:
        print_json(result)
    else:
        click.echo("\n".join(sweep_lines(result)))
    for path in saved:
        note(f"saved: {path}")
    if result.best is None:
        sys.exit(RuntimeFailure.exit_code)


def _search(chosen: Chosen, request: "ProbeRequest", choice: "ModelChoice") -> None:
    from edge.adapters.results import save_result
    from edge.device.search_summary import curve_lines, load_lines
    from edge.workflows.probe import plain_name, search_batch, search_load

    stem = plain_name(choice.path.stem)
    if chosen.batch_curve:
        journal = chosen.output / f"{stem}.batch-curve.jsonl"
        curve = search_batch(choice, request, journal, resume=chosen.resume, tell=_tell())
        saved, lines = save_result(curve, chosen.output, stem), curve_lines(curve)
        document: object = curve
    else:
        limit_ns = int((chosen.limit_ms or 0) * 1e6)
        journal = chosen.output / f"{stem}.load-search.jsonl"
        found = search_load(choice, request, limit_ns, journal, resume=chosen.resume, tell=_tell())
        saved, lines = save_result(found, chosen.output, stem), load_lines(found)
        document = found
    if chosen.as_json:
        print_json(document)
    else:
        click.echo("\n".join(lines))
    note(f"saved: {saved}")


def _probe_hosts(chosen: Chosen, request: "ProbeRequest", choice: "ModelChoice") -> None:
    from edge.records.codec import to_dict
    from edge.workflows.probe import save_measurement
    from edge.workflows.probe_bundle import bundle_arguments, is_bundle
    from edge.workflows.remote import probe_remote

    if not is_bundle(choice.path):
        hint = "edgekit package MODEL --target NAME writes one"
        raise UsageError("--host needs a bundle", where=choice.path, hint=hint)
    if request.inputs is not None or request.meter is not None:
        raise UsageError("--input and --meter name files of this machine: leave out --host")
    wall_s = _REMOTE_START_S + 3 * request.options.longest_s
    results = probe_remote(
        chosen.host, choice.path, bundle_arguments(request), progress=_remote(), wall_s=wall_s
    )
    saved: list[Path] = []
    failed: EdgekitError | None = None
    for result in results:
        if result.measurement is not None:
            found = result.measurement
            if request.target is not None:
                found = replace(found, target=request.target)
            stem = "".join(c if c.isalnum() or c in ".-" else "_" for c in result.host)
            saved.append(save_measurement(found, chosen.output / stem))
            if not chosen.as_json:
                click.echo(f"{printable(result.host)}:")
                print_measurement(found)
        elif result.error is not None:
            failed = failed or result.error
            note(f"error: {result.error}")
            if result.error.hint:
                note(f"hint: {result.error.hint}")
    if chosen.as_json:
        print_json(
            [
                {
                    "host": result.host,
                    "measurement": None
                    if result.measurement is None
                    else to_dict(result.measurement),
                    "error": None if result.error is None else str(result.error),
                }
                for result in results
            ]
        )
    for path in saved:
        note(f"saved: {path}")
    if failed is not None:
        sys.exit(failed.exit_code)


def _tell() -> Callable[[str], None] | None:
    """Return what tells on a terminal which of several measurements is under way."""
    return note if sys.stderr.isatty() else None


def _remote() -> Callable[[str, float, str], None]:
    told: dict[str, str] = {}

    def tell(host: str, fraction: float, text: str) -> None:
        # Each step once, and the copying in tenths.
        line = f"{text} {int(fraction * 10) * 10} %" if text == "copying" else text
        if sys.stderr.isatty() and told.get(host) != line:
            told[host] = line
            note(f"{printable(host)}: {line}")

    return tell


@contextmanager
def _told_remaining() -> Iterator[Callable[[float, float | None, str], None]]:
    """Tell on a terminal what is measured, and how long it will still take."""
    if not sys.stderr.isatty():
        yield lambda _fraction, _remaining, _text: None
        return

    def tell(fraction: float, remaining_s: float | None, text: str) -> None:
        left = "" if remaining_s is None else f", {remaining_s:.0f} s left"
        click.echo(f"\r\x1b[K{fraction:4.0%}{left}: {text}", err=True, nl=False)

    try:
        yield tell
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)
