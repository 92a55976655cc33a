"""One model on many targets: packaged in turn, emulated at once, one row each, nothing left over."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edge
from edge.adapters.descendants import descendants
from edge.device.facts import read_host_facts
from edge.errors import BundleError, ConfigError, EmulationError, HostError, ModelError
from edge.records.emulation import Emulation, NotEmulated, Place
from edge.workflows import emulation_matrix
from edge.workflows.emulation_matrix import Progress, emulate_matrix
from edge.workflows.models import ModelChoice, resolve_model

PLACE = Place(system="", python="", glibc="", qemu_cpu=None, emulator=None)


def emulation(target: str) -> Emulation:
    return Emulation(
        provenance="emulated",
        bundle=f"m-{target}",
        bundle_sha256="",
        model="m",
        model_sha256="",
        target=target,
        runtime="",
        place=PLACE,
        steps=(),
        findings=(),
        outputs=None,
        counts=None,
        memory=None,
        cost_changes=(),
        edgekit_version="",
    )


@pytest.fixture
def choice() -> ModelChoice:
    return resolve_model(None)


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Package in an instant, and keep what was asked for."""
    asked: list[tuple[str, dict[str, Any]]] = []

    def package_model(_choice: ModelChoice, target: str, **options: Any) -> None:
        asked.append((target, options))
        options["output"].write_text(target, encoding="ascii")
        options["progress"](1.0)

    monkeypatch.setattr(emulation_matrix, "package_model", package_model)
    return asked


def quickly(_bundle: Path, target: str, _progress: Progress) -> Emulation:
    return emulation(target)


Packaged = list[tuple[str, dict[str, Any]]]


def test_each_target_is_a_row_in_the_order_that_was_asked_for(
    choice: ModelChoice, packaged: Packaged
) -> None:
    later = threading.Event()

    def emulate(bundle: Path, target: str, _progress: Progress) -> Emulation:
        assert bundle.read_text(encoding="ascii") == target
        # The first ends last.
        if target == "rpi5":
            assert later.wait(30)
        else:
            later.set()
        return emulation(target)

    # An alias is its target, and a target is emulated once.
    matrix = emulate_matrix(choice, ["rpi5", "rpi", "rpi3", "rpi4", "rpi5"], emulate, workers=2)
    assert [row.target for row in matrix.emulations] == ["rpi5", "rpi4", "rpi3"]
    assert matrix.not_emulated == ()
    assert (matrix.model, matrix.edgekit_version) == (choice.path.name, edge.__version__)
    assert [target for target, _ in packaged] == ["rpi5", "rpi4", "rpi3"]


def test_bundles_are_made_as_asked_and_go_afterwards(
    choice: ModelChoice, packaged: Packaged, tmp_path: Path
) -> None:
    given: dict[str, Any] = {
        "shapes": {"input": (1, 2)},
        "inputs": tmp_path / "inputs.npz",
        "runtime": "onnxruntime",
    }
    emulate_matrix(choice, ["rpi4"], quickly, **given)
    ((_, options),) = packaged
    assert {name: options[name] for name in given} == given
    assert options["output"].name == "digits-cnn-fp32-rpi4.pyz"
    assert not options["output"].parent.exists()


def test_bundles_can_be_kept(choice: ModelChoice, packaged: Packaged, tmp_path: Path) -> None:
    keep = tmp_path / "new" / "bundles"
    emulate_matrix(choice, ["rpi4", "rpi5"], quickly, keep=keep)
    names = sorted(path.name for path in keep.iterdir())
    assert names == ["digits-cnn-fp32-rpi4.pyz", "digits-cnn-fp32-rpi5.pyz"]


def test_a_place_that_cannot_be_written_is_told(
    choice: ModelChoice, packaged: Packaged, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError) as caught:
        emulate_matrix(choice, ["rpi4"], quickly, keep=tmp_path / "file")
    assert str(caught.value) == f"{tmp_path / 'file'}: file exists"
    assert packaged == []


def test_a_target_file_is_a_target(choice: ModelChoice, packaged: Packaged, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "targets" / "rpi4.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    text = text.replace('name = "rpi4"', 'name = "mine"', 1).replace("aliases", "# aliases", 1)
    path.write_text(text, encoding="utf-8")
    matrix = emulate_matrix(choice, [str(path)], quickly)
    assert [row.target for row in matrix.emulations] == [str(path)]
    assert packaged[0][1]["output"].name == "digits-cnn-fp32-mine.pyz"


def test_the_others_go_on_where_one_cannot(choice: ModelChoice, packaged: Packaged) -> None:
    def emulate(_bundle: Path, target: str, _progress: Progress) -> Emulation:
        if target == "rpi3":
            raise EmulationError("qemu failed", where="rpi3", hint="try again")
        return emulation(target)

    matrix = emulate_matrix(choice, ["rpi3", "rpi5"], emulate)
    assert [row.target for row in matrix.emulations] == ["rpi5"]
    assert matrix.not_emulated == (
        NotEmulated(
            target="rpi3",
            family="EmulationError",
            exit_code=8,
            what="qemu failed",
            hint="try again",
        ),
    )


def test_a_target_that_has_no_runtime_for_the_model_is_a_row(choice: ModelChoice) -> None:
    """The real packaging refuses it, before it needs a network."""
    matrix = emulate_matrix(choice, ["rpi4-32bit"], quickly)
    assert matrix.emulations == ()
    (row,) = matrix.not_emulated
    assert (row.target, row.family, row.exit_code) == ("rpi4-32bit", "BundleError", 5)
    assert row.what == "it has no runtime for ONNX models"
    assert row.hint is not None
    assert row.hint.startswith("convert the model to TFLite, or take another target: ")


def test_unknown_targets_are_refused_before_anything_starts(
    choice: ModelChoice, packaged: Packaged
) -> None:
    with pytest.raises(ConfigError) as caught:
        emulate_matrix(choice, ["rpi4", "rpi6", "jetson-none", "rpi6"], quickly)
    assert str(caught.value) == "rpi6: no such target; jetson-none: no such target"
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean ")
    with pytest.raises(ConfigError) as caught:
        emulate_matrix(choice, ["rpi6"], quickly)
    assert str(caught.value) == "rpi6: no such target"
    with pytest.raises(ConfigError, match=r"^no targets are named$"):
        emulate_matrix(choice, [], quickly)
    assert packaged == []


def test_a_model_that_cannot_be_read_ends_all(
    choice: ModelChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def package_model(*_arguments: Any, **_options: Any) -> None:
        raise ModelError("not an ONNX model")

    monkeypatch.setattr(emulation_matrix, "package_model", package_model)
    with pytest.raises(ModelError, match=r"^not an ONNX model$"):
        emulate_matrix(choice, ["rpi4", "rpi5"], quickly)


def test_no_more_run_at_once_than_asked(choice: ModelChoice, packaged: Packaged) -> None:
    lock = threading.Lock()
    most = now = 0
    together = threading.Barrier(2, timeout=30)

    def emulate(_bundle: Path, target: str, _progress: Progress) -> Emulation:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        together.wait()
        with lock:
            now -= 1
        return emulation(target)

    emulate_matrix(choice, ["rpi3", "rpi4", "rpi5", "jetson-nano"], emulate, workers=2)
    assert most == 2


def test_as_many_run_at_once_as_memory_and_cores_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = replace(read_host_facts(), memory_limit_bytes=None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: range(8))
    for free, limit, expected in ((1 << 40, None, 6), (2 << 30, None, 3), (1 << 40, 1 << 30, 1)):
        here = replace(facts, memory_available_bytes=free, memory_limit_bytes=limit)
        monkeypatch.setattr(emulation_matrix, "read_host_facts", lambda here=here: here)
        assert emulation_matrix._workers(None, 6) == expected
    assert emulation_matrix._workers(9, 6) == 9


def test_progress_reaches_one_and_never_falls(choice: ModelChoice, packaged: Packaged) -> None:
    told: list[float] = []

    def emulate(bundle: Path, target: str, progress: Progress) -> Emulation:
        progress(0.5)
        if target == "rpi5":
            raise BundleError("no")
        return quickly(bundle, target, progress)

    emulate_matrix(choice, ["rpi3", "rpi4", "rpi5"], emulate, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


SLEEPER = [sys.executable, "-c", "import subprocess, sys, time\ntime.sleep(600)"]


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A child that the matrix did not start."""
    with subprocess.Popen(SLEEPER) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("cause", [KeyboardInterrupt, RuntimeError])
def test_what_ends_it_ends_all_that_runs(
    cause: type[BaseException],
    choice: ModelChoice,
    packaged: Packaged,
    bystander: "subprocess.Popen[bytes]",
) -> None:
    started = threading.Barrier(2, timeout=30)
    numbers: list[int] = []
    began: list[str] = []

    def emulate(_bundle: Path, target: str, progress: Progress) -> Emulation:
        began.append(target)
        if target == "rpi5":
            started.wait()
            if cause is KeyboardInterrupt:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:
                raise cause
        # One process after the other, each for ten minutes, in a session of its own.
        for _ in range(20):
            with subprocess.Popen(SLEEPER, start_new_session=True) as process:
                numbers.append(process.pid)
                if target == "rpi4":
                    started.wait()
            progress(0.5)
        return emulation(target)

    with pytest.raises(cause):
        emulate_matrix(choice, ["rpi4", "rpi5", "rpi3"], emulate, workers=2)
    assert descendants() == {bystander.pid}
    # None goes on with a second process; one more target may have begun before it was known.
    assert len(numbers) == len(began) - (cause is RuntimeError)
    assert began[:2] in (["rpi4", "rpi5"], ["rpi5", "rpi4"])
    assert bystander.poll() is None
