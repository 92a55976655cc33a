import importlib
from typing import Any

import numpy as np
import pytest

import edge.backends.tflite as module
from edge.adapters.data import data_folder
from edge.backends import load_backend
from edge.errors import RuntimeFailure, UsageError
from edge.records.measurement import SessionConfig

BACKEND = load_backend("tflite")
DIGITS = data_folder("models") / "digits-cnn" / "digits-cnn-fp32.tflite"


def opened(provider: str | None, graph_level: str | None = None) -> Any:
    config = SessionConfig("tflite", 1, graph_level=graph_level, provider=provider)
    return BACKEND.open(str(DIGITS), config)


@pytest.mark.parametrize(
    ("provider", "used"),
    [
        (None, "XNNPACK"),
        ("xnnpack", "XNNPACK"),
        ("XNNPACK", "XNNPACK"),
        ("none", "default"),
        ("default", "default"),
    ],
)
def test_the_delegate_that_is_asked_for_is_used(provider: str | None, used: str) -> None:
    assert opened(provider, "all").runtime().providers == (used,)


@pytest.mark.parametrize(
    ("asked", "told", "hint"),
    [
        ("xnnpack", "default", "XNNPACK took no operator of the model, or this runtime is built"),
        ("none", "XNNPACK", None),
    ],
)
def test_another_delegate_than_asked_for_is_refused(
    asked: str, told: str, hint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_delegates", lambda interpreter: (told,))
    with pytest.raises(RuntimeFailure) as caught:
        opened(asked)
    assert str(caught.value) == f"it runs on {told}, asked for {asked}"
    assert (caught.value.hint or "").startswith(hint or "")


def test_other_providers_and_graph_levels_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        opened("cuda")
    assert str(caught.value) == "TFLite has no provider cuda here"
    assert caught.value.hint == "it has xnnpack, none"
    with pytest.raises(UsageError) as caught:
        opened(None, "basic")
    assert str(caught.value) == "TFLite has no graph level basic"
    assert caught.value.hint == "leave it out: its graphs are optimised when they are converted"


def test_the_runtime_can_leave_out_its_delegates() -> None:
    interpreter = importlib.import_module(f"{module._MODULES[BACKEND.version()[0]]}.interpreter")
    assert hasattr(interpreter.OpResolverType, "BUILTIN_WITHOUT_DEFAULT_DELEGATES")


def test_the_samples_are_set_one_after_the_other() -> None:
    session = opened(None)
    name = session.inputs[0].name
    samples = [{name: np.full((1, 1, 8, 8), n, "float32")} for n in (1, 2)]
    expected = [session.run(feeds)[0] for feeds in samples]
    session.bind_each(samples)()
    got = session._interpreter.get_tensor(session._output_indices[0])
    assert np.array_equal(got, expected[1])
    assert not np.array_equal(got, expected[0])
