"""Bad input to every command: one or two clear lines, the right code, nothing half written."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import TensorProto, helper

ROOT = Path(__file__).parent.parent.parent
DEFAULT = ROOT / "models" / "digits-cnn"


def edgekit(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def assert_refused(
    done: "subprocess.CompletedProcess[str]", status: int, message: str, place: Path
) -> None:
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert 1 <= len(lines) <= 2, done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert "Traceback" not in done.stderr
    assert not [p for p in place.iterdir() if p.name.endswith((".part", ".pyz", ".html"))]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of files that are no models."""
    good_onnx = (DEFAULT / "digits-cnn-fp32.onnx").read_bytes()
    good_tflite = (DEFAULT / "digits-cnn-fp32.tflite").read_bytes()
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "truncated.onnx").write_bytes(good_onnx[: len(good_onnx) // 2])
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
    (tmp_path / "picture.onnx").write_bytes(png)
    noise = bytes((i * 7919 + 13) % 256 for i in range(4096))
    (tmp_path / "noise.tflite").write_bytes(noise)
    (tmp_path / "masked-noise.tflite").write_bytes(noise[:4] + b"TFL3" + noise[8:])
    (tmp_path / "truncated.tflite").write_bytes(good_tflite[: len(good_tflite) // 2])
    (tmp_path / "folder.onnx").mkdir()
    os.mkfifo(tmp_path / "pipe.onnx")
    return tmp_path


BROKEN = [
    "missing.onnx",
    "empty.onnx",
    "truncated.onnx",
    "picture.onnx",
    "noise.tflite",
    "masked-noise.tflite",
    "truncated.tflite",
    "folder.onnx",
    "pipe.onnx",
]


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize(
    "command", [["inspect"], ["probe", "--min-time", "0.1"], ["advise", "--qps", "1"]]
)
def test_a_broken_model(command: list[str], name: str, models: Path) -> None:
    done = edgekit(command[0], name, *command[1:], cwd=models)
    assert_refused(done, 4, name, models)
    assert not (models / "results").exists()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_not_packaged(name: str, models: Path) -> None:
    done = edgekit("package", name, "--target", "rpi4", cwd=models)
    assert_refused(done, 4, name, models)


@pytest.mark.parametrize(
    ("arguments", "status", "message", "hint"),
    [
        (
            ["inspect", "digits-cn"],
            4,
            "there is no model named 'digits-cn'",
            "did you mean digits-cnn?",
        ),
        (["package", "--target", "rpi44"], 3, "rpi44: no such target", "did you mean rpi4"),
        (["targets", "show", "jetsn"], 3, "jetsn: no such target", "did you mean jetson"),
        (["advise", "--target", "rpi44", "--qps", "1"], 3, "rpi44: no such target", "did you mean"),
        (["advise", "--workload", "w.toml"], 3, "w.toml: latency_limit: unknown key", "did you"),
        (["advise", "--workload", "broken.toml"], 3, "broken.toml: not TOML", None),
        (["advise", "--workload", "missing.toml"], 3, "missing.toml: no such file", None),
        (["targets", "show", "./t.toml"], 3, "t.toml: cpuu: unknown key", "did you mean cpu"),
        (["report", "nowhere"], 3, "nowhere: ", None),
        (
            ["models", "fetch", "silero-vda"],
            4,
            "there is no model named 'silero-vda'",
            "did you mean silero-vad",
        ),
    ],
)
def test_wrong_words(
    arguments: list[str], status: int, message: str, hint: str | None, tmp_path: Path
) -> None:
    workload = 'schema_version = "1.0"\nlatency_limit = 5\n'
    (tmp_path / "w.toml").write_text(workload, encoding="utf-8")
    (tmp_path / "broken.toml").write_text("a = ", encoding="utf-8")
    target = (ROOT / "targets" / "rpi4.toml").read_text(encoding="utf-8")
    typo = target.replace('name = "rpi4"', 'name = "t"').replace("[cpu]", "[cpuu]", 1)
    (tmp_path / "t.toml").write_text(typo, encoding="utf-8")
    done = edgekit(*arguments, cwd=tmp_path)
    assert_refused(done, status, message, tmp_path)
    if hint is not None:
        assert hint in done.stderr


@pytest.fixture
def read_only(tmp_path: Path) -> Path:
    """A folder in which this user cannot write; root needs one that nobody can write to."""
    if os.geteuid() == 0:
        return Path("/sys")
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    return folder


def test_read_only_folders(read_only: Path, tmp_path: Path) -> None:
    bundle = edgekit("package", "--target", "host", "-o", str(read_only / "x.pyz"), cwd=tmp_path)
    assert_refused(bundle, 9, f"{read_only}/x.pyz: permission denied", tmp_path)
    probe = edgekit("probe", "--min-time", "0.1", "-o", str(read_only / "r"), cwd=tmp_path)
    assert probe.returncode == 9
    told = probe.stderr.splitlines()[0].removeprefix(f"error: {read_only}/r: ")
    assert told in ("permission denied", "operation not permitted")
    made = edgekit("probe", "--min-time", "0.1", "-o", "results", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    report = edgekit("report", "results", "-o", str(read_only / "x.html"), cwd=tmp_path)
    assert_refused(report, 9, f"{read_only}/x.html: permission denied", tmp_path)


def can_mount() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    command = [unshare, "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="mounting a small disk needs rights")
@pytest.mark.parametrize(
    "arguments",
    [
        "package --target host -o full/x.pyz",
        "probe --min-time 1 -o full",
        "report results -o full/x.html",
    ],
)
def test_a_full_disk(arguments: str, tmp_path: Path) -> None:
    assert edgekit("probe", "--min-time", "0.1", "-o", "results", cwd=tmp_path).returncode == 0
    (tmp_path / "full").mkdir()
    script = (
        f"mount -t tmpfs -o size=16k none full; {sys.executable} -m edge {arguments}; "
        "status=$?; ls -A full >&2; exit $status"
    )
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 9, done.stderr
    assert "no space left on device" in done.stderr.splitlines()[0]
    # The error, the hint, and nothing in the folder.
    assert len(done.stderr.splitlines()) == 2, done.stderr


ENDS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["probe", "--min-time", "60", "-o", "results"],
        ["probe", "endless.onnx", "-o", "results"],
        ["package", "endless.onnx", "--target", "host", "-o", "x.pyz"],
    ],
    ids=["probe", "probe-endless", "package"],
)
def test_interrupted(
    arguments: list[str], number: signal.Signals, tmp_path: Path, shared_cache: Path
) -> None:
    status, told = ENDS[number]
    write_endless_model(tmp_path / "endless.onnx")
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", *arguments],
        cwd=tmp_path,
        env={**os.environ, "EDGEKIT_CACHE": str(shared_cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: any("edge.device" in words for words in commands_below(process.pid)))
    process.send_signal(number)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == status, complaint
    assert complaint.strip() == told
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["endless.onnx"]
    assert commands_below(process.pid) == []


def write_endless_model(path: Path) -> None:
    """Write a model of a few hundred bytes that loops 2^40 times."""
    int64, flag, number = TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Add", ["v", "v"], ["w"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", int64, []),
            helper.make_tensor_value_info("going", flag, []),
            helper.make_tensor_value_info("v", number, [1]),
        ],
        [
            helper.make_tensor_value_info("still", flag, []),
            helper.make_tensor_value_info("w", number, [1]),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "yes", "x"], ["y"], body=body)],
        "endless",
        [helper.make_tensor_value_info("x", number, [1])],
        [helper.make_tensor_value_info("y", number, [1])],
        [
            helper.make_tensor("n", int64, [], [1 << 40]),
            helper.make_tensor("yes", flag, [], [True]),
        ],
    )
    opsets = [helper.make_opsetid("", 13)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes soon; the test's own time limit ends it otherwise."""
    while not condition():
        time.sleep(0.05)


def commands_below(parent: int) -> list[str]:
    """The command lines of the processes that one started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text(encoding="ascii", errors="replace")
            if f"PPid:\t{parent}\n" in text:
                found.append(status.with_name("cmdline").read_text(errors="replace"))
        except OSError:
            continue
    return found
