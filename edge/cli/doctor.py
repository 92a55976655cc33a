"""edgekit doctor: what this machine can do, and what it lacks."""

import click

from edge.cli.output import json_option, print_json


@click.command()
@click.option(
    "--require",
    "required",
    metavar="NAME,...",
    help="Exit with 9 if one of these checks is missing.",
)
@json_option
def command(required: str | None, as_json: bool) -> None:
    """Say what this machine has for what edgekit does, and what to do about what it lacks.

    \b
    Example:
      edgekit doctor
      edgekit doctor --require pip,target:rpi4
    """
    from edge.cli.doctor_text import print_report
    from edge.workflows.doctor import examine_host, require

    report = examine_host()
    if as_json:
        print_json(report)
    else:
        print_report(report)
    names = [name.strip() for name in (required or "").split(",")]
    require(report, [name for name in names if name])
