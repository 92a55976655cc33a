"""Children that are forks of a process which has imported the runtime."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge.backends import load_backend
from edge.device.parent import PREIMPORTED, Limits, own_cpu_s, run_child
from edge.device.zygote import Zygote, preimported

HERE = str(Path(__file__).parent)
MODELS = Path(__file__).parents[2] / "models" / "digits-cnn"
LIMITS = Limits(wall_s=60)


def measured(model: str, backend: str, paths: tuple[str, ...] = ()) -> Any:
    request = {
        "model": str(MODELS / model),
        "config": {"backend": backend, "threads": 1},
        "warmup_queries": 1,
        "min_queries": 20,
        "min_ns": 0,
        "max_ns": 10**9,
    }
    return run_child(
        "edge.device.worker:measure", request, limits=LIMITS, what="digits", paths=paths
    )


@pytest.mark.parametrize(
    ("model", "backend"),
    [("digits-cnn-fp32.onnx", "onnxruntime"), ("digits-cnn-fp32.tflite", "tflite")],
)
def test_real_runtimes_run_in_forks(model: str, backend: str) -> None:
    with preimported(backend) as zygote:
        assert zygote.imported_ns is not None
        answers = [measured(model, backend) for _ in range(5)]
    assert {answer["import_ns"] for answer in answers} == {zygote.imported_ns}
    assert all(len(answer["latencies_ns"]) == 20 for answer in answers)
    distribution, version = load_backend(backend).version()
    told = {(a["runtime"]["distribution"], a["runtime"]["version"]) for a in answers}
    assert told == {(distribution, version)}
    assert PREIMPORTED == []


@pytest.mark.parametrize("backend", ["onnxruntime", "tflite"])
def test_a_zygote_has_no_threads(backend: str) -> None:
    with preimported(backend) as zygote:
        assert zygote._program is not None
        assert len(os.listdir(f"/proc/{zygote._program.pid}/task")) == 1  # noqa: PTH208


def test_each_child_is_a_process_of_its_own() -> None:
    with preimported("tflite", [HERE]) as zygote:
        limits = Limits(wall_s=60)
        pids: list[int] = []
        for _ in range(3):
            run_child(
                "child_tasks:echo", {}, limits=limits, what="x", paths=[HERE], started=pids.append
            )
        assert len(set(pids)) == 3
        assert zygote._program is not None
        assert zygote._program.pid not in pids


def test_a_child_has_imported_numpy_already() -> None:
    request = {"module": "numpy"}
    with preimported("tflite", [HERE]):
        answer = run_child("child_tasks:knows", request, limits=LIMITS, what="x", paths=[HERE])
        others = run_child(
            "child_tasks:knows", request, limits=LIMITS, what="x", paths=[HERE, "/elsewhere"]
        )
    assert (answer, others) == (True, False)


def test_a_zygote_serves_its_backend_only() -> None:
    with preimported("tflite", [HERE]) as zygote:
        assert zygote.serves([HERE], {"config": {"backend": "tflite"}})
        assert zygote.serves([HERE], {})
        assert not zygote.serves([HERE], {"config": {"backend": "onnxruntime"}})
        assert not zygote.serves([], {})
    assert not zygote.serves([HERE], {})


def test_a_killed_zygote_is_done_without() -> None:
    with preimported("tflite") as zygote:
        assert zygote._program is not None
        os.kill(zygote._program.pid, signal.SIGKILL)
        answer = measured("digits-cnn-fp32.tflite", "tflite")
        assert zygote.reason is not None
        assert zygote.reason.startswith("it could not fork: ")
    assert len(answer["latencies_ns"]) == 20


def test_a_zygote_that_cannot_be_started_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        zygote = Zygote("tflite", [])
    reason = "it did not start: tflite: cannot start a process: "
    assert zygote.reason is not None
    assert zygote.reason.startswith(reason)
    assert not zygote.serves([], {})


def test_the_processor_time_of_forks_is_ours() -> None:
    with preimported("tflite", [HERE]) as zygote:
        before = own_cpu_s()
        run_child("child_tasks:echo", {}, limits=LIMITS, what="x", paths=[HERE])
        # What is added and taken away again is not exact in its last bits.
        assert 0 < zygote.cpu_s <= own_cpu_s() - before + 1e-6


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_zygote_and_child_die_with_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    pid_file = tmp_path / "pid"
    program = f"""
from edge.device.parent import Limits, run_child
from edge.device.zygote import preimported
with preimported("tflite", [{HERE!r}]) as zygote:
    print(zygote._program.pid, flush=True)
    run_child("child_tasks:hang", {{"pid_file": {str(pid_file)!r}}}, limits=Limits(), what="x",
              paths=[{HERE!r}])
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        zygote = int(parent.stdout.readline())
        deadline = time.monotonic() + 60
        while not (pid_file.exists() and pid_file.read_text(encoding="utf-8")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        parent.send_signal(number)
        assert parent.wait(60) != 0
    for pid in (zygote, int(pid_file.read_text(encoding="utf-8"))):
        while Path(f"/proc/{pid}").exists() and " Z " not in stat_of(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def stat_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return " Z "
