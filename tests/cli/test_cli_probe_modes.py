"""edgekit probe, asked for more than one measurement: as a user calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.adapters.results import load_result
from edge.records.codec import from_dict
from edge.records.measurement import Measurement
from edge.records.search import BatchCurve, LoadSearch
from edge.records.sweep import SweepResult

SHORT = ("--min-time", "0", "--max-time", "3", "--min-queries", "30", "--warm-up", "2")


def edgekit(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", "probe", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ),
        check=False,
    )


def test_a_sweep_is_printed_saved_and_taken_up(tmp_path: Path) -> None:
    options = ("--sweep", "threads,precision", "--rounds", "2", "--json")
    done = edgekit(*SHORT, *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    result = from_dict(SweepResult, json.loads(done.stdout))
    assert result.is_whole
    assert {row.variant for row in result.rows} == {"fp32/onnxruntime", "int8/onnxruntime"}
    saved = {path.name for path in (tmp_path / "results").iterdir()}
    assert {"digits-cnn-fp32.sweep.json", "digits-cnn-fp32.sweep.jsonl"} <= saved
    measured = [name for name in saved if name.endswith(".measurement.json")]
    assert len(measured) == len(result.rows)
    one = load_result(Measurement, tmp_path / "results" / measured[0])
    assert (len(one.latencies_ns), one.rounds) == (60, (30, 30))
    again = edgekit(*SHORT, *options, "--resume", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    taken = from_dict(SweepResult, json.loads(again.stdout))
    assert taken.resumed_rounds == 2 * len(result.rows)
    assert [row.measurement for row in taken.rows] == [row.measurement for row in result.rows]


def test_searches_are_printed_and_saved(tmp_path: Path) -> None:
    done = edgekit(*SHORT, "--batch-curve", "--json", folder=tmp_path)
    assert from_dict(BatchCurve, json.loads(done.stdout)).chosen == 1
    done = edgekit(*SHORT, "--find-load", "--limit-ms", "0.000001", "--json", folder=tmp_path)
    assert from_dict(LoadSearch, json.loads(done.stdout)).highest_met_qps is None
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "digits-cnn-fp32.batch-curve.json",
        "digits-cnn-fp32.batch-curve.jsonl",
        "digits-cnn-fp32.load-search.json",
        "digits-cnn-fp32.load-search.jsonl",
    ]
    done = edgekit(*SHORT, "--find-load", "--limit-ms", "0.000001", folder=tmp_path)
    assert done.stdout.splitlines()[-1].startswith(("it ended: single queries", "flaw: "))
    assert "no load was shown to keep p99 within 1 ns" in done.stdout


def test_scenarios_have_files_of_their_own(tmp_path: Path) -> None:
    for options in (
        (),
        ("--target-qps", "100", "--limit-ms", "50"),
        ("--scenario", "offline"),
        ("--scenario", "multi-stream", "--samples-per-query", "2"),
        ("--graph-level", "basic", "--provider", "cpu"),
    ):
        done = edgekit(*SHORT, "--threads", "1", *options, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    stem = "digits-cnn-fp32.onnx-onnxruntime-t1"
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        f"{stem}-basic-cpu.measurement.json",
        f"{stem}-multi-stream-2.measurement.json",
        f"{stem}-offline.measurement.json",
        f"{stem}-server-100qps.measurement.json",
        f"{stem}.measurement.json",
    ]


def test_a_picture_goes_through_a_program(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (40, 30), dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "x.png"), noise)
    done = edgekit(*SHORT, "--input", "x.png", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    names = [s.name for s in from_dict(Measurement, json.loads(done.stdout)).stages]
    assert names == ["decode", "resize", "normalise", "inference", "postprocess", "end to end"]
    done = edgekit(
        *SHORT, "--input", "test:64x48", "--fps", "20", "--seconds", "0.5", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "of 10, test:64x48 at 20 frames/s" in done.stdout


def test_what_a_gate_says(tmp_path: Path) -> None:
    gate = ("--check", "--max-p50-ms", "60000", "--max-memory-mib", "1", "--format", "junit")
    done = edgekit(*SHORT, *gate, "--check-output", "gate.xml", folder=tmp_path)
    # 13: memory is over its limit. 7: other programs kept the cores busy, so nothing counts.
    assert done.returncode in (7, 13)
    assert done.stdout.startswith("check of digits-cnn-fp32.onnx")
    text = (tmp_path / "gate.xml").read_text(encoding="utf-8")
    assert text.count("<testcase") >= 2
    # A p99 needs 662 queries.
    done = edgekit(*SHORT, "--check", "--max-p99-ms", "60000", "--json", folder=tmp_path)
    assert done.returncode in (7, 12)
    (result,) = json.loads(done.stdout)["results"]
    assert (result["outcome"], result["reason"]) == ("not-shown", "needs 632 more queries")


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--sweep", "threads", "--check"), 2, "--sweep and --check do not go together"),
        (("--check",), 2, "--check and its limits (--max-p90-ms and others) go together"),
        (("--max-p90-ms", "5"), 2, "--check and its limits (--max-p90-ms and others) go together"),
        (("--check", "--max-p90-ms", "-1"), 2, "max_p90_ns must be 0 or more, and finite"),
        (("--find-load",), 2, "--find-load needs --limit-ms"),
        (("--resume",), 2, "--resume goes with --sweep, --find-load or --batch-curve"),
        (("--fps", "5"), 2, "--fps goes with --input"),
        (("--sweep", "colour"), 2, "--sweep: no such axis: colour"),
        (("--scenario", "server"), 2, "server needs --target-qps, or --find-load"),
        (("--provider", "magic"), 2, "magic"),
        (("--input", "nowhere.png"), 2, "nowhere.png: no such file"),
        (("--host", "pi@board"), 2, "--host needs a bundle"),
        (("--meter", "nowhere.csv", *SHORT), 0, ""),
    ],
)
def test_options_that_cannot_be(
    tmp_path: Path, options: tuple[str, ...], status: int, message: str
) -> None:
    done = edgekit(*options, folder=tmp_path)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    if status:
        assert done.stdout == ""
        assert not (tmp_path / "results").exists()
