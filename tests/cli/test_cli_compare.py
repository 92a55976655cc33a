"""edgekit compare from the command line: what it prints and writes, its status, how it fails."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from made_advice import measurement

from edge.adapters.results import save_result
from edge.cli.checks_text import Format, print_check
from edge.errors import HostError
from edge.records.codec import from_dict
from edge.records.comparison import Comparisons
from edge.records.measurement import Measurement
from edge.workflows.checks import check_measurement, limits_from


def edgekit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", "compare", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


def at(typical_ms: int, **changes: Any) -> Measurement:
    """Return 720 queries: the typical latency, a little more and a little less in turns."""
    latencies = tuple(typical_ms * ns for ns in (990_000, 1_000_000, 1_010_000))
    return measurement(**{"latencies_ns": latencies * 240, **changes})


@pytest.fixture
def places(tmp_path: Path) -> Path:
    save_result(at(10), tmp_path / "old", "one")
    save_result(at(11), tmp_path / "new", "one")
    return tmp_path


TEXT = """\
p50 of new against old
┏━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━┓
┃ model      ┃     A ┃     B ┃     B minus A ┃       interval ┃ result ┃
┡━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━┩
│ model.onnx │ 10 ms │ 11 ms │ +1 ms (+10 %) │ +1 ms to +1 ms │ slower │
└────────────┴───────┴───────┴───────────────┴────────────────┴────────┘
slower by 1 ms (1 ms to 1 ms), more than 500 µs
one process each: another one of the same model may differ by 2 to 5 %, at times by 20 %
"""


def test_it_prints_a_table_and_the_status_says_nothing_without_check(places: Path) -> None:
    done = edgekit("old", "new", cwd=places)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == TEXT


def test_check_gives_13_where_it_became_slower(places: Path) -> None:
    assert edgekit("old", "new", "--check", cwd=places).returncode == 13
    assert edgekit("new", "old", "--check", cwd=places).returncode == 0
    wide = edgekit("old", "new", "--check", "--max-increase", "15 %", cwd=places)
    assert (wide.returncode, "same" in wide.stdout) == (0, True)
    assert edgekit("old", "new", "--check", "--floor", "2ms", cwd=places).returncode == 0


def test_check_gives_7_for_flaws_and_12_for_too_few(places: Path) -> None:
    save_result(at(11, flaws=("it drifted",)), places / "hot", "one")
    done = edgekit("old", "hot", "--check", cwd=places)
    assert done.returncode == 7
    assert "slower, but not trustworthy" in done.stdout
    assert "\nB is flawed: it drifted\n" in done.stdout
    save_result(at(10, latencies_ns=(10,) * 20), places / "few", "one")
    done = edgekit("old", "few", "--check", cwd=places)
    assert done.returncode == 12
    assert "\ntoo few blocks (20 and 2): needs 20 more queries of each\n" in done.stdout


@pytest.mark.parametrize("how", [("--json",), ("--format", "json")])
def test_json_is_one_document(places: Path, how: tuple[str, ...]) -> None:
    done = edgekit("old", "new", *how, cwd=places)
    assert done.stderr == ""
    found = from_dict(Comparisons, json.loads(done.stdout))
    assert (found.a, found.b, [p.answer for p in found.pairs]) == ("old", "new", ["slower"])


def test_a_file_gets_the_format_and_stdout_the_text(places: Path) -> None:
    done = edgekit("old", "new", "--format", "junit", "-o", "gate.xml", "--check", cwd=places)
    assert (done.returncode, done.stdout, done.stderr) == (13, TEXT, "saved: gate.xml\n")
    suites = ET.parse(places / "gate.xml").getroot()
    assert suites.get("failures") == "1"
    done = edgekit("old", "new", "--format", "markdown", "-o", "x.md", "--json", cwd=places)
    assert json.loads(done.stdout)["a"] == "old"
    assert (places / "x.md").read_text(encoding="utf-8").startswith("### p50 of new against old\n")
    edgekit("old", "new", "-o", "x.txt", cwd=places)
    assert (places / "x.txt").read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("old", "no"), 3, "error: no: no such file or folder\n"),
        (
            ("old", "new", "-o", "no/x.txt"),
            9,
            "error: no/x.txt: no such file or directory\nhint: create the folder first\n",
        ),
        (("old", "new", "--max-increase", "5"), 2, "'5' is no share such as 5%\n"),
        (("old", "new", "--floor", "50"), 2, "'50' is no duration such as 50us\n"),
        (("old", "new", "--percentile", "95"), 2, "'95' is not one of '50', '90', '99'.\n"),
        (("old", "new", "--confidence", "1"), 2, "1.0 is not in the range 0.5<=x<=0.9999.\n"),
        (("old",), 2, "Missing argument 'B'.\n"),
    ],
)
def test_what_is_wrong_is_said(
    places: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = edgekit(*arguments, cwd=places)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.endswith(message)


def test_a_damaged_file_is_an_error(places: Path) -> None:
    (places / "new" / "one.measurement.json").write_text("{", encoding="utf-8")
    done = edgekit("old", "new", "--check", cwd=places)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: new/one.measurement.json: not JSON: ")


CHECK = check_measurement(measurement(queries=100), limits_from(max_p50_ms=50, max_p99_ms=50))
CHECK_TEXT = """\
check of model.onnx
┏━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ limit       ┃       allowed ┃               measured ┃ result    ┃
┡━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ p50 latency │ at most 50 ms │                9.96 ms │ passed    │
│ p99 latency │ at most 50 ms │ needs 562 more queries │ not shown │
└─────────────┴───────────────┴────────────────────────┴───────────┘
"""


def test_a_check_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(CHECK)
    assert capsys.readouterr() == (CHECK_TEXT, "")


def test_the_flaws_of_a_check_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(dataclasses.replace(CHECK, flaws=("it drifted",)))
    told = capsys.readouterr().out
    assert "passed, but flawed" in told
    assert told.endswith("\nnot trustworthy: it drifted\n")


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("json", '{\n "schema_version": "1.0",\n "model": "model.onnx"'),
        ("junit", '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites'),
        ("markdown", "### check of model.onnx\n"),
        ("text", "check of model.onnx\n┏"),
    ],
)
def test_a_check_in_each_form(
    form: Format, start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_check(CHECK, form)
    printed = capsys.readouterr().out
    assert printed.startswith(start)
    print_check(CHECK, form, tmp_path / "gate")
    assert (tmp_path / "gate").read_text(encoding="utf-8") == printed
    assert capsys.readouterr() == (CHECK_TEXT, f"saved: {tmp_path / 'gate'}\n")


def test_a_check_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        print_check(CHECK, "junit", tmp_path / "no" / "gate.xml")
