"""edgekit targets list and show: what stands on the terminal and in the JSON document."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.adapters.targets import load_target, load_targets
from edge.records.codec import from_dict
from edge.records.target import Target

BOARD = """\
schema_version = "1.0"
name = "my-board"
title = "A board [bold]of mine[/bold]"
kind = "edge"
aliases = ["mine"]
notes = ["Handle with care."]

[cpu]
model = "Cortex-X"
architecture = "aarch64"
cores = { value = 4, source = "box" }
clock_hz = { value = 1_500_000_000, source = "box", note = "boost" }
fp32_flops_per_cycle = { value = 8, source = "guide" }
int8_ops_per_cycle = { value = 16, source = "guide" }
features = ["fp", "asimd"]
features_source = "cpuinfo"

[memory]
capacity_bytes = { value = 2_147_483_648, source = "box" }
usable_bytes = { value = 1_610_612_736, source = "free" }
bandwidth_bytes_per_s = { value = 4_200_000_000, source = "STREAM" }

[accelerator]
name = "Small GPU"
memory_bytes = { value = 1_073_741_824, source = "box" }
bandwidth_bytes_per_s = { value = 8_000_000_000, source = "box" }
fp32_flops_per_s = { value = 236_000_000_000, source = "box" }
int8_ops_per_s = { value = 1_000_000_000_000, source = "box" }

[os]
name = "Board OS"
glibc = "2.36"
libstdcxx = "3.4.30"
python = "3.11"
source = "image"

[price]
purchase_usd = { value = 49.5, source = "shop", date = "2026-01-31" }

[power]
idle_w = { value = 1.6, source = "meter" }
load_w = { value = 7, source = "meter" }

[emulation]
qemu_cpu = "cortex-a76"

[[runtimes]]
backend = "tflite"
distribution = "tflite-runtime"
version = "2.14.0"
apt_packages = ["python3-numpy"]
note = "TFLite only."
wheels = [
  { name = "tflite-runtime", version = "2.14.0", filename = "t-2.14.0-py3-none-any.whl", sha256 = "DIGEST", size_bytes = 2_097_152 },
]

[[runtimes]]
backend = "onnxruntime"
distribution = "onnxruntime"
version = "1.32.0"

[[calibrations]]
precision = "fp32"
threads = 4
rate_low_macs_per_s = 1e9
rate_typical_macs_per_s = 2e9
rate_high_macs_per_s = 4e9
per_operator_ns = 1000.0
per_query_ns = 5000.0
rows = 7
runtime = "ncnn"
source = "list"
relative = "rpi4"
""".replace("DIGEST", "ab" * 32)

SHOWN = """\
my-board, mine        A board [bold]of mine[/bold]        source
kind                  edge
note                  Handle with care.

CPU                   Cortex-X, aarch64
  cores               4                                   box
  clock               1.5 GHz                             box; boost
  fp32 flops per cycle  8                                 guide
  int8 ops per cycle  16                                  guide
  features            fp asimd                            cpuinfo

memory
  capacity            2 GiB                               box
  usable              1.5 GiB                             free
  bandwidth           4.2 GB/s                            STREAM

accelerator           Small GPU
  memory              1 GiB                               box
  bandwidth           8 GB/s                              box
  fp32 flops          236 GFLOP/s                         box
  int8 ops            1 TOP/s                             box

operating system      Board OS
  glibc               2.36                                image
  libstdc++           GLIBCXX_3.4.30                      as above
  Python              3.11                                as above

price
  purchase            49.5 USD                            shop; 2026-01-31

power
  idle                1.6 W                               meter
  load                7 W                                 meter

emulation
  qemu CPU            cortex-a76

runtimes
  tflite              tflite-runtime 2.14.0               1 wheel, 2 MiB; needs python3-numpy from apt; TFLite only.
  onnxruntime         onnxruntime 1.32.0                  no wheels pinned

calibrations
  fp32, 4 threads     2 GMAC/s (1 GMAC/s to 4 GMAC/s)     7 rows of ncnn; from its relative rpi4; list
"""


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge", "targets", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def words(text: str) -> list[list[str]]:
    """Return the words of each line: how wide rich makes a column is not what is tested."""
    return [line.split() for line in text.splitlines()]


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "my-board.toml"
    path.write_text(BOARD, encoding="utf-8")
    return path


def test_show_has_every_figure_with_unit_and_source(board: Path) -> None:
    done = run("show", str(board))
    assert (done.returncode, done.stderr) == (0, "")
    assert words(done.stdout) == words(SHOWN)


def test_show_as_json_is_the_record(board: Path) -> None:
    done = run("show", str(board), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert from_dict(Target, json.loads(done.stdout)) == load_target(str(board))


def test_control_characters_of_a_target_file_do_not_reach_the_terminal(board: Path) -> None:
    text = BOARD.replace("Handle with care.", "\\u001b[31mred")
    board.write_text(text, encoding="utf-8")
    assert ["note", "\\x1b[31mred"] in words(run("show", str(board)).stdout)


@pytest.mark.parametrize("target", load_targets(), ids=lambda target: target.name)
def test_every_target_can_be_shown(target: Target) -> None:
    from click.testing import CliRunner

    from edge.cli.targets import command

    done = CliRunner().invoke(command, ["show", target.name], catch_exceptions=False)
    assert done.exit_code == 0
    for runtime in target.runtimes:
        assert f"{runtime.distribution} {runtime.version}" in done.stdout
    assert target.cpu.model.split(",")[0] in done.stdout


def test_list_has_a_row_for_each_target() -> None:
    done = run("list")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    heads = "name aliases kind processor cores memory OS, Python runtimes price"
    assert " ".join(lines[0].split()) == heads
    rows = [line for line in lines[1:] if not line.startswith(" ")]
    assert [row.split()[0] for row in rows] == [target.name for target in load_targets()]
    (rpi4,) = (row.split() for row in rows if row.startswith("rpi4 "))
    assert rpi4[:5] == ["rpi4", "rpi", "edge", "Broadcom", "BCM2711,"]
    assert rpi4[-2:] == ["75", "USD"]
    (cpu,) = (row.split() for row in rows if row.startswith("cloud-cpu "))
    assert cpu[-2:] == ["0.08925", "USD/h"]


def test_list_as_json_is_the_records() -> None:
    done = run("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert list(document) == ["targets"]
    assert tuple(from_dict(Target, entry) for entry in document["targets"]) == load_targets()


def test_an_unknown_target_has_its_exit_code() -> None:
    done = run("show", "raspi4")
    every = ", ".join(target.name for target in load_targets())
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"error: raspi4: no such target\nhint: did you mean rpi4? targets: {every}\n"
    )


def test_a_typo_in_a_target_file_has_its_exit_code(board: Path) -> None:
    board.write_text(BOARD.replace("usable_bytes", "usable"), encoding="utf-8")
    done = run("show", str(board))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"error: {board}: memory.usable: unknown key\nhint: did you mean usable_bytes?\n"
    )


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m edge targets list --json | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("{", "")


def test_no_runtime_and_no_numpy_is_imported() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from edge.cli.targets import command\n"
        "assert CliRunner().invoke(command, ['list']).exit_code == 0\n"
        "print(sorted({'numpy', 'onnx', 'onnxruntime', 'cv2'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
