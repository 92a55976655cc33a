"""The options of `edgekit probe`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge.cli.checks_text import FORMATS, Format
from edge.cli.shapes import Shapes, shape_option
from edge.records.measurement import GRAPH_LEVELS
from edge.records.scenario import QUOTED_PERCENTILES

if TYPE_CHECKING:
    from edge.records.check import CheckLimits
    from edge.workflows.probe_request import ProbeRequest

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What was given on the command line, by the options' names."""

    model: str | None
    preset: str | None
    min_time: float | None
    max_time: float | None
    min_queries: int | None
    warm_up: int | None
    threads: int | None
    graph_level: str | None
    provider: str | None
    shape: Shapes
    input: str | None
    fps: float | None
    seconds: float
    scenario: str | None
    samples_per_query: int | None
    target_qps: float | None
    limit_ms: float | None
    find_load: bool
    batch_curve: bool
    sweep: str | None
    rounds: int | None
    resume: bool
    save_settings: bool
    energy: bool
    meter: str | None
    host: tuple[str, ...]
    target: str | None
    output: Path
    as_json: bool
    check: bool
    max_p50_ms: float | None
    max_p90_ms: float | None
    max_p99_ms: float | None
    max_load_ms: float | None
    max_first_ms: float | None
    max_memory_mib: float | None
    min_per_s: float | None
    max_dropped: float | None
    format: Format
    check_output: Path | None

    def request(self) -> "ProbeRequest":
        """Return what is to be measured.

        Raises:
            UsageError: the options do not go together.
        """
        from edge.device.probe import options_of
        from edge.device.probe_arguments import scenario_of
        from edge.records.scenario import ONE_BY_ONE
        from edge.workflows.probe_request import ProbeRequest

        return ProbeRequest(
            options=options_of(
                self.preset, self.min_time, self.max_time, self.min_queries, self.warm_up
            ),
            scenario=ONE_BY_ONE
            if self.find_load
            else scenario_of(self.scenario, self.samples_per_query, self.target_qps, self.limit_ms),
            threads=self.threads,
            graph_level=self.graph_level,
            provider=self.provider,
            shapes=self.shape,
            inputs=self.input,
            fps=self.fps,
            seconds=self.seconds,
            target=self.target,
            energy=self.energy,
            meter=self.meter,
        )

    def limits(self) -> "CheckLimits":
        """Return the limits of the gate.

        Raises:
            UsageError: one is negative or not finite.
        """
        from edge.workflows.checks import limits_from

        return limits_from(
            max_p50_ms=self.max_p50_ms,
            max_p90_ms=self.max_p90_ms,
            max_p99_ms=self.max_p99_ms,
            max_load_ms=self.max_load_ms,
            max_first_ms=self.max_first_ms,
            max_memory_mib=self.max_memory_mib,
            min_per_s=self.min_per_s,
            max_dropped=self.max_dropped,
        )


def probe_options(function: F) -> F:
    """Add all options; they are listed in this order."""
    file = click.Path(path_type=Path)
    presets = [
        click.option("--" + name, "preset", flag_value=name, default=None, help=text)
        for name, text in (
            ("quick", "A second, and 64 queries."),
            ("full", "A minute, and 662 queries: as MLPerf does."),
            ("soak", "Ten minutes: does it keep its speed?"),
        )
    ]
    options = [
        *presets,
        click.option("--min-time", type=float, metavar="S", help="At least so long.  [default: 5]"),
        click.option("--max-time", type=float, metavar="S", help="And no longer.  [default: 60]"),
        click.option("--min-queries", type=int, metavar="N", help="[default: 662, as for a p99]"),
        click.option("--warm-up", type=int, metavar="N", help="Queries kept apart.  [default: 10]"),
        click.option("--threads", type=click.IntRange(min=1), help="Threads inside one inference."),
        click.option("--graph-level", type=click.Choice(GRAPH_LEVELS), help="ONNX Runtime's."),
        click.option("--provider", metavar="NAME", help="Execution provider or delegate."),
        shape_option,
        click.option(
            "--input",
            "--inputs",
            "input",
            metavar="FILE",
            help="Real input, timed stage by stage: an .npz, a picture, a folder, a video, a WAV "
            "or a text file, camera:N or test:WIDTHxHEIGHT.",
        ),
        click.option("--fps", type=float, metavar="X", help="Offer its frames at this rate."),
        click.option("--seconds", type=float, default=10.0, show_default=True, help="For --fps."),
        click.option("--scenario", type=click.Choice(list(QUOTED_PERCENTILES)), help="MLPerf's."),
        click.option("--samples-per-query", type=click.IntRange(min=1), metavar="N"),
        click.option("--target-qps", type=float, metavar="X", help="Queries that arrive a second."),
        click.option("--limit-ms", type=float, metavar="MS", help="For the server's p99."),
        click.option("--find-load", is_flag=True, help="The highest load that keeps --limit-ms."),
        click.option(
            "--batch-curve", is_flag=True, help="The throughput of batches of 1, 2, 4 ..."
        ),
        click.option(
            "--sweep",
            metavar="AXES",
            help="Measure all combinations of threads,precision,runtime,graph-level,provider.",
        ),
        click.option("--rounds", type=click.IntRange(min=1), help="Of a sweep.  [default: 3]"),
        click.option("--resume", is_flag=True, help="Take up an interrupted sweep or search."),
        click.option("--save-settings", is_flag=True, help="Let the bundle use a sweep's best."),
        click.option("--energy", is_flag=True, help="Joules an inference, in a pass of its own."),
        click.option("--meter", metavar="FILE", help="A power meter's CSV: time, watts."),
        click.option(
            "--host",
            multiple=True,
            metavar="[USER@]BOARD",
            help="Run the bundle there, over ssh; several at once.",
        ),
        click.option("--target", metavar="NAME", help="Which target this machine is."),
        click.option(
            "-o",
            "--output",
            type=file,
            default=Path("results"),
            show_default=True,
            metavar="FOLDER",
            help="Where the result goes.",
        ),
        click.option("--check", is_flag=True, help="Exit with 13 where a limit is missed."),
        *(
            click.option(f"--max-{name}-ms", type=float, metavar="MS", help=text)
            for name, text in (
                ("p50", "A limit for --check."),
                ("p90", "Likewise."),
                ("p99", "Likewise."),
                ("load", "For loading the model."),
                ("first", "For the first inference."),
            )
        ),
        click.option("--max-memory-mib", type=float, metavar="MIB", help="For the peak memory."),
        click.option("--min-per-s", type=float, metavar="X", help="For the throughput."),
        click.option("--max-dropped", type=float, metavar="SHARE", help="Of frames, 0 to 1."),
        click.option(
            "--format",
            type=click.Choice(FORMATS),
            default="text",
            show_default=True,
            help="How --check is told.",
        ),
        click.option("--check-output", type=file, metavar="FILE", help="And where it goes."),
    ]
    for option in reversed(options):
        function = option(function)
    return function
