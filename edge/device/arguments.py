"""The command line of a bundle. Device slice: Python 3.8."""

import argparse


def bundle_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of `python3 NAME.pyz COMMAND`."""
    text = "A model with its runtime, for one kind of machine. Needs no network and no pip."
    parser = argparse.ArgumentParser(prog=name, description=text)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    verify = _command(commands, "verify", "is the file whole, and does it fit this machine?")
    text = "look at the file only, not at this machine"
    verify.add_argument("--integrity", action="store_true", help=text)
    _command(commands, "info", "what is inside")
    run = _command(commands, "run", "run the samples and compare, or run inputs of your own")
    run.add_argument("--inputs", metavar="FILE.npz", help="arrays named as the inputs")
    run.add_argument("--outputs", metavar="FILE.npz", help="where the outputs go")
    _add_threads(run)
    probe = _command(commands, "probe", "measure the latency on this machine")
    _add_threads(probe)
    for option, kind, text in (
        ("--min-time", float, "measure at least so many seconds"),
        ("--max-time", float, "and never more seconds than this"),
        ("--min-queries", int, "measure at least so many inferences"),
        ("--warm-up", int, "inferences before that, kept apart"),
    ):
        probe.add_argument(option, type=kind, metavar="N", help=text)
    text = "also write NAME.measurement.json there"
    probe.add_argument("-o", "--output", metavar="FOLDER", help=text)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("--json", action="store_true", help="print one JSON document")
    return command


def _add_threads(command: argparse.ArgumentParser) -> None:
    text = "threads inside one inference"
    command.add_argument("--threads", type=int, metavar="N", help=text)
