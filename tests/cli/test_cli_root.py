"""The root command: fast, lazy, and the one place that turns errors into exit codes."""

import json
import os
import signal
import subprocess
import sys

import click
import pytest

import edge
from edge import __main__ as entry
from edge import errors
from edge.cli import _COMMANDS, root


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


HELP = f"""\
Usage: edgekit [OPTIONS] COMMAND [ARGS]...

  Tell whether a model runs well enough on an edge board or a cloud CPU, or
  needs a GPU.

Options:
  --version   Show the version and exit.
  --debug     Show the traceback of an error.
  -h, --help  Show this message and exit.

Commands:
{chr(10).join(f"  {name:<8}  {text}" for name, text in _COMMANDS.items())}
"""


def test_help() -> None:
    done = run("--help")
    assert (done.returncode, done.stdout, done.stderr) == (0, HELP, "")


def test_version() -> None:
    assert run("--version").stdout == f"edgekit, version {edge.__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, json\n"
        "from edge.__main__ import main\n"
        "sys.argv = ['edgekit', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr))
    before = subprocess.run(
        [sys.executable, "-c", "import click, json, sys; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded -= set(json.loads(before.stdout))
    heavy = {"numpy", "rich", "onnx", "onnxruntime", "jinja2", "cv2", "packaging", "subprocess"}
    assert heavy & loaded == set()
    assert {name for name in loaded if name.startswith("edge.cli.")} == set()


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_is_there_and_has_an_example(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    parts = [command, *getattr(command, "commands", {}).values()]
    assert all(part.help for part in parts)
    assert any(f"edgekit {name}" in (part.help or "") for part in parts)


def test_unknown_command() -> None:
    done = run("inspekt")
    assert done.returncode == 2
    assert "Error: No such command 'inspekt'." in done.stderr


FAMILIES = {
    errors.UsageError: 2,
    errors.ConfigError: 3,
    errors.ModelError: 4,
    errors.BundleError: 5,
    errors.RuntimeFailure: 6,
    errors.UntrustedMeasurement: 7,
    errors.EmulationError: 8,
    errors.HostError: 9,
}


@pytest.mark.parametrize(("family", "status"), FAMILIES.items())
def test_every_family_has_its_exit_code(
    family: type[errors.EdgekitError],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    def failing() -> None:
        raise family("it broke\x1b[31m", where="there", hint="mend it")

    monkeypatch.setattr("edge.cli.root", failing)
    assert entry._run([], debug=False) == status
    assert capsys.readouterr().err == "error: there: it broke\\x1b[31m\nhint: mend it\n"


def test_the_families_are_complete() -> None:
    assert set(errors.EdgekitError.__subclasses__()) == set(FAMILIES)


def test_a_bug_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def buggy() -> None:
        raise KeyError("x")

    monkeypatch.setattr("edge.cli.root", buggy)
    assert entry._run([], debug=False) == 1
    assert capsys.readouterr().err == (
        "error: a bug in edgekit: KeyError: 'x'\n"
        "hint: run it again with --debug and report the traceback\n"
    )


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "terminated\n")],
)
def test_signals(number: int, status: int, words: str) -> None:
    code = (
        "import click, edge.cli, time\n"
        "@click.command()\n"
        "def waiting():\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "edge.cli.root = waiting\n"
        "from edge.__main__ import main\n"
        "import sys\nsys.argv = ['edgekit']\nmain()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, number)
    _, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint.lstrip("\n")) == (status, words)


@pytest.mark.parametrize("words", ["targets list", "targets list --json", "inspect --operators"])
def test_a_reader_that_goes_away_is_no_error(words: str) -> None:
    command = f"{sys.executable} -m edge {words} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


@pytest.mark.parametrize("name", _COMMANDS)
def test_examples_keep_their_lines(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert "\\b" not in done.stdout
    example = done.stdout.partition("Example:\n")[2].splitlines()
    assert name in {"targets", "models"} or example[0].startswith(f"    edgekit {name}")
