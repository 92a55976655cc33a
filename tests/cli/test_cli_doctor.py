"""edgekit doctor as it is called: the table, the document, and what is required."""

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

import edge
from edge.cli.doctor import command
from edge.errors import HostError, UsageError
from edge.records.doctor import HostCheck, HostReport
from edge.workflows import doctor

SCHEMA = Path(edge.__file__).parent / "schemas" / "doctor.schema.json"
REPORT = HostReport(
    checks=(
        HostCheck(name="python", group="host", state="ok", found="3.11.7"),
        HostCheck(name="wheels", group="packaging", state="on-first-use", found="none"),
        HostCheck(
            name="ssh",
            group="remote",
            state="missing",
            found="it is [not] installed\x1b",
            remedy="apt-get install openssh-client",
        ),
    ),
    edgekit_version="1",
)
TABLE = """\
check      state         found                      remedy
host
  python   ok            3.11.7

packaging
  wheels   on first use  none

remote
  ssh      missing       it is [not] installed\\x1b  apt-get install openssh-client
"""


@pytest.fixture
def made_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine_host", lambda: REPORT)


@pytest.mark.usefixtures("made_report")
def test_the_table() -> None:
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 0
    assert [line.rstrip() for line in done.stdout.splitlines()] == TABLE.splitlines()


@pytest.mark.usefixtures("made_report")
def test_what_is_required_is_told_after_the_report() -> None:
    assert CliRunner().invoke(command, ["--require", "python, wheels"]).exit_code == 0
    done = CliRunner().invoke(command, ["--require", "python,ssh"])
    assert isinstance(done.exception, HostError)
    assert str(done.exception) == "missing: ssh"
    assert "openssh-client" in done.stdout
    unknown = CliRunner().invoke(command, ["--require", "shh"])
    assert isinstance(unknown.exception, UsageError)


def test_the_document_of_this_machine_is_valid() -> None:
    done = CliRunner().invoke(command, ["--json"])
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    names = {check["name"] for check in document["checks"]}
    assert {"onnxruntime", "qemu-aarch64", "target:rpi4", "ssh"} <= names
