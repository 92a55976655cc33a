"""What `edgekit emulate` prints of one target and of several: whole texts, and where they go."""

import io
import json
from pathlib import Path

import pytest
from made_emulations import DEARER_ONE, FAILED, emulation, matrix
from rich.console import Console

from edge.cli.emulation_text import emulation_text, print_emulation
from edge.errors import HostError
from edge.records.codec import from_dict
from edge.records.emulation import Emulation, EmulationMatrix
from edge.report.junit import junit_xml
from edge.report.markdown import markdown_table

ONE = """\
digits-cnn-rpi4 on rpi4: 1 finding
model      digits-cnn, onnxruntime 1.32.0
system     Debian 12 (bookworm), arm64
Python     3.11.2
glibc      2.36
processor  cortex-a72
emulator   qemu-aarch64 7.2.22
outputs    3 of 3 samples agree (close), largest difference 6e-07
memory     peak 80 MiB, usable 3 GiB, under user-mode emulation

step    outcome  what it showed
audit   passed   every compiled file finds what it needs there
verify  passed   intact, and it fits
run     passed   3 of 3 samples agree
count   passed   3 steady inferences

phase   instructions     spread  baseline  increase  allowed
import         2.5 G
load            52 M                 52 M       0 %      2 %
first          126 M                128 M   -1.56 %      2 %
steady         120 M  0.00834 %     110 M   +9.09 %      2 %
counted with one thread; no time follows from it

Findings
✗ count: a steady inference takes 120 M instructions, 9.09 % more than the baseline's 110 M (allowed: 2 %) (cost-increase)
  → make a new baseline

In what this differs from the board
· the sensors are files that stay as they are
"""
SEVERAL = """\
digits-cnn on emulated targets
                                largest                                 steady
target       verify  run     difference  load  first  steady  against baseline  peak memory  result
rpi3         passed  failed           –     –      –       –                 –            –  2 findings
rpi4         passed  passed       6e-07  52 M  126 M   120 M           +9.09 %       80 MiB  1 finding
jetson-nano  –       –                –     –      –       –                 –            –  not emulated
load, first and steady are instructions, counted with one thread; they are no time

Findings
✗ rpi3: run: libonnxruntime.so.1.32.0 uses an instruction of asimddp that the processor lacks (illegal-instruction)
  → take a runtime that was built for this processor
✗ rpi3: run: it died of SIGILL (crash)
  → take another runtime
✗ rpi4: count: a steady inference takes 120 M instructions, 9.09 % more than the baseline's 110 M (allowed: 2 %) (cost-increase)
  → make a new baseline

Not emulated
· jetson-nano: the disk is full: free some space

In what this differs from the boards
· rpi4: the sensors are files that stay as they are
"""


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed, without the blanks that fill a table's last column."""
    return "\n".join(line.rstrip() for line in capsys.readouterr().out.split("\n"))


def test_one_target(capsys: pytest.CaptureFixture[str]) -> None:
    print_emulation(DEARER_ONE)
    assert said(capsys) == ONE


def test_several_targets(capsys: pytest.CaptureFixture[str]) -> None:
    print_emulation(matrix(FAILED, DEARER_ONE))
    assert said(capsys) == SEVERAL


def test_what_is_not_known_leaves_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_emulation(emulation(steps=(), counts=None, memory=None, outputs=None))
    text = said(capsys)
    assert text.startswith("digits-cnn-rpi4 on rpi4: nothing found\n")
    assert "outputs    unknown\nmemory     unknown\n" in text
    assert "phase" not in text
    assert "step" not in text
    assert "Findings" not in text


def test_a_narrow_terminal_shows_every_figure_of_several_targets() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, color_system=None, highlight=False)
    console.print(*emulation_text(matrix()))
    row = next(line for line in out.getvalue().splitlines() if line.startswith("rpi4"))
    figures = ["rpi4", "passed", "passed", "6e-07", "52 M", "126 M", "120 M", "80 MiB"]
    assert [cell for cell in row.split("  ") if cell.strip()][:1] == ["rpi4"]
    assert all(figure in row for figure in figures)
    assert row.rstrip().endswith("nothing found")


def test_colours_only_where_there_is_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_emulation(matrix())
    assert "\x1b" not in capsys.readouterr().out
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, color_system="standard")
    console.print(*emulation_text(matrix()))
    assert "\x1b[1;31m2 findings" in out.getvalue()
    assert "\x1b[1;32mnothing found" in out.getvalue()


def test_a_hostile_name_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_emulation(emulation(bundle="[red]a\x1b[31m\nb"))
    assert said(capsys).startswith("[red]a\\x1b[31m\\nb on rpi4: nothing found\n")


def test_the_json_is_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    print_emulation(DEARER_ONE, as_json=True)
    assert from_dict(Emulation, json.loads(capsys.readouterr().out), "stdout") == DEARER_ONE
    print_emulation(matrix(), "json")
    assert from_dict(EmulationMatrix, json.loads(capsys.readouterr().out), "stdout") == matrix()


def test_a_form_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    print_emulation(matrix(), "markdown")
    assert capsys.readouterr().out == markdown_table(matrix())
    print_emulation(matrix(), "junit")
    assert capsys.readouterr().out == junit_xml(matrix())


def test_a_form_goes_into_the_report_and_the_record_into_the_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, output = tmp_path / "emulate.xml", tmp_path / "results.json"
    print_emulation(DEARER_ONE, "junit", report, output)
    captured = capsys.readouterr()
    assert captured.out.startswith("digits-cnn-rpi4 on rpi4: 1 finding\n")
    assert captured.err == f"saved: {output}\nsaved: {report}\n"
    assert report.read_text(encoding="utf-8") == junit_xml(DEARER_ONE)
    assert from_dict(Emulation, json.loads(output.read_bytes()), output) == DEARER_ONE


def test_text_may_go_into_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "emulate.txt"
    print_emulation(DEARER_ONE, "text", report)
    assert report.read_text(encoding="utf-8") == capsys.readouterr().out
    print_emulation(DEARER_ONE, "json", report, as_json=True)
    assert report.read_text(encoding="utf-8") == capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        print_emulation(emulation(), "json", tmp_path / "no" / "such" / "folder" / "file")
