"""What import refuses before anything of a file is run, and for which opsets it converts."""

import importlib.util
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.adapters.targets import load_target
from edge.errors import HostError, ModelError, UsageError
from edge.workflows.import_check import ImportRequest
from edge.workflows.import_model import _opsets, import_model
from edge.workflows.import_names import foreign_names, refuse_untrusted, require_libraries


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch was-run",)


def imported(path: Path, **options: Any) -> None:
    output = path.parent / "out.onnx"
    request = ImportRequest(model=path, output=output, **options)
    try:
        import_model(request, lambda _part: None)
    finally:
        assert not output.exists()


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.joblib"
    path.write_bytes(pickle.dumps(Command()))
    return path


def test_a_pickle_needs_to_be_trusted(hostile: Path) -> None:
    with pytest.raises(UsageError) as told:
        imported(hostile)
    assert str(told.value) == (
        f"{hostile}: a pickle runs code of its writer's choice when it is read;"
        " this one would use posix.system"
    )
    assert told.value.hint == (
        "--trusted, if you made it or know who did; otherwise ask for a file that is only data:"
        " XGBoost's .json or .ubj, LightGBM's .txt, or .skops"
    )
    assert not Path("was-run").exists()


def test_what_cannot_convert_is_not_run_even_if_trusted(hostile: Path) -> None:
    with pytest.raises(ModelError) as told:
        imported(hostile, trusted=True)
    assert told.value.what == (
        "it is made of posix.system, which edgekit does not convert; nothing was run"
    )
    assert not Path("was-run").exists()


def test_an_estimator_s_own_names_come_first() -> None:
    names = [("joblib.numpy_pickle", "NumpyArrayWrapper"), ("sklearn.svm._classes", "SVC")]
    with pytest.raises(UsageError, match=r"this one would use sklearn\.svm\._classes\.SVC$"):
        refuse_untrusted(Path("svc.joblib"), names)


def test_foreign_names() -> None:
    names = [
        ("sklearn.svm._classes", "SVC"),
        ("numpy", "dtype"),
        ("__builtin__", "set"),
        ("copy_reg", "_reconstructor"),
        ("builtins", "eval"),
        ("sklearnish", "Fake"),
        ("__main__", "Mine"),
    ]
    assert foreign_names(names) == ["__main__.Mine", "builtins.eval", "sklearnish.Fake"]


@pytest.mark.parametrize(
    ("names", "lacking", "what", "hint"),
    [
        (
            [("sklearn.svm", "SVC")],
            {"skl2onnx"},
            "it needs skl2onnx, which is not installed",
            "pip install 'edgekit-deploy[classical]'",
        ),
        (
            [("lightgbm.sklearn", "LGBMClassifier")],
            {"lightgbm", "onnxmltools"},
            "it needs lightgbm, onnxmltools, which are not installed",
            "pip install lightgbm onnxmltools",
        ),
        (
            [("xgboost.sklearn", "XGBClassifier")],
            {"sklearn", "xgboost"},
            "it needs scikit-learn, xgboost-cpu, which are not installed",
            "pip install 'edgekit-deploy[classical]' xgboost-cpu",
        ),
    ],
)
def test_missing_libraries_are_named(
    names: list[tuple[str, str]],
    lacking: set[str],
    what: str,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = SimpleNamespace()
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in lacking else found
    )
    with pytest.raises(HostError) as told:
        require_libraries(Path("m.joblib"), "pickle", names)
    assert (told.value.what, told.value.hint) == (what, hint)


def test_only_what_the_file_needs_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace()
    boosters = {"xgboost", "lightgbm", "onnxmltools", "skops"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in boosters else found
    )
    require_libraries(Path("m.joblib"), "pickle", [("sklearn.svm", "SVC")])
    with pytest.raises(HostError, match="it needs onnxmltools, xgboost-cpu"):
        require_libraries(Path("m.json"), "xgboost", [])


def test_opsets_are_those_of_the_target() -> None:
    assert _opsets(None, None) == (17, 3)
    assert _opsets(None, load_target("jetson-nano")) == (17, 3)
    assert _opsets(21, load_target("jetson-nano")) == (21, 3)
    with pytest.raises(UsageError, match="--opset 22: the runtime of jetson-nano has 21 at most"):
        _opsets(22, load_target("jetson-nano"))
    with pytest.raises(UsageError, match="--opset 8: the oldest is 9"):
        _opsets(8, None)
