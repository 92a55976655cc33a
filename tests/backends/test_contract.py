"""What every backend promises; a new file in edge/backends/ is tested here without an edit."""

import importlib.util
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from edge.adapters.data import data_folder
from edge.backends import backend_for_format, backend_names, load_backend
from edge.backends.protocol import Backend, Session
from edge.errors import RuntimeFailure, UsageError
from edge.records.measurement import SessionConfig

DIGITS = data_folder("models") / "digits-cnn"


@pytest.fixture(params=backend_names())
def backend(request: pytest.FixtureRequest) -> Backend:
    return load_backend(request.param)


def digits(backend: Backend, precision: str = "fp32", threads: int = 1) -> Session:
    path = DIGITS / f"digits-cnn-{precision}.{backend.format}"
    return backend.open(str(path), SessionConfig(backend.name, threads))


def images() -> tuple[Any, Any]:
    with np.load(DIGITS / "samples.npz") as samples:
        return samples["images"], samples["labels"]


def test_both_runtimes_have_a_backend() -> None:
    assert set(backend_names()) >= {"onnxruntime", "tflite"}


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        load_backend("tensorrt")
    assert str(caught.value) == "tensorrt: no such backend"
    assert caught.value.hint == "backends: " + ", ".join(backend_names())
    with pytest.raises(UsageError, match=r"^h5: no backend runs this format$"):
        backend_for_format("h5")


def test_its_names_lead_to_it(backend: Backend) -> None:
    assert load_backend(backend.name) is backend
    assert backend_for_format(backend.format) is backend


def test_its_runtime_is_not_imported_before_it_is_used(backend: Backend) -> None:
    code = (
        "import sys; from edge.backends import load_backend;"
        f"load_backend({backend.name!r}).version();"
        "print(sorted({'onnxruntime', 'tflite_runtime', 'ai_edge_litert'} & set(sys.modules)))"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed == "[]\n"


def test_version_is_of_an_installed_distribution(backend: Backend) -> None:
    distribution, version = backend.version()
    assert distribution in backend.distributions
    assert metadata.version(distribution) == version


def test_without_its_runtime_it_says_what_to_install(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> NoReturn:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RuntimeFailure) as caught:
        backend.version()
    assert "is installed" in str(caught.value)
    assert any(name in str(caught.value.hint) for name in backend.distributions)


def test_its_failures_can_be_caught(backend: Backend) -> None:
    backend.import_runtime()
    assert all(issubclass(failure, Exception) for failure in backend.failures())
    assert Exception not in backend.failures()


@pytest.mark.parametrize("threads", [1, 2])
def test_what_really_runs_is_told(backend: Backend, threads: int) -> None:
    runtime = digits(backend, threads=threads).runtime()
    assert (runtime.distribution, runtime.version) == backend.version()
    assert runtime.threads == threads
    assert runtime.providers


def test_inputs_and_outputs_are_those_of_the_model(backend: Backend) -> None:
    session = digits(backend)
    assert [(s.dtype, s.shape) for s in session.inputs] == [("float32", (1, 1, 8, 8))]
    assert [(s.dtype, s.shape) for s in session.outputs] == [("float32", (1, 10))]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_it_reads_digits(backend: Backend, precision: str) -> None:
    session = digits(backend, precision)
    pictures, labels = images()
    name = session.inputs[0].name
    answers = [session.run({name: picture[None]})[0] for picture in pictures]
    # Earlier answers are copies: a later inference does not change them.
    right = sum(int(a.argmax() == label) for a, label in zip(answers, labels, strict=True))
    assert right >= len(labels) - 1


def test_a_bound_inference_can_be_repeated(backend: Backend) -> None:
    session = digits(backend)
    pictures, _ = images()
    feeds = {session.inputs[0].name: pictures[0][None]}
    before = session.run(feeds)
    run = session.bind(feeds)
    for _ in range(5):
        run()
    assert np.array_equal(session.run(feeds)[0], before[0])
    assert np.array_equal(feeds[session.inputs[0].name], pictures[0][None])


def test_a_file_that_is_no_model_is_refused(backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / ("model." + backend.format)
    for content in (b"", b"not a model at all", bytes(4096)):
        path.write_bytes(content)
        with pytest.raises(RuntimeFailure, match=r"^cannot load the model: \S"):
            backend.open(str(path), SessionConfig(backend.name, 1))
    path.unlink()
    with pytest.raises(RuntimeFailure, match=r"^cannot load the model: \S"):
        backend.open(str(path), SessionConfig(backend.name, 1))


def test_an_input_of_the_wrong_shape_is_refused(backend: Backend) -> None:
    session = digits(backend)
    wrong = {session.inputs[0].name: np.zeros((1, 3, 5, 8), "float32")}
    with pytest.raises(RuntimeFailure, match=r"^the inference failed: "):
        session.run(wrong)


def test_tensors_have_numpy_dtypes(backend: Backend) -> None:
    for precision in ("fp32", "int8"):
        session = digits(backend, precision)
        specs = (*session.inputs, *session.outputs)
        assert [np.dtype(s.dtype).name for s in specs] == [s.dtype for s in specs]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_its_prepared_form_gives_the_same(backend: Backend, precision: str, tmp_path: Path) -> None:
    path = DIGITS / f"digits-cnn-{precision}.{backend.format}"
    before = path.read_bytes()
    name = backend.prepare(str(path), SessionConfig(backend.name, 1), str(tmp_path))
    assert path.read_bytes() == before
    if name is None:
        assert list(tmp_path.iterdir()) == []
        return
    prepared = backend.open(str(tmp_path / name), SessionConfig(backend.name, 1, prepared=True))
    original = digits(backend, precision)
    assert (prepared.inputs, prepared.outputs) == (original.inputs, original.outputs)
    for picture in images()[0][:20]:
        feeds = {original.inputs[0].name: picture[None]}
        assert np.array_equal(prepared.run(feeds)[0], original.run(feeds)[0])


def test_its_providers_may_be_asked_for(backend: Backend) -> None:
    backend.import_runtime()
    path = DIGITS / f"digits-cnn-fp32.{backend.format}"
    assert backend.providers()
    # What is there need not work on this machine; the first is the usual one, and does.
    usual = backend.open(str(path), SessionConfig(backend.name, 1, provider=backend.providers()[0]))
    assert usual.runtime() == digits(backend).runtime()


def test_a_provider_that_nobody_has_is_refused(backend: Backend) -> None:
    path = DIGITS / f"digits-cnn-fp32.{backend.format}"
    with pytest.raises(UsageError, match=r"no provider zebra") as caught:
        backend.open(str(path), SessionConfig(backend.name, 1, provider="zebra"))
    assert caught.value.hint == "it has " + ", ".join(backend.providers())


def test_several_samples_are_bound_at_once(backend: Backend) -> None:
    session = digits(backend)
    pictures, _ = images()
    samples = [{session.inputs[0].name: picture[None]} for picture in pictures[:3]]
    before = [session.run(feeds)[0] for feeds in samples]
    run = session.bind_each(samples)
    for _ in range(3):
        run()
    after = [session.run(feeds)[0] for feeds in samples]
    assert np.array_equal(before, after)
