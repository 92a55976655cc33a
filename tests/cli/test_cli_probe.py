import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.adapters.data import data_folder
from edge.adapters.results import load_result
from edge.cli.measurement import print_measurement
from edge.records.host import HostFacts, HostState
from edge.records.measurement import Measurement, ModelRef, RuntimeRef, SessionConfig

DIGITS = data_folder("models") / "digits-cnn"
QUICK = ("--min-time", "0", "--min-queries", "700", "--warm-up", "1")
WAIT_S = 60


def edgekit(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge", "probe", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=WAIT_S
    )


def test_the_default_model_is_measured_and_saved(tmp_path: Path) -> None:
    done = edgekit(*QUICK, "--threads", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (saved,) = (tmp_path / "results").iterdir()
    assert done.stderr == f"saved: results/{saved.name}\n"
    measurement = load_result(Measurement, saved)
    assert saved.name == f"{measurement.model.name}-onnxruntime-t1.measurement.json"
    assert len(measurement.latencies_ns) == 700
    assert re.search(r"^│ p99 +│ +[\d.]+ [µm]s │ +[\d.]+ [µm]s to", done.stdout, re.MULTILINE)
    assert "needs" not in done.stdout


def test_json_is_one_document_and_all_else_goes_to_stderr(tmp_path: Path) -> None:
    model = str(DIGITS / "digits-cnn-fp32.tflite")
    done = edgekit(
        model, *QUICK, "--threads", "1", "--target", "rpi", "-o", "out", "--json", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (saved,) = (tmp_path / "out").iterdir()
    assert json.loads(done.stdout) == json.loads(saved.read_text(encoding="utf-8"))
    # rpi is an alias; the record has the target's own name.
    assert json.loads(done.stdout)["target"] == "rpi4"


def host_facts() -> HostFacts:
    return HostFacts(
        machine="aarch64",
        system="Debian GNU/Linux 12 (bookworm)",
        libc="glibc 2.36",
        python="3.11.2",
        cpu_model="Cortex-A72",
        cpu_features=("asimd",),
        cores_online=4,
        cores_allowed=4,
        cpu_quota=1.5,
        memory_bytes=4 << 30,
        memory_available_bytes=3 << 30,
        memory_limit_bytes=None,
        board="Raspberry Pi 4 Model B Rev 1.5",
    )


MADE = Measurement(
    provenance="measured",
    started_unix_ns=1,
    edgekit_version="0",
    target="rpi4",
    model=ModelRef("cat\x1b[31m.onnx", "onnx", "0" * 64, 1),
    config=SessionConfig("onnxruntime", 2),
    runtime=RuntimeRef("onnxruntime", "1.32.0", ("CPUExecutionProvider",), 2),
    host=host_facts(),
    before=HostState(1_500_000_000, "ondemand", 45.0, 0.1, 3 << 30),
    after=HostState(1_800_000_000, "ondemand", 62.5, 0.8, 3 << 30),
    import_ns=220_000_000,
    load_ns=13_000_000,
    first_inference_ns=2_000_000,
    warmup_ns=(1_100_000,),
    latencies_ns=tuple(1_000_000 + 1000 * n for n in range(100)),
    peak_memory_bytes=72 << 20,
    memory_before_load_bytes=60 << 20,
    flaws=("it drifted: 12% slower at the end than at the start",),
)


WHOLE_TEXT = """\
cat\\x1b[31m.onnx on onnxruntime 1.32.0 (CPUExecutionProvider), threads: 2
┏━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━┓
┃ latency ┃               measured ┃      95 % interval ┃
┡━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━┩
│ p50     │                1.05 ms │ 1.04 ms to 1.06 ms │
│ p90     │                1.09 ms │ 1.08 ms to 1.09 ms │
│ p99     │ needs 562 more queries │                    │
└─────────┴────────────────────────┴────────────────────┘
queries          100 in 105 ms, warm-ups apart
first inference  2 ms
load             13 ms, after importing the runtime: 220 ms
peak memory      72 MiB, of which before loading the model: 60 MiB
host             {host}
state            clock 1.5 to 1.8 GHz, governor ondemand, temperature 45 to 62.5 °C, load 0.1 to 0.8
target           rpi4
flaw             it drifted: 12% slower at the end than at the start""".format(
    host="Raspberry Pi 4 Model B Rev 1.5, Cortex-A72, aarch64, 4 of 4 cores, CPU quota 1.5, "
    "4 GiB, Debian GNU/Linux 12 (bookworm)"
)


def test_the_whole_text_of_a_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    print_measurement(MADE)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert "\n".join(lines) == WHOLE_TEXT


def test_what_is_unknown_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = HostState(None, None, None, None, None)
    print_measurement(replace(MADE, before=nothing, after=nothing, peak_memory_bytes=None))
    out = capsys.readouterr().out
    assert "clock unknown, governor unknown, temperature unknown, load unknown" in out
    assert "peak memory      unknown, of which before loading the model: 60 MiB" in out


@pytest.mark.parametrize(
    ("arguments", "status", "stderr"),
    [
        (("nowhere.onnx",), 4, "error: nowhere.onnx: no such file\n"),
        (("empty.onnx",), 4, "error: empty.onnx: the file is empty\n"),
        (("garbage.tflite",), 4, "error: garbage.tflite: "),
        (("--target", "rpi44"), 3, "rpi44"),
        (("--threads", "0"), 2, "Invalid value for '--threads'"),
        (("--min-time", "9", "--max-time", "1"), 2, "error: the maximum time must be above 0 s"),
        (("--min-queries", "0"), 2, "error: needs at least 1 query"),
        (("--shape", "input=a,b"), 2, "input=a,b: expected an input's name"),
        (("--shape", "input=1,1,8,9"), 2, "does not fit"),
        (("--inputs", "nowhere.npz"), 2, "error: nowhere.npz: no such file\n"),
        (("--inputs", "garbage.tflite"), 2, "error: garbage.tflite: its kind is not known\n"),
        (("-o", "garbage.tflite/results"), 9, "error: garbage.tflite/results: not a directory\n"),
    ],
)
def test_bad_input_is_one_clear_error(
    tmp_path: Path, arguments: tuple[str, ...], status: int, stderr: str
) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "garbage.tflite").write_bytes(bytes(range(256)))
    before = sorted(tmp_path.iterdir())
    done = edgekit(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert stderr in done.stderr
    assert "Traceback" not in done.stderr
    made = [path for path in sorted(tmp_path.iterdir()) if path not in before]
    assert all(path.is_dir() and not any(path.iterdir()) for path in made)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    return [int(word) for word in text.split()]


def measuring_child(process: "subprocess.Popen[str]") -> int:
    """Wait for the child that has loaded the runtime, and return it."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        for child in children(process.pid):
            try:
                maps = Path(f"/proc/{child}/maps").read_text(encoding="utf-8")
            except OSError:
                continue
            if "onnxruntime" in maps:
                return child
        time.sleep(0.05)
    raise AssertionError("no child measures: " + process.communicate(timeout=WAIT_S)[1])


@pytest.mark.parametrize(
    ("number", "status", "word"),
    # click ends the line that shows ^C on a terminal.
    [(signal.SIGINT, 130, "\ninterrupted\n"), (signal.SIGTERM, 143, "terminated\n")],
)
def test_an_interrupt_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, status: int, word: str
) -> None:
    command = [sys.executable, "-m", "edge", "probe", "--min-time", "50", "-o", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    child = measuring_child(process)
    time.sleep(0.3)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=WAIT_S)
    assert (process.returncode, stderr) == (status, word)
    assert not Path(f"/proc/{child}").exists()
    assert not (tmp_path / "out").exists()


def test_a_killed_child_is_decoded(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge", "probe", "--min-time", "50", "-o", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    os.kill(measuring_child(process), signal.SIGILL)
    _, stderr = process.communicate(timeout=WAIT_S)
    assert process.returncode == 6
    what = "the child died of SIGILL: an instruction that this CPU lacks"
    assert stderr.startswith(f"error: digits-cnn-fp32.onnx: {what}")
    assert not (tmp_path / "out").exists()


@pytest.mark.network
def test_a_bundle_measures_itself(tmp_path: Path, shared_cache: Path) -> None:
    environment = {**os.environ, "EDGEKIT_CACHE": str(shared_cache)}
    made = [sys.executable, "-m", "edge", "package", "--target", "host", "-o", "digits.pyz"]
    subprocess.run(made, cwd=tmp_path, env=environment, check=True, capture_output=True)
    done = edgekit("digits.pyz", *QUICK, "--threads", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (saved,) = (tmp_path / "results").iterdir()
    measurement = load_result(Measurement, saved)
    assert len(measurement.latencies_ns) == 700
    assert measurement.config == SessionConfig("onnxruntime", 1, prepared=True)
    assert measurement.target == "host"
    damaged = tmp_path / "damaged.pyz"
    content = bytearray((tmp_path / "digits.pyz").read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    done = edgekit("damaged.pyz", *QUICK, folder=tmp_path)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("error: damaged.pyz: the file is damaged")
