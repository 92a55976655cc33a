"""Slimmed wheels: real runtimes use nothing that was left out, and give the same answers."""

import ast
import gc
import json
import os
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_packages import made_wheel, sha256
from small_bundle import MODELS

from edge.adapters.slice import slice_files
from edge.adapters.wheelhouse import wheels_for
from edge.backends import backend_names, load_backend
from edge.device.wheels import unpack_wheels
from edge.errors import BundleError
from edge.records.manifest import BundleWheel
from edge.records.target import TargetRuntime, WheelPin
from edge.workflows import slim as workflow
from edge.workflows.slim import SlimWheel, slim_wheels
from edge.workflows.this_host import this_platform

ROOT = Path(__file__).parent.parent.parent
_CHILD = """
import json, os, sys
site, project, backend, model, samples, outputs = sys.argv[1:]
sys.path[:0] = [site]
sys.path.append(project)
opened = set()
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(site + "/"):
        opened.add(arguments[0])
sys.addaudithook(watch)
import numpy as np
from edge.backends import load_backend
from edge.records.measurement import SessionConfig
session = load_backend(backend).open(model, SessionConfig(backend, 1))
spec = session.inputs[0]
images = np.load(samples)["images"][:3].reshape((3,) + tuple(spec.shape))
answers = [session.run({spec.name: image.astype(spec.dtype)})[0] for image in images]
np.save(outputs, np.stack(answers))
used = {getattr(module, "__file__", None) for module in sys.modules.values()}
with open("/proc/self/maps") as maps:
    used.update(line.split(None, 5)[5].strip() for line in maps if line.count(" ") >= 5 and "/" in line)
used |= {name for name in opened if os.path.isfile(name)}
print(json.dumps(sorted(os.path.relpath(f, site) for f in used if f and f.startswith(site + "/"))))
"""
# What the dynamic linker says under LD_DEBUG=files of every object that it ever opens.
_LINKED = re.compile(rb"file=(\S+) \[\d+\];\s+(?:dynamically loaded|needed) by")

SETS = [
    ("onnxruntime", "onnxruntime", None, ()),
    ("tflite", "ai-edge-litert", "2.3.0", ("numpy==2.4.6",)),
    ("tflite", "tflite-runtime", "2.14.0", ("numpy==1.26.4",)),
]


def real_wheels(
    backend: str, distribution: str, version: str | None, held: Sequence[str]
) -> list[tuple[WheelPin, Path]]:
    if distribution == "tflite-runtime" and sys.version_info >= (3, 12):
        pytest.skip("there is no such wheel for this Python")
    platform = this_platform()
    runtime = TargetRuntime(
        backend=backend,
        distribution=distribution,
        version=version or load_backend(backend).version()[1],
    )
    found = wheels_for(replace(platform, held=tuple(held) or platform.held), runtime)
    return list(found)


def slimmed(wheels: Sequence[tuple[WheelPin, Path]], backend: str, distribution: str) -> Any:
    chosen = load_backend(backend)
    return slim_wheels(
        wheels,
        chosen.modules[distribution],
        this_platform().architecture,
        lambda _fraction: None,
        unasked=chosen.unasked,
    )


def bundle_wheel(slim: SlimWheel) -> BundleWheel:
    return BundleWheel(
        name=slim.pin.name,
        version=slim.pin.version,
        filename=slim.pin.filename,
        sha256=slim.pin.sha256,
        path=f"wheels/{slim.path.name}",
        unpacked_bytes=slim.unpacked_bytes,
        left_out_files=slim.left_out_files,
        left_out_bytes=slim.left_out_bytes,
    )


def used_by(site: Path, backend: str, tmp_path: Path) -> tuple[set[str], np.ndarray[Any, Any]]:
    """Run the digits model with nothing but `site` to import from; return what was touched."""
    outputs = tmp_path / "outputs.npy"
    model = (
        MODELS
        / {"onnxruntime": "digits-cnn-int8.onnx", "tflite": "digits-cnn-int8.tflite"}[backend]
    )
    log = tmp_path / "linked"
    arguments = [site, ROOT, backend, model, MODELS / "samples.npz", outputs]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", _CHILD, *map(str, arguments)],
        env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": str(log), "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    linked = {
        os.path.relpath(name.decode(), site)
        for file in tmp_path.glob("linked.*")
        for name in _LINKED.findall(file.read_bytes())
        if name.decode().startswith(f"{site}/")
    }
    assert linked, "the linker's log has no library of the site"
    for file in tmp_path.glob("linked.*"):
        file.unlink()
    return set(json.loads(done.stdout)) | linked, np.load(outputs)


@pytest.mark.network
@pytest.mark.parametrize("chosen", SETS, ids=lambda chosen: chosen[1])
def test_nothing_that_was_left_out_is_used(
    tmp_path: Path,
    shared_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: tuple[str, str, str | None, tuple[str, ...]],
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    backend, distribution, _, _ = chosen
    wheels = real_wheels(*chosen)
    slim = slimmed(wheels, backend, distribution)
    whole, small = tmp_path / "whole", tmp_path / "small"
    for _, path in wheels:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(whole)
    packed = [(bundle_wheel(one), [one.path.read_bytes()]) for one in slim]
    small.mkdir()
    listing = unpack_wheels(packed, str(small), str(tmp_path))
    there = {path for path, _ in listing}
    assert there == {str(p.relative_to(small)) for p in small.rglob("*") if p.is_file()}
    # With every file there, none is touched but those that are kept ...
    used, answers = used_by(whole, backend, tmp_path)
    assert len(used) > 50
    assert used - there == set()
    # ... and with those alone the same ones are touched, and the answers are the same.
    used_small, answers_small = used_by(small, backend, tmp_path)
    assert used_small == used
    assert np.array_equal(answers, answers_small)
    left_out = sum(one.left_out_bytes for one in slim)
    assert left_out > 5 << 20
    assert sum(one.size_bytes for one in slim) < 0.6 * sum(pin.size_bytes for pin, _ in wheels)


@pytest.mark.network
def test_the_runtime_that_python_does_not_use_is_left_out(
    shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))
    wheels = real_wheels(*SETS[0])
    kept = {name for one in slimmed(wheels, "onnxruntime", "onnxruntime") for name in one.kept}
    natives = {name for name in kept if ".so" in name and name.startswith("onnxruntime/")}
    names = sorted(name.rpartition("/")[2].partition(".")[0] for name in natives)
    assert names == ["libonnxruntime_providers_shared", "onnxruntime_pybind11_state"]
    assert any(name.startswith("numpy.libs/lib") and "openblas" in name for name in kept)
    assert not [name for name in kept if "/tests/" in name and not name.endswith("__init__.py")]
    assert not [name for name in kept if name.endswith((".h", ".a", ".pyi", ".pxd"))]
    for pin, path in wheels:
        with zipfile.ZipFile(path) as archive:
            texts = {n for n in archive.namelist() if ".dist-info/" in n and not n.endswith("/")}
        assert texts <= kept, pin.filename
        assert f"{next(iter(texts)).partition('/')[0]}/RECORD" in kept


@pytest.mark.parametrize("name", backend_names())
def test_a_backend_says_what_is_imported_of_its_runtime(name: str) -> None:
    backend = load_backend(name)
    assert set(backend.modules) == set(backend.distributions)
    for distribution, modules in backend.modules.items():
        package = distribution.replace("-gpu", "").replace("-", "_")
        assert "numpy" in modules
        assert any(module.partition(".")[0] == package for module in modules)


def test_of_numpy_the_device_slice_imports_nothing_but_numpy() -> None:
    """A submodule of numpy's would have to stand in each backend's `modules`."""
    found = set()
    for path in slice_files().values():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    assert {module for module in found if module.startswith("numpy")} == {"numpy"}


def pinned(path: Path) -> tuple[WheelPin, Path]:
    name, version = path.name.split("-")[:2]
    data = path.read_bytes()
    pin = WheelPin(
        name=name, version=version, filename=path.name, sha256=sha256(data), size_bytes=len(data)
    )
    return pin, path


def small_set(folder: Path) -> list[tuple[WheelPin, Path]]:
    one = {
        "one/__init__.py": b"from one.used import A\n",
        "one/used.py": b"import two.inner\nA = 1\n",
        "one/unused.py": b"B = 2\n" * 1000,
        "one/table.json": b"{}",
        "one/tests/__init__.py": b"",
        "one-1.0.data/scripts/one": b"#!python\n",
    }
    two = {
        "two/__init__.py": b"",
        "two/inner.py": b"",
        "two/other.py": b"C = 3\n",
        "two/NOTICE.txt": b"thanks",
    }
    return [pinned(made_wheel(folder, "two", two)), pinned(made_wheel(folder, "one", one))]


def slim_small(wheels: Sequence[tuple[WheelPin, Path]], **more: Any) -> tuple[SlimWheel, ...]:
    return slim_wheels(wheels, ["one"], "aarch64", lambda _fraction: None, **more)


def test_what_is_kept_of_a_small_set(tmp_path: Path) -> None:
    two, one = slim_small(small_set(tmp_path))
    assert [name for name in one.kept if ".dist-info/" not in name] == [
        "one/__init__.py",
        "one/table.json",
        "one/used.py",
    ]
    assert [name for name in two.kept if ".dist-info/" not in name] == [
        "two/NOTICE.txt",
        "two/__init__.py",
        "two/inner.py",
    ]
    assert (one.left_out_files, one.left_out_bytes) == (3, 6000 + 9)
    assert (two.left_out_files, two.left_out_bytes) == (1, 6)
    assert one.path.name == "one-1.0-py3-none-any.whl.xz"
    assert one.size_bytes == one.path.stat().st_size
    assert one.sha256 == sha256(one.path.read_bytes())


def test_a_small_set_unpacks_on_the_device(tmp_path: Path) -> None:
    slim = slim_small(small_set(tmp_path))
    site = tmp_path / "site"
    site.mkdir()
    packed = [(bundle_wheel(one), [one.path.read_bytes()]) for one in slim]
    listing = unpack_wheels(packed, str(site), str(tmp_path))
    assert sorted(path for path, _ in listing) == sorted(n for one in slim for n in one.kept)


def test_it_is_done_once(tmp_path: Path, own_cache: Path) -> None:
    wheels = small_set(tmp_path)
    first = slim_small(wheels)
    before = {path: path.stat().st_mtime_ns for path in (own_cache / "slim").rglob("*.xz")}
    assert len(before) == 2
    fractions: list[float] = []
    # The wheels themselves are not looked at again.
    for _, path in wheels:
        path.write_bytes(b"")
    again = slim_wheels(wheels, ["one"], "aarch64", fractions.append)
    assert again == first
    assert fractions == [1.0]
    assert {path: path.stat().st_mtime_ns for path in (own_cache / "slim").rglob("*.xz")} == before


def test_another_question_is_another_answer(tmp_path: Path, own_cache: Path) -> None:
    wheels = small_set(tmp_path)
    paths = {
        slim_small(wheels)[0].path,
        slim_small(wheels, unasked=["libx.so"])[0].path,
        slim_wheels(wheels, ["two"], "aarch64", lambda _f: None)[0].path,
        slim_wheels(wheels, ["one"], "x86_64", lambda _f: None)[0].path,
        slim_wheels(wheels[:1], ["one"], "aarch64", lambda _f: None)[0].path,
    }
    assert len(paths) == 5
    # Order is no question.
    assert slim_small(wheels[::-1])[::-1] == slim_small(wheels)


@pytest.mark.parametrize("damage", ["cut", "gone", "flipped", "index"])
def test_a_damaged_cache_is_made_again(tmp_path: Path, damage: str) -> None:
    wheels = small_set(tmp_path)
    first = slim_small(wheels)
    path = first[0].path
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "index":
        (path.parent / "slimmed.json").write_text("[{}]")
    else:
        path.write_bytes(data[:-1] if damage == "cut" else data[:-1] + b"?")
    assert slim_small(wheels) == first
    assert path.read_bytes() == data


def test_the_same_wheels_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = small_set(tmp_path)
    first = [one.path.read_bytes() for one in slim_small(wheels)]
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "elsewhere"))
    assert [one.path.read_bytes() for one in slim_small(wheels)] == first


def test_a_wheel_that_is_not_as_its_record_says_is_refused(tmp_path: Path, own_cache: Path) -> None:
    wheels = small_set(tmp_path)
    with zipfile.ZipFile(wheels[0][1], "a") as archive:
        archive.writestr("two/more.py", b"")
    with pytest.raises(BundleError) as caught:
        slim_small(wheels)
    assert str(caught.value) == (
        "two-1.0-py3-none-any.whl: a damaged wheel: two/more.py is not in RECORD"
    )
    assert not list((own_cache / "slim").rglob("slimmed.json"))
    assert not list((own_cache / "slim").rglob("*.part"))


def test_what_is_no_wheel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one-1.0-py3-none-any.whl"
    path.write_bytes(b"no zip")
    with pytest.raises(BundleError) as caught:
        slim_small([pinned(path)])
    assert str(caught.value) == f"{path.name}: a damaged wheel: File is not a zip file"


class _Cycle:
    """Garbage that only a collection finds, and that lets other threads run when it goes."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.sleep(0)


def test_trees_are_read_beside_another_thread_that_reads_some() -> None:
    """Python 3.11 fails half of the time where a collection comes in the middle."""
    source = Path(ast.__file__).read_bytes()
    stopped = threading.Event()

    def read_others() -> None:
        while not stopped.is_set():
            ast.literal_eval("{'shape': (1, (2, 3))}")

    other = threading.Thread(target=read_others)
    other.start()
    try:
        with workflow._no_collection():
            for _ in range(15):
                _cycles = [_Cycle() for _ in range(50)]
                ast.parse(source)
        assert gc.isenabled()
    finally:
        stopped.set()
        other.join()
