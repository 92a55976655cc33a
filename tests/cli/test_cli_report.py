"""edgekit report from the command line: what it prints, what it writes, how it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.adapters.results import save_result
from edge.records.verdict import Verdict
from edge.records.workload import Workload

VERDICT = Verdict(
    answer="nothing-fits", chosen=None, reason="none", model="net.onnx", model_sha256="ab" * 32,
    workload=Workload(load_per_s=2), candidates=(), crossovers=(), plotted_targets=(),
    cost_points=(), assumptions=(), next_command=None, edgekit_version="0.1.0",
)  # fmt: skip


def edgekit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    save_result(VERDICT, tmp_path / "results", "net")
    return tmp_path


def test_it_writes_the_page_and_says_where(results: Path) -> None:
    done = edgekit("report", "results", cwd=results)
    page = (results / "report.html").read_text(encoding="utf-8")
    assert (done.returncode, done.stdout) == (0, "report.html\n")
    assert done.stderr.startswith("a page of ")
    assert done.stderr.endswith(" KiB from 1 verdict\n")
    assert "<title>Nothing fits: net.onnx</title>" in page
    assert sorted(p.name for p in results.iterdir() if p.name != "cache") == [
        "report.html", "results",
    ]  # fmt: skip


def test_json_is_one_document(results: Path) -> None:
    done = edgekit("report", "results/net.verdict.json", "-o", "x.html", "--json", cwd=results)
    size = (results / "x.html").stat().st_size
    assert json.loads(done.stdout) == {
        "report": "x.html", "size_bytes": size, "verdicts": 1, "measurements": 0, "models": 0,
    }  # fmt: skip
    assert done.stderr == ""


def test_the_same_results_give_the_same_bytes(results: Path) -> None:
    for name in ("a.html", "b.html"):
        assert edgekit("report", "results", "-o", name, cwd=results).returncode == 0
    assert (results / "a.html").read_bytes() == (results / "b.html").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "Error: Missing argument 'RESULTS...'.\n"),
        (["empty"], 3, ("error: empty: no result files there\n"
         "hint: edgekit probe and edgekit advise write them with --output\n")),
        (["missing"], 3, "error: missing: no such file or folder\n"),
        (["results", "broken.verdict.json"], 3,
         "error: broken.verdict.json: not JSON: Expecting value: line 1 column 1 (char 0)\n"),
        (["newer.verdict.json"], 3,
         ("error: newer.verdict.json: schema_version: version 2.0 is newer than this edgekit "
         "reads (1.0)\nhint: update edgekit on this machine\n")),
        (["results", "-o", "no/such/folder/x.html"], 9,
         "error: no/such/folder/x.html: no such file or directory\nhint: create the folder first\n"),
        (["results", "-o", "empty"], 9,
         "error: empty: is a directory\nhint: name a file, not a folder\n"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(results: Path, arguments: list[str], status: int, said: str) -> None:
    (results / "empty").mkdir()
    (results / "broken.verdict.json").write_text("", encoding="utf-8")
    newer = {"schema_version": "2.0"}
    (results / "newer.verdict.json").write_text(json.dumps(newer), encoding="utf-8")
    before = sorted(results.rglob("*"))
    done = edgekit("report", *arguments, cwd=results)
    assert done.returncode == status
    assert done.stderr.endswith(said)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(results.rglob("*")) == before, "nothing half written"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_said(results: Path) -> None:
    closed = results / "closed"
    closed.mkdir(mode=0o500)
    done = edgekit("report", "results", "-o", "closed/report.html", cwd=results)
    assert done.returncode == 9
    assert done.stderr == (
        "error: closed/report.html: permission denied\n"
        "hint: choose a folder that you may write to\n"
    )


def test_a_file_system_that_takes_no_file_is_said(results: Path) -> None:
    """The file system of processes refuses every new file, to root too."""
    done = edgekit("report", "results", "-o", "/proc/report.html", cwd=results)
    assert done.returncode == 9
    assert done.stderr.startswith("error: /proc/report.html: ")
    assert "Traceback" not in done.stderr


def test_a_full_disk_leaves_nothing(results: Path) -> None:
    """A file size limit below the page's stands in for the disk: the write fails half way."""
    script = (
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "sys.argv = ['edgekit', 'report', 'results']\n"
        "runpy.run_module('edge', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script], cwd=results, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (9, "error: report.html: file too large\n")
    assert [p.name for p in results.iterdir() if p.name != "cache"] == ["results"]
