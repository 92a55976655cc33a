"""edgekit report: one HTML page from the results."""

from pathlib import Path

import click

from edge.cli.output import json_option, note, print_json


@click.command()
@click.argument(
    "places", metavar="RESULTS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="Where the page goes.",
)
@json_option
def command(
    places: tuple[Path, ...],
    output: Path,
    as_json: bool,
) -> None:
    """Write one HTML page from RESULTS: result files, or folders of them.

    The page holds everything that it shows, raw data too, and needs no network.

    \b
    Example:
      edgekit report results -o report.html
    """
    from edge.adapters.files import write_text
    from edge.adapters.results import load_results
    from edge.report.page import render_report
    from edge.report.text import plural
    from edge.units import format_bytes

    results = load_results(*places)
    page = render_report(results)
    write_text(output, page)
    size = len(page.encode())
    counts = {"verdict": results.verdicts, "measurement": results.measurements}
    counts["model"] = results.models
    if as_json:
        told = {f"{noun}s": len(records) for noun, records in counts.items()}
        print_json({"report": str(output), "size_bytes": size, **told})
    else:
        click.echo(output)
        parts = [plural(len(records), noun) for noun, records in counts.items() if records]
        note(f"a page of {format_bytes(size)} from {', '.join(parts)}")
