"""`edgekit emulate` as a user calls it wrongly; what it does right is in tests/emulation."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_emulations import FAILED, emulation, matrix

from edge.records.codec import to_dict


def edgekit(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", "emulate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (
            (),
            2,
            (
                "error: a model needs a target\n"
                "hint: name it with --target, or several with --matrix\n"
            ),
        ),
        (
            ("--target", "rpi4", "--matrix", "rpi5"),
            2,
            "error: --matrix and --target do not go together\n",
        ),
        (
            ("--matrix", ","),
            2,
            "error: --matrix needs targets\nhint: such as --matrix rpi4,rpi5\n",
        ),
        (("--target", "rpi4", "--workers", "2"), 2, "error: --workers goes with --matrix\n"),
        (
            ("--target", "rpi4", "--baseline", "single.json", "--no-count"),
            2,
            "error: --baseline needs the counts that --no-count leaves out\n",
        ),
        (
            ("--target", "rpi4", "--baseline", "no-such.json"),
            3,
            "error: no-such.json: no such file or directory\n",
        ),
        (
            ("--target", "rpi4", "--baseline", "list.json"),
            3,
            "error: list.json: not a result of edgekit emulate\n",
        ),
        (
            ("--target", "jetson-nano", "--baseline", "several.json"),
            3,
            (
                "error: the baseline has no emulation of jetson-nano\n"
                "hint: make the baseline anew with -o, over all targets of the matrix\n"
            ),
        ),
        (
            ("--matrix", "rpi4,rpi55,nano"),
            3,
            "error: rpi55: no such target; nano: no such target\nhint: ",
        ),
        (("no-such.onnx", "--target", "rpi4"), 4, "error: no-such.onnx: no such file\n"),
    ],
)
def test_what_does_not_go(
    tmp_path: Path, arguments: tuple[str, ...], status: int, told: str
) -> None:
    (tmp_path / "single.json").write_text(json.dumps(to_dict(emulation())), encoding="utf-8")
    (tmp_path / "several.json").write_text(json.dumps(to_dict(matrix())), encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    done = edgekit(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(told)


@pytest.mark.parametrize("text", ["", "2", "0.02", "-2%", "two", "nan%", "2%%", "٢%"])
def test_what_is_no_share(tmp_path: Path, text: str) -> None:
    done = edgekit("--target", "rpi4", "--max-increase", text, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"{text!r} is no share such as 5%\n")


def test_a_bundle_takes_no_options_of_packaging(tmp_path: Path) -> None:
    from small_bundle import write_small

    bundle = tmp_path / "small.pyz"
    write_small(bundle)
    done = edgekit(str(bundle), "--runtime", "tflite", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: --runtime is for models: a bundle is made already\n"
        "hint: give the model instead of a bundle of it\n"
    )


def test_a_target_that_has_a_gpu(tmp_path: Path) -> None:
    done = edgekit("--target", "cloud-gpu-t4", folder=tmp_path)
    assert done.returncode == 5
    assert done.stderr.startswith("error: cloud-gpu-t4: ")


def test_the_exit_code_of_findings() -> None:
    from made_emulations import DEARER_ONE

    from edge.workflows.emulate_request import exit_code

    assert exit_code(emulation()) == 0
    assert exit_code(FAILED) == 8
    assert exit_code(DEARER_ONE) == 13
    # What would go wrong counts more than what it costs, and both more than what was not tried.
    assert exit_code(matrix(DEARER_ONE, FAILED, not_emulated=())) == 8
    assert exit_code(matrix(DEARER_ONE, emulation(), not_emulated=())) == 13
    assert exit_code(matrix(emulation())) == 9
    assert exit_code(matrix(emulation(), not_emulated=())) == 0


def test_a_machine_that_cannot_be_booted_is_refused_first(tmp_path: Path) -> None:
    from small_bundle import write_small

    bundle = tmp_path / "small.pyz"
    write_small(bundle)
    done = edgekit(str(bundle), "--target", "cloud-cpu", "--full-system", folder=tmp_path)
    assert done.returncode == 3
    assert done.stderr == (
        "error: cloud-cpu: only machines with a 64-bit Arm processor can be booted\n"
        "hint: leave out --full-system: its memory is limited all the same\n"
    )
