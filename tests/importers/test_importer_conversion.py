"""Estimators of every library become ONNX files that give what they give."""

import json
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge.errors import ModelError, UsageError
from edge.importers.agreement import compare
from edge.importers.convert import convert
from edge.importers.kinds import kind_of_file
from edge.importers.listing import list_names

# The libraries' own warnings to those who develop with them are not edgekit's.
pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def data(name: str) -> tuple[Any, Any]:
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")(return_X_y=True)


def named_iris() -> tuple[Any, Any]:
    samples, labels = data("iris")
    return samples, np.array(["setosa", "versicolor", "virginica"])[labels]


def imported(path: Path, samples: Any = None, **changes: Any) -> tuple[dict[str, Any], Any]:
    """Convert a file and compare it: the facts, with what the comparison found, and the graph."""
    kind = kind_of_file(path)
    listed = {"plain": str(path), "names": [], "wrote": []}
    if kind == "pickle":
        listed = list_names({"path": str(path), "folder": str(path.parent)})
    out = path.parent / "out.onnx"
    request = {
        "path": listed["plain"],
        "format": kind,
        "names": listed["names"],
        "wrote": listed["wrote"],
        "opset": 17,
        "ml_opset": 3,
        "input": "input",
        "out": str(out),
        **changes,
    }
    facts = convert(request)
    files = []
    if samples is not None:
        files = [str(path.parent / "samples.npz")]
        np.savez(files[0], **{"input.input": samples})
    found = compare({**request, **facts, "label": facts["label_output"], "data": files})
    return {**facts, **found}, onnx.load(out)


def saved(estimator: Any, folder: Path) -> Path:
    import joblib

    path = folder / "model.joblib"
    joblib.dump(estimator, path)
    return path


def logistic() -> tuple[Any, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    samples, labels = data("iris")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    return pipeline.fit(samples, labels), samples


def support_vectors() -> tuple[Any, Any]:
    from sklearn.svm import SVC

    samples, labels = named_iris()
    return SVC().fit(samples, labels), samples


def forest() -> tuple[Any, Any]:
    from sklearn.ensemble import RandomForestClassifier

    samples, labels = named_iris()
    return RandomForestClassifier(10, random_state=0).fit(samples, labels), samples


def gradient_boosting() -> tuple[Any, Any]:
    from sklearn.ensemble import GradientBoostingRegressor

    samples, values = data("diabetes")
    return GradientBoostingRegressor(n_estimators=20, random_state=0).fit(samples, values), samples


def histogram_boosting() -> tuple[Any, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    samples, labels = data("iris")
    samples = samples.copy()
    samples[::7, 1] = np.nan
    return HistGradientBoostingClassifier(max_iter=3).fit(samples, labels), samples


def columns() -> tuple[Any, Any]:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    samples, labels = data("iris")
    samples = np.c_[samples, np.arange(len(samples)) % 3]
    steps = [("s", StandardScaler(), [0, 1, 2, 3]), ("c", OneHotEncoder(), [4])]
    pipeline = make_pipeline(ColumnTransformer(steps), LogisticRegression(max_iter=200))
    return pipeline.fit(samples, labels), samples


def clusters() -> tuple[Any, Any]:
    from sklearn.cluster import KMeans

    samples, _ = data("iris")
    return KMeans(3, random_state=0).fit(samples), samples


def outliers() -> tuple[Any, Any]:
    from sklearn.ensemble import IsolationForest

    samples, _ = data("iris")
    return IsolationForest(n_estimators=10, random_state=0).fit(samples), samples


def components() -> tuple[Any, Any]:
    from sklearn.decomposition import PCA

    samples, _ = data("digits")
    return PCA(8).fit(samples), samples


def margins() -> tuple[Any, Any]:
    from sklearn.svm import LinearSVC

    samples, labels = data("iris")
    return LinearSVC().fit(samples, labels), samples


def searched() -> tuple[Any, Any]:
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    samples, labels = data("iris")
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [2, 3]})
    return search.fit(samples, labels), samples


def xgboost_two() -> tuple[Any, Any]:
    import xgboost

    samples, labels = data("breast_cancer")
    samples = samples.astype(np.float32)
    stopped = xgboost.XGBClassifier(n_estimators=100, early_stopping_rounds=2, n_jobs=1)
    half = (samples[1::2], labels[1::2])
    return stopped.fit(samples[::2], labels[::2], eval_set=[half], verbose=False), samples


def xgboost_many() -> tuple[Any, Any]:
    import xgboost

    samples, labels = data("digits")
    return xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(samples, labels), samples


def xgboost_values() -> tuple[Any, Any]:
    import xgboost

    samples, values = data("diabetes")
    samples = samples.astype(np.float32)
    return xgboost.XGBRegressor(n_estimators=10, n_jobs=1).fit(samples, values), samples


def lightgbm_many() -> tuple[Any, Any]:
    import lightgbm

    samples, labels = named_iris()
    estimator = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1)
    return estimator.fit(samples, labels), samples


def lightgbm_values() -> tuple[Any, Any]:
    import lightgbm

    samples, values = data("diabetes")
    estimator = lightgbm.LGBMRegressor(n_estimators=10, verbose=-1, n_jobs=1)
    return estimator.fit(samples, values), samples


def lightgbm_categories() -> tuple[Any, Any]:
    import lightgbm

    generator = np.random.default_rng(0)
    samples = np.c_[generator.integers(0, 8, 400), generator.normal(size=400)]
    labels = (samples[:, 0] % 3 == 1).astype(int)
    estimator = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1)
    return estimator.fit(samples, labels, categorical_feature=[0]), samples


CLASSIFIERS = [
    logistic,
    support_vectors,
    forest,
    histogram_boosting,
    columns,
    margins,
    searched,
    xgboost_two,
    xgboost_many,
    lightgbm_many,
    lightgbm_categories,
]
OTHERS = [
    (gradient_boosting, "regressor"),
    (xgboost_values, "regressor"),
    (lightgbm_values, "regressor"),
    (clusters, "clusterer"),
    (outliers, "outlier detector"),
    (components, "transformer"),
]
Made = Callable[[], tuple[Any, Any]]


@pytest.mark.parametrize("make", CLASSIFIERS)
def test_classifiers(make: Made, tmp_path: Path) -> None:
    estimator, samples = make()
    facts, graph = imported(saved(estimator, tmp_path), samples)
    assert facts["kind"] == "classifier"
    assert (facts["same"], facts["samples"]) == (len(samples), len(samples))
    if hasattr(estimator, "predict_proba"):
        assert facts["largest_difference"] < 1e-5
    assert facts["features"] == samples.shape[1]
    label = graph.graph.output[0]
    assert label.type.tensor_type.elem_type == onnx.TensorProto.INT64
    for value in (*graph.graph.input, *graph.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    told = {entry.key: json.loads(entry.value) for entry in graph.metadata_props}
    assert told["classes"] == facts["classes"] == [str(name) for name in estimator.classes_]


@pytest.mark.parametrize(("make", "kind"), OTHERS)
def test_others(make: Made, kind: str, tmp_path: Path) -> None:
    estimator, samples = make()
    facts, _ = imported(saved(estimator, tmp_path), samples)
    assert facts["kind"] == kind
    assert (facts["same"], facts["samples"]) == (len(samples), len(samples))
    assert facts["classes"] == []


@pytest.mark.parametrize("make", [columns, forest, lightgbm_categories, xgboost_values, clusters])
def test_random_samples_lie_where_the_estimator_was_trained(make: Made, tmp_path: Path) -> None:
    facts, _ = imported(saved(make()[0], tmp_path))
    assert (facts["same"], facts["samples"]) == (1000, 1000)
    assert facts["known"] == facts["features"]


def test_labels_of_text_are_numbers_in_the_file(tmp_path: Path) -> None:
    import onnxruntime

    estimator, samples = forest()
    _, graph = imported(saved(estimator, tmp_path), samples)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    labels, probabilities = session.run(None, {"input": samples[[0, 75, 149]].astype(np.float32)})
    assert labels.tolist() == [0, 1, 2]
    assert probabilities.shape == (3, 3)


def test_whole_numbers_as_labels_stay(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    samples, labels = data("iris")
    tree = DecisionTreeClassifier().fit(samples, labels * 10 + 5)
    facts, graph = imported(saved(tree, tmp_path), samples)
    assert facts["same"] == len(samples)
    assert [node.op_type for node in graph.graph.node] == ["TreeEnsembleClassifier"]
    assert facts["classes"] == ["5", "15", "25"]
    assert (facts["trees"], facts["tree_nodes"]) == (1, tree.tree_.node_count)


@pytest.mark.parametrize("compress", [("zlib", 3), ("gzip", 3), ("xz", 3), ("bz2", 3)])
def test_what_joblib_compressed(compress: tuple[str, int], tmp_path: Path) -> None:
    import joblib

    estimator, samples = support_vectors()
    joblib.dump(estimator, tmp_path / "model.joblib", compress=compress)
    facts, _ = imported(tmp_path / "model.joblib", samples)
    assert facts["same"] == len(samples)


def test_every_name_that_is_imported_was_listed(tmp_path: Path) -> None:
    path = saved(forest()[0], tmp_path)
    listed = list_names({"path": str(path), "folder": str(tmp_path)})
    assert listed["top"] == ["sklearn.ensemble._forest", "RandomForestClassifier"]
    for name in listed["names"]:
        fewer = [other for other in listed["names"] if other != name]
        with pytest.raises(ModelError, match="which it did not show before"):
            imported(path, names=fewer)


@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_xgboost_s_own_files(suffix: str, tmp_path: Path) -> None:
    estimator, samples = xgboost_two()
    path = tmp_path / f"model.{suffix}"
    estimator.save_model(path)
    facts, _ = imported(path, samples)
    assert facts["type"] == "xgboost.XGBClassifier"
    assert (facts["same"], facts["classes"]) == (len(samples), ["0", "1"])
    assert facts["trees"] == estimator.best_iteration + 1
    assert facts["largest_difference"] < 1e-5


@pytest.mark.parametrize("make", [lightgbm_many, lightgbm_values, lightgbm_categories])
def test_lightgbm_s_own_file(make: Made, tmp_path: Path) -> None:
    estimator, samples = make()
    path = tmp_path / "model.txt"
    estimator.booster_.save_model(path)
    facts, graph = imported(path, samples)
    assert (facts["same"], facts["samples"]) == (len(samples), len(samples))
    assert facts["largest_difference"] < 1e-3
    assert facts["opset"] == 17
    assert graph.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_a_booster_in_a_pickle(tmp_path: Path) -> None:
    estimator, samples = xgboost_values()
    facts, _ = imported(saved(estimator.get_booster(), tmp_path), samples)
    assert (facts["kind"], facts["same"]) == ("regressor", len(samples))


def test_branches_that_float32_takes_otherwise_are_found(tmp_path: Path) -> None:
    """A tree of XGBoost splits at values of the training data, which float32 rounds apart."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBClassifier

    samples, labels = data("breast_cancer")
    pipeline = make_pipeline(StandardScaler(), XGBClassifier(n_estimators=10, n_jobs=1))
    path = saved(pipeline.fit(samples, labels), tmp_path)
    facts, _ = imported(path, samples)
    assert facts["apart"] == facts["flipped"] > 0
    assert facts["largest_difference"] > 0.1
    rounded, _ = imported(path, samples.astype(np.float32))
    assert rounded["apart"] == rounded["flipped"] < facts["apart"]


def test_columns_that_were_chosen_by_name(tmp_path: Path) -> None:
    pipeline, samples = columns()
    chooser = pipeline.steps[0][1]
    # As one that was trained on a table with names has it.
    names = np.array(["a", "b", "c", "d", "kind"], dtype=object)
    chooser.feature_names_in_ = names
    chooser.transformers_ = [(n, t, names[c].tolist()) for n, t, c in chooser.transformers_]
    facts, _ = imported(saved(pipeline, tmp_path), samples)
    assert facts["same"] == len(samples)
    assert facts["feature_names"] == names.tolist()


def test_another_version_of_scikit_learn_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sklearn

    estimator, samples = clusters()
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.base.__version__", "1.2.2")
        path = saved(estimator, tmp_path)
    facts, _ = imported(path, samples)
    (note,) = facts["notes"]
    assert note == (
        f"saved with scikit-learn 1.2.2 and read with {sklearn.__version__}, which scikit-learn"
        " does not promise to be right: compare with what the estimator gave where it was trained"
    )


def test_what_another_version_saved_and_this_one_cannot_read(tmp_path: Path) -> None:
    import sklearn

    head = b"\x80\x02csklearn.linear_model.gone\nGone\n)\x81}X\x10\x00\x00\x00_sklearn_version"
    path = tmp_path / "old.pkl"
    path.write_bytes(head + b"X\x06\x00\x00\x000.19.1sb.")
    with pytest.raises(ModelError) as told:
        imported(path)
    here = sklearn.__version__
    assert told.value.what == (
        f"scikit-learn {here} cannot load what 0.19.1 saved:"
        " No module named 'sklearn.linear_model.gone'"
    )
    assert told.value.hint == f"pip install scikit-learn==0.19.1, or save it anew with {here}"


def several_labels() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    samples, labels = data("iris")
    return DecisionTreeClassifier().fit(samples, np.c_[labels, labels == 1])


def untrained() -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier()


def of_text() -> Any:
    from sklearn.preprocessing import OneHotEncoder

    return OneHotEncoder().fit(np.array([["a"], ["b"]], dtype=object))


def of_words() -> Any:
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer().fit(["a word", "another word"])


def lines() -> Any:
    import xgboost

    samples, values = data("diabetes")
    return xgboost.XGBRegressor(booster="gblinear", n_estimators=2).fit(samples, values)


def spread_labels() -> Any:
    from sklearn.semi_supervised import LabelSpreading

    samples, labels = data("iris")
    return LabelSpreading().fit(samples, labels)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (several_labels, "it gives several labels at once"),
        (untrained, "the estimator has not been trained"),
        (of_text, "OneHotEncoder takes columns of text"),
        (of_words, "a CountVectorizer that does not say how many numbers it takes"),
        (lines, "XGBoost's booster gblinear cannot be converted"),
        (lambda: {"model": 1}, "the file holds a dict, not one estimator"),
        (lambda: np.arange(3), "the file holds no estimator but a numpy.ndarray"),
        (spread_labels, "skl2onnx 1.20.0 cannot convert it: "),
    ],
)
def test_what_does_not_convert(make: Callable[[], Any], what: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as told:
        imported(saved(make(), tmp_path))
    assert told.value.what.startswith(what)
    assert told.value.hint is not None
    assert not (tmp_path / "out.onnx").exists()


def test_damaged_files_of_boosters(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"learner": {}}')
    with pytest.raises(ModelError, match="XGBoost cannot read it: "):
        imported(tmp_path / "a.json")
    (tmp_path / "a.txt").write_text("tree\nversion=v4\n")
    with pytest.raises(ModelError, match="LightGBM cannot read it: "):
        imported(tmp_path / "a.txt")


def test_samples_of_another_width(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no samples of 4 numbers"):
        imported(saved(clusters()[0], tmp_path), np.zeros((3, 5)))


def test_a_plain_compressed_pickle(tmp_path: Path) -> None:
    estimator, samples = clusters()
    path = tmp_path / "model.pkl"
    path.write_bytes(zlib.compress(pickle.dumps(estimator)))
    facts, _ = imported(path, samples)
    assert facts["same"] == len(samples)


def test_skops_needs_no_trust_and_takes_known_types_only(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io")
    estimator, samples = forest()
    skops.dump(estimator, tmp_path / "model.skops")
    facts, _ = imported(tmp_path / "model.skops", samples)
    assert facts["same"] == len(samples)
    skops.dump([estimator, Path("here")], tmp_path / "other.skops")
    with pytest.raises(UsageError, match="types that edgekit does not trust: pathlib"):
        imported(tmp_path / "other.skops")
