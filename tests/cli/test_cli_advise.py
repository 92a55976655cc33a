"""edgekit advise as a user calls it: what it prints, what it saves, how it exits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.adapters.results import load_results

ROOT = Path(__file__).parent.parent.parent
DIGITS = ROOT / "models" / "digits-cnn"


def edgekit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_terminal_shows_the_verdict(tmp_path: Path) -> None:
    done = edgekit("advise", "--latency-ms", "50", "--qps", "5", "--target", "rpi4", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "EDGE – Raspberry Pi 4 Model B, 4 GB"
    assert lines[1].startswith("digits-cnn-fp32.onnx is predicted to answer within ")
    assert "the limit is 50 ms; one machine carries 5 queries/s for 3.40 USD a month." in lines[1]
    (row,) = [line for line in lines if line.startswith("│ rpi4 ")]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:2] == ["rpi4", "fits"]
    assert cells[3:5] == ["predicted", "1"]
    assert cells[6:] == ["3.40 USD", "0.26 USD"]
    assert "  write-off of a board: 36 months; no network, housing or labour [assumed]" in lines
    assert "  edgekit package digits-cnn --target rpi4 -o digits-cnn-rpi4.pyz" in lines
    assert "\x1b" not in done.stdout


def test_json_is_the_verdict_and_nothing_else(tmp_path: Path) -> None:
    done = edgekit("advise", "--latency-ms", "50", "--json", "-o", "out", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert document["answer"] == "edge"
    assert document["schema_version"] == "1.0"
    assert done.stderr.splitlines() == [
        "saved: out/digits-cnn-fp32.verdict.json",
        "saved: out/digits-cnn-fp32.model.json",
    ]
    (verdict,) = load_results(tmp_path / "out").verdicts
    assert verdict.chosen == document["chosen"]


@pytest.mark.parametrize(
    ("arguments", "status", "headline"),
    [
        (("--latency-ms", "50"), 0, "EDGE – "),
        (("--latency-ms", "50", "--target", "cpu"), 10, "CLOUD CPU – "),
        (("--latency-ms", "50", "--target", "cloud-gpu-t4"), 11, "CLOUD GPU – "),
        (("--latency-ms", "0.1", "--target", "rpi4"), 12, "UNDECIDED"),
        (("--latency-ms", "0.001", "--target", "rpi4"), 13, "NOTHING FITS"),
    ],
)
def test_check_says_it_by_the_exit_code(
    arguments: tuple[str, ...], status: int, headline: str, tmp_path: Path
) -> None:
    done = edgekit("advise", *arguments, "--check", cwd=tmp_path)
    assert done.returncode == status
    assert done.stdout.startswith(headline)
    # Without --check a verdict is no failure.
    assert edgekit("advise", *arguments, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "lines"),
    [
        (
            (),
            2,
            [
                "error: nothing is asked of the model: no latency limit and no load",
                "hint: give --latency-ms or --qps, or a workload file with one of them",
            ],
        ),
        (
            ("--latency-ms", "-1"),
            2,
            ["error: latency_limit_ms must be a positive number, got -1.0"],
        ),
        (
            ("--latency-ms", "5", "--currency", "EUR"),
            2,
            ["error: exchange_rate is needed: EUR for one USD"],
        ),
        (
            ("--workload", "none.toml"),
            3,
            ["error: none.toml: no such file or directory"],
        ),
        (
            ("--latency-ms", "5", "--results", "nowhere"),
            3,
            ["error: nowhere: no such file or folder"],
        ),
    ],
)
def test_what_is_wrong_is_said_in_two_lines(
    arguments: tuple[str, ...], status: int, lines: list[str], tmp_path: Path
) -> None:
    done = edgekit("advise", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.splitlines() == lines


def test_a_typo_in_a_target_and_in_a_workload(tmp_path: Path) -> None:
    wrong = edgekit("advise", "--latency-ms", "5", "--target", "rpi6", cwd=tmp_path)
    assert wrong.returncode == 3
    assert "did you mean" in wrong.stderr
    (tmp_path / "w.toml").write_text('schema_version = "1.0"\nlatencylimit_ms = 5\n')
    typo = edgekit("advise", "--workload", "w.toml", cwd=tmp_path)
    assert typo.returncode == 3
    assert typo.stderr.splitlines() == [
        "error: w.toml: latencylimit_ms: unknown key",
        "hint: did you mean latency_limit_ms?",
    ]


def test_int8_and_tflite_models_are_advised_on(tmp_path: Path) -> None:
    for name in ("digits-cnn-int8.onnx", "digits-cnn-fp32.tflite", "digits-cnn-int8.tflite"):
        done = edgekit("advise", str(DIGITS / name), "--latency-ms", "50", "--json", cwd=tmp_path)
        assert json.loads(done.stdout)["answer"] == "edge", done.stderr


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = edgekit("advise", "--latency-ms", "5", "-o", "file/folder", cwd=tmp_path)
    assert done.returncode == 9
    assert "Traceback" not in done.stderr


def test_training_by_options(tmp_path: Path) -> None:
    done = edgekit(
        *("advise", "--task", "training", "--samples", "1000", "--epochs", "10"),
        *("--time-budget-s", "3600", "--check", "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 10
    assert json.loads(done.stdout)["workload"]["training_samples"] == 1000
