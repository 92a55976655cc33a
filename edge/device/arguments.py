"""The command lines on a device: a bundle's file, an installed bundle, the resident tool. Python 3.8."""

import argparse
from typing import TYPE_CHECKING, List, Optional, Tuple

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - typeshed's

_BUNDLE = "A model with its runtime, for one kind of machine. Needs no network and no pip."
_TOOL = "Installs bundles, and keeps what is installed."


def bundle_arguments(name: str, arguments: List[str]) -> argparse.Namespace:
    """Read the command line of `python3 NAME.pyz COMMAND`."""
    parser, commands = _parser(name, _BUNDLE)
    _add_verify(commands)
    _command(commands, "info", "what is inside")
    _add_run(commands)
    _add_probe(commands)
    _command(commands, "count", "mark what an emulator counts; edgekit emulate starts it")
    places = [
        _add_install(commands),
        _add_trust(commands),
        _command(commands, "list", "what is installed on this machine"),
        _command(commands, "rollback", "go back to the version that was installed before"),
        _command(commands, "uninstall", "remove an installed bundle with all its versions"),
    ]
    for command in places[-2:]:
        command.add_argument("name", nargs="?", metavar="NAME", help="by default this bundle's")
    for command in places:
        text = "where bundles are installed; EDGEKIT_HOME by default"
        command.add_argument("--root", metavar="DIR", help=text)
    return _read(parser, arguments)


def launcher_arguments(name: str, arguments: List[str]) -> argparse.Namespace:
    """Read the command line of ROOT/bin/NAME COMMAND."""
    parser, commands = _parser(name, _BUNDLE)
    _add_verify(commands)
    _command(commands, "info", "what is inside")
    _add_run(commands)
    _add_probe(commands)
    _command(commands, "list", "what is installed beside it")
    _command(commands, "rollback", "go back to the version that was installed before")
    _command(commands, "uninstall", "remove this bundle with all its versions")
    return _read(parser, arguments)


def tool_arguments(name: str, arguments: List[str]) -> argparse.Namespace:
    """Read the command line of ROOT/bin/edgekit COMMAND."""
    parser, commands = _parser(name, _TOOL)
    _add_install(commands).add_argument("file", metavar="FILE", help="a bundle")
    _add_verify(commands).add_argument("file", metavar="FILE", help="a bundle")
    _command(commands, "list", "what is installed on this machine")
    for word, text in (
        ("rollback", "go back to the version that was installed before"),
        ("uninstall", "remove an installed bundle with all its versions"),
    ):
        _command(commands, word, text).add_argument("name", metavar="NAME")
    _add_trust(commands)
    text = "run an installed bundle"
    run = commands.add_parser("run", help=text, description=text, add_help=False)
    run.add_argument("name", metavar="NAME")
    run.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    return _read(parser, arguments)


def _parser(name: str, text: str) -> Tuple[argparse.ArgumentParser, "_Commands"]:
    parser = argparse.ArgumentParser(prog=name, description=text)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser, parser.add_subparsers(dest="command", metavar="COMMAND", required=True)


def _read(parser: argparse.ArgumentParser, arguments: List[str]) -> argparse.Namespace:
    """Parse what stands before the first `--`; what follows is the command of a unit."""
    words: Optional[List[str]] = None
    if "--" in arguments:
        at = arguments.index("--")
        arguments, words = arguments[:at], arguments[at + 1 :]
    chosen = parser.parse_args(arguments)
    if words is not None and chosen.command != "install":
        parser.error("nothing may follow --")
    chosen.words = words or []
    return chosen


def _command(commands: "_Commands", name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("--json", action="store_true", help="print one JSON document")
    return command


def _add_verify(commands: "_Commands") -> argparse.ArgumentParser:
    verify = _command(commands, "verify", "is it whole, and does it fit this machine?")
    text = "look at the files only, not at this machine"
    verify.add_argument("--integrity", action="store_true", help=text)
    return verify


def _add_run(commands: "_Commands") -> None:
    run = _command(commands, "run", "run the samples and compare, or run inputs of your own")
    run.add_argument("--inputs", metavar="FILE.npz", help="arrays named as the inputs")
    run.add_argument("--outputs", metavar="FILE.npz", help="where the outputs go")
    _add_threads(run)


def _add_probe(commands: "_Commands") -> None:
    from edge.device.probe_arguments import add_probe_options

    probe = _command(commands, "probe", "measure the latency on this machine")
    _add_threads(probe)
    add_probe_options(probe)


def _add_threads(command: argparse.ArgumentParser) -> None:
    text = "threads inside one inference"
    command.add_argument("--threads", type=int, metavar="N", help=text)


def _add_install(commands: "_Commands") -> argparse.ArgumentParser:
    install = _command(commands, "install", "install it, and keep the version before it")
    text = "even if the installed version is newer"
    install.add_argument("--allow-older", action="store_true", help=text)
    text = "also write a systemd unit, for `run` or for the command that follows --"
    install.add_argument("--systemd", action="store_true", help=text)
    text = "where the unit goes; ROOT/systemd by default"
    install.add_argument("--systemd-folder", metavar="DIR", help=text)
    return install


def _add_trust(commands: "_Commands") -> argparse.ArgumentParser:
    trust = _command(commands, "trust", "take only what a key has signed; alone: list the keys")
    trust.add_argument("key", nargs="?", metavar="KEY.pub", help="a public key to trust")
    text = "and take only bundles for this target"
    trust.add_argument("--target", metavar="NAME", help=text)
    trust.add_argument("--remove", metavar="KEYID", help="trust this key no longer")
    return trust
