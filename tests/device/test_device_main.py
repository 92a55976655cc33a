"""The commands of a bundle, run as the device runs them: a real model in a small bundle."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_bundle import (
    MODELS,
    WHEEL,
    write_small,
)

from edge.adapters.slice import slice_files
from edge.device.bundle import open_bundle
from edge.device.entry import carried_digest
from edge.device.fit import this_machine


def device(
    path: Path, *arguments: str, python: str = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_verify(small: Path) -> None:
    done = device(small, "verify")
    machine = this_machine()
    with small.open("rb") as file:
        digest = carried_digest(file)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("the file is intact: ")
    assert lines[0].endswith(f", sha256 {digest}")
    assert lines[1:] == [
        "signature: unsigned",
        f"this machine fits: {machine.architecture}, Python {machine.python}, glibc {machine.glibc}",
    ]
    assert (done.returncode, done.stderr) == (0, "")
    as_json = json.loads(device(small, "verify", "--json").stdout)
    assert as_json == {
        "bundle": "digits-host",
        "target": "host",
        "sha256": digest,
        "size_bytes": small.stat().st_size,
        "intact": True,
        "signature": "unsigned",
        "fits": True,
        "misfits": [],
    }


def test_integrity_and_fit_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "pi.pyz"
    write_small(path, architecture="armv6l")
    machine = this_machine().architecture
    done = device(path, "verify")
    assert done.returncode == 5
    assert done.stdout.splitlines()[0].startswith("the file is intact: ")
    assert done.stdout.splitlines()[1:] == [
        "signature: unsigned",
        f"this machine does not fit: made for armv6l, this machine is {machine}",
    ]
    assert device(path, "verify", "--integrity").returncode == 0
    for command in ("run", "probe"):
        done = device(path, command)
        assert (done.returncode, done.stdout) == (5, "")
        assert done.stderr == (
            f"error: {path}: made for armv6l, this machine is {machine}\n"
            "hint: package the model again, with the --target that this machine is\n"
        )


def test_info(small: Path) -> None:
    lines = device(small, "info").stdout.splitlines()
    assert lines[:3] == [
        "bundle      digits-host, by edgekit 0.1.0",
        "target      host",
        "model       digits.onnx, onnx, fp32, 22.4 KiB",
    ]
    whole = json.loads(device(small, "info", "--json").stdout)
    assert whole["wheels"][0]["path"] == WHEEL
    assert whole["schema_version"] == "2.1"


def test_run(small: Path, tmp_path: Path) -> None:
    done = device(small, "run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 of 2 samples agree\n", "")
    wrong = tmp_path / "wrong.pyz"
    write_small(wrong, wrong_samples=True)
    done = device(wrong, "run")
    assert done.returncode == 6
    lines = done.stdout.splitlines()
    assert lines[0] == "0 of 2 samples agree"
    assert lines[1].startswith("sample 0, output logits: entry [0, ")
    assert len(lines) == 3
    answer = json.loads(device(wrong, "run", "--json").stdout)
    assert (answer["count"], answer["agreed"]) == (2, 0)


def test_run_with_inputs_of_ones_own(small: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.npz"
    images = str(MODELS / "samples.npz")
    done = device(small, "run", "--inputs", images, "--outputs", str(outputs))
    assert (done.returncode, done.stdout) == (0, f"16 samples run, outputs in {outputs}\n")
    with np.load(outputs) as arrays, np.load(images) as given:
        assert (arrays["output.logits"].reshape(16, 10).argmax(-1) == given["labels"]).mean() > 0.9
    assert device(small, "run", "--inputs", images).returncode == 2
    done = device(small, "run", "--inputs", images, "--outputs", "/proc/no/outputs.npz")
    assert done.returncode == 9
    assert done.stderr == (
        "error: /proc/no/outputs.npz: no such file or directory\n"
        "hint: choose another place for --outputs\n"
    )
    missing = device(small, "run", "--inputs", "/no/x.npz", "--outputs", str(tmp_path / "o.npz"))
    assert missing.returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [
        "outputs.npz"
    ]


def test_probe(small: Path, tmp_path: Path) -> None:
    options = ("--min-time", "0.05", "--min-queries", "70")
    done = device(small, "probe", *options, "--json", "-o", str(tmp_path / "results"))
    assert done.returncode == 0
    measurement = json.loads(done.stdout)
    assert measurement["target"] == "host"
    assert len(measurement["latencies_ns"]) >= 70
    assert measurement["runtime"]["threads"] == 1
    (written,) = (tmp_path / "results").iterdir()
    assert written.name == "digits-host.measurement.json"
    assert json.loads(written.read_text()) == measurement
    lines = device(small, "probe", "--max-time", "0.001", "--min-time", "0").stdout.splitlines()
    assert any(line.startswith("p99         needs ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "the following arguments are required: COMMAND"),
        (("frobnicate",), 2, "invalid choice: 'frobnicate'"),
        (("run", "--threads", "0"), 2, "error: --threads must be at least 1\n"),
        (("probe", "--max-time", "0"), 2, "error: the maximum time must be above 0 s"),
        (("probe", "-o", "/proc/no"), 9, "error: /proc/no/digits-host.measurement.json: no such"),
    ],
)
def test_wrong_use(small: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    extra = ("--min-time", "0", "--min-queries", "1") if arguments[:2] == ("probe", "-o") else ()
    done = device(small, *arguments, *extra)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_file_itself_says_that_it_is_damaged(small: Path, tmp_path: Path) -> None:
    """Also where the damage is in the code that looks for it."""
    data = small.read_bytes()
    shuffled = random.Random(3)
    names = {"edge/device/bundle.py": 2, "manifest.json": 1, "model/digits.onnx": 2, WHEEL: 1}
    with zipfile.ZipFile(small) as archive:
        infos = {info.filename: info for info in archive.infolist()}
    places = [5, 30, 60, len(data) - 10, len(data) - 1000]
    for name, count in names.items():
        start = infos[name].header_offset
        places += [shuffled.randrange(start, start + infos[name].file_size) for _ in range(count)]
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << shuffled.randrange(8)
        path = tmp_path / "damaged.pyz"
        path.write_bytes(flipped)
        done = device(path, "verify")
        assert done.returncode != 0, f"a flip at byte {place} was not found"
        assert "intact" not in done.stdout
        if infos["__main__.py"].header_offset > place > 100 and done.returncode == 5:
            assert done.stderr == (
                f"error: {path}: the file is damaged: copy it again, or package it again\n"
            )


def test_a_missing_system_package_is_named(tmp_path: Path) -> None:
    """A Python that has no numpy, and a bundle that relies on the system's."""
    path = tmp_path / "apt.pyz"
    write_small(path, apt_packages=("python3-numpy",))
    with open_bundle(str(path)) as bundle:
        assert [wheel.name for wheel in bundle.manifest.wheels] == ["tiny"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(path), "verify"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert done.stdout.splitlines()[2] == (
        "this machine does not fit: it lacks python3-numpy: sudo apt-get install python3-numpy"
    )


def is_running(process: str) -> bool:
    """Whether it still runs; a zombie that nobody waits for has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_probe_ends_with_its_child(
    small: Path, number: signal.Signals, status: int
) -> None:
    command = [sys.executable, str(small), "probe", "--min-time", "300", "--max-time", "600"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not (started := children.read_text().split()):
            assert process.poll() is None
        process.send_signal(number)
        output, complaint = process.communicate()
    assert process.returncode == status
    assert (output, complaint) == ("", {130: "interrupted\n", 143: "terminated\n"}[status])
    while any(is_running(child) for child in started):
        pass


def python_3_8() -> str | None:
    """A Python 3.8 that answers: on the path, or one that pyenv keeps beside the path."""
    kept = sorted(Path("~/.pyenv/versions").expanduser().glob("3.8.*/bin/python3.8"))
    for found in (shutil.which("python3.8"), *map(str, kept)):
        if found is not None:
            answers = subprocess.run([found, "-c", "pass"], check=False, capture_output=True)
            if answers.returncode == 0:
                return found
    return None


@pytest.mark.skipif(python_3_8() is None, reason="no Python 3.8 here; the syntax is checked")
def test_the_slice_runs_on_python_3_8(tmp_path: Path) -> None:
    python = python_3_8()
    assert python is not None
    path = tmp_path / "digits.pyz"
    write_small(path, python="3.8")
    done = device(path, "verify", python=python)
    assert (done.returncode, done.stderr) == (0, "")
    assert device(path, "info", python=python).returncode == 0
    modules = [
        f"edge.{'.'.join(Path(name).with_suffix('').parts[1:])}".replace(".__init__", "")
        for name in slice_files()
        if name.startswith(("edge/records/", "edge/reasoning/", "edge/device/"))
    ]
    imports = "; ".join(f"import {name}" for name in modules if "feeds" not in name)
    code = f"import sys; sys.path.insert(0, {str(path)!r}); {imports}"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
