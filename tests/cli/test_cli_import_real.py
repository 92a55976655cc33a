"""edgekit import as a user meets it, with the libraries installed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.records.codec import from_dict
from edge.records.imported import Imported

pytestmark = pytest.mark.extras


def edgekit(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    iris = load_iris()
    names = iris.target_names[iris.target]
    tree = DecisionTreeClassifier(max_depth=2, random_state=0).fit(iris.data, names)
    joblib.dump(tree, tmp_path / "flowers.joblib")
    np.savetxt(tmp_path / "flowers.csv", iris.data, delimiter=",")
    return tmp_path


def test_the_whole_page(flowers: Path) -> None:
    import skl2onnx
    import sklearn

    from edge.units import format_bytes

    options = ("--trusted", "--check", "flowers.csv", "--target", "rpi4")
    done = edgekit("import", "flowers.joblib", *options, cwd=flowers)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [tuple(line.rstrip().split("  ", 1)) for line in done.stdout.splitlines()]
    made_with = f"scikit-learn {sklearn.__version__}; converted by skl2onnx {skl2onnx.__version__}"
    agreement = "the same label for 150 of 150 (97.5% to 100.0%), 150 rows of flowers.csv"
    found = {key: value.strip() for key, value in rows}
    # A rounding of probabilities that are thirds and the like.
    assert found.pop("largest error").endswith(" of 1")
    assert found == {
        "file": "flowers.onnx",
        "size": format_bytes((flowers / "flowers.onnx").stat().st_size),
        "estimator": "sklearn.DecisionTreeClassifier, classifier",
        "made with": made_with,
        "features": "4",
        "classes": "setosa, versicolor, virginica",
        "trees": "1, 5 nodes",
        "opset": "17, ai.onnx.ml 2",
        "agreement": f"{agreement}, 4 numbers each",
        "rpi4": "onnxruntime 1.32.0: runs it",
    }
    shown = edgekit("inspect", "flowers.onnx", "--json", cwd=flowers)
    assert json.loads(shown.stdout)["model"]["looks_like"] == "tree ensemble"


def test_random_samples_are_told_as_such(flowers: Path) -> None:
    done = edgekit("import", "flowers.joblib", "--trusted", "--json", "-o", "a.onnx", cwd=flowers)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    imported = from_dict(Imported, told["imported"], "imported")
    assert told["path"] == "a.onnx"
    assert imported.check.made_up
    assert imported.check.what == "1000 random samples"
    assert (imported.check.same.right, imported.check.same.samples) == (1000, 1000)
    assert imported.estimator.classes == ("setosa", "versicolor", "virginica")
    (note,) = imported.notes
    assert note == (
        "compared on random samples in the range that the estimator shows (it shows none for 3 of 4"
        " features): that shows agreement on random data only; give real samples with --check"
    )


def test_too_little_agreement_writes_nothing(tmp_path: Path) -> None:
    """Splits between values that float32 cannot tell apart: the file must guess."""
    import joblib
    import lightgbm

    samples = np.repeat(1.0 + np.arange(40) * 1e-9, 5).reshape(-1, 1)
    labels = (np.arange(40) % 2).repeat(5)
    options = {"n_estimators": 5, "min_child_samples": 1, "min_data_in_bin": 1, "verbose": -1}
    estimator = lightgbm.LGBMClassifier(**options, num_leaves=64).fit(samples, labels)
    joblib.dump(estimator, tmp_path / "fine.joblib")
    np.savez(tmp_path / "fine.npz", input=samples)
    done = edgekit("import", "fine.joblib", "--trusted", "--check", "fine.npz", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    words = "error: fine.joblib: the ONNX file gives the same label for 100 of 200 samples only;"
    assert done.stderr.startswith(f"{words} 0.99 of them must agree\nhint: ")
    assert not (tmp_path / "fine.onnx").exists()
    allowed = ("--trusted", "--check", "fine.npz", "--min-agreement", "0.4")
    assert edgekit("import", "fine.joblib", *allowed, cwd=tmp_path).returncode == 0
    assert (tmp_path / "fine.onnx").exists()
