"""What an estimator is: its kind, its features, its classes, its trees."""

import importlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from edge.errors import ModelError, printable
from edge.records.imported import EstimatorKind

_LIBRARIES: Final = {"sklearn": "scikit-learn", "xgboost": "XGBoost", "lightgbm": "LightGBM"}
_CONVERTS: Final = (
    "edgekit converts what skl2onnx knows (most of scikit-learn), XGBoost and LightGBM"
)


def kind_of_estimator(estimator: Any) -> EstimatorKind:
    """Say what it gives.

    Raises:
        ModelError: it is no estimator, or has not been trained.
    """
    from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    answers = hasattr(estimator, "predict") or hasattr(estimator, "transform")
    if not (answers and hasattr(estimator, "get_params")):
        name = printable(f"{type(estimator).__module__}.{type(estimator).__qualname__}")
        raise ModelError(f"the file holds no estimator but a {name}", hint=_CONVERTS)
    try:
        if hasattr(estimator, "fit"):  # A booster of its own file has been trained.
            check_is_fitted(estimator)
    except NotFittedError as error:
        raise ModelError("the estimator has not been trained", hint="save it after fit") from error
    # An outlier detector's kind comes before the others, whose answers it imitates.
    if is_outlier_detector(estimator):
        return "outlier detector"
    if is_classifier(estimator):
        return "classifier"
    if is_regressor(estimator):
        return "regressor"
    if is_clusterer(estimator):
        return "clusterer"
    if hasattr(estimator, "transform"):
        return "transformer"
    raise ModelError(f"a {type(estimator).__name__} predicts nothing", hint=_CONVERTS)


def feature_count(estimator: Any) -> int:
    """Return how many numbers one sample has.

    Raises:
        ModelError: it takes something else, such as text.
    """
    for step in walk(estimator):
        for categories in getattr(step, "categories_", ()):
            if np.asarray(categories).dtype.kind in "OUS":
                raise ModelError(
                    f"{type(step).__name__} takes columns of text",
                    hint="a bundle takes numbers: encode them before, and train on the numbers",
                )
    count = getattr(estimator, "n_features_in_", None)
    if count is None:
        raise ModelError(
            f"a {type(estimator).__name__} that does not say how many numbers it takes",
            hint="text and other objects are no input of a bundle: train on numbers",
        )
    return int(count)


def class_names(estimator: Any) -> tuple[str, ...]:
    """Return the names of the classes, in the order of their probabilities; none: no classifier.

    Raises:
        ModelError: it gives several labels at once.
    """
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return ()
    if isinstance(classes, list) or np.asarray(classes).ndim != 1:
        raise ModelError("it gives several labels at once", hint="train one classifier for each")
    return tuple(str(name) for name in np.asarray(classes))


def feature_names(estimator: Any) -> tuple[str, ...]:
    """Return the names of the columns that it was trained with, if they had some."""
    try:
        names = getattr(estimator, "feature_names_in_", None)
    except AttributeError:  # XGBoost raises its own.
        names = None
    return () if names is None else tuple(str(name) for name in names)


def walk(estimator: Any) -> Iterator[Any]:
    """Yield the estimator and all that it is made of, the steps of pipelines and columns."""
    yield estimator
    for _, step in getattr(estimator, "steps", None) or ():
        if hasattr(step, "get_params"):
            yield from walk(step)
    for entry in getattr(estimator, "transformers_", None) or ():
        if hasattr(entry[1], "get_params"):
            yield from walk(entry[1])
    inner = getattr(estimator, "estimator_", None) or getattr(estimator, "best_estimator_", None)
    if inner is not None and hasattr(inner, "get_params"):
        yield from walk(inner)
    several = getattr(estimator, "estimators_", None)
    if several is not None:
        for one in np.asarray(several, dtype=object).ravel():
            if hasattr(one, "get_params"):
                yield from walk(one)


def steps_of(estimator: Any) -> tuple[str, ...]:
    """Return the types of a pipeline's steps; of anything else, none."""
    steps = getattr(estimator, "steps", None) or ()
    return tuple(step if isinstance(step, str) else type(step).__name__ for _, step in steps)


def libraries_of(estimator: Any) -> list[tuple[str, str]]:
    """Return the libraries that it is made of, each with the version that is installed here."""
    roots = {type(step).__module__.split(".")[0] for step in walk(estimator)}
    if type(estimator).__module__.startswith("edge."):
        roots.add("lightgbm")
    known = [(root, name) for root, name in _LIBRARIES.items() if root in roots]
    return [(name, str(importlib.import_module(root).__version__)) for root, name in known]
