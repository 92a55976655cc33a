"""Teaches skl2onnx the estimators that it does not know, or does not get right."""

from typing import Any

import numpy as np

from edge.errors import ModelError
from edge.importers.facts import walk

_CLASSIFIER_OPTIONS = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
# As skl2onnx itself registers them (skl2onnx.operator_converters.random_forest).
_FOREST_OPTIONS = {
    **_CLASSIFIER_OPTIONS,
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
    "decision_path": [True, False],
    "decision_leaf": [True, False],
}


def register_boosters(estimator: Any) -> list[str]:
    """Register onnxmltools' converters for the boosters that the estimator is made of.

    Return the converters, each with its version.

    Raises:
        ModelError: onnxmltools does not go with the library.
    """
    used = {type(step) for step in walk(estimator)}
    roots = {cls.__module__.split(".")[0] for cls in used}
    try:
        if "xgboost" in roots:
            _register_xgboost()
        if "lightgbm" in roots or "edge" in roots:
            _register_lightgbm()
    except (ImportError, AttributeError) as error:
        what = f"onnxmltools does not go with what is installed: {error}"
        raise ModelError(what, hint="pip install -U onnxmltools") from error
    if not roots & {"xgboost", "lightgbm", "edge"}:
        return []
    import onnxmltools

    return [f"onnxmltools {onnxmltools.__version__}"]


def _register_xgboost() -> None:
    import xgboost
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    for cls in (xgboost.XGBClassifier, xgboost.XGBRFClassifier):
        _register_classifier(cls, convert_xgboost)
    for cls in (xgboost.XGBRegressor, xgboost.XGBRFRegressor):
        _register_regressor(cls, convert_xgboost)


def _register_lightgbm() -> None:
    import lightgbm
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    from edge.importers.lightgbm_booster import BoosterClassifier, BoosterRegressor

    for classifier in (lightgbm.LGBMClassifier, BoosterClassifier):
        _register_classifier(classifier, convert_lightgbm)
    for regressor in (lightgbm.LGBMRegressor, BoosterRegressor):
        _register_regressor(regressor, convert_lightgbm)


def _register_classifier(cls: Any, converter: Any) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    update_registered_converter(
        cls,
        f"Edgekit{cls.__name__}",
        calculate_linear_classifier_output_shapes,
        converter,
        options=_CLASSIFIER_OPTIONS,
        overwrite=True,
    )


def _register_regressor(cls: Any, converter: Any) -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_regressor_output_shapes

    update_registered_converter(
        cls,
        f"Edgekit{cls.__name__}",
        calculate_linear_regressor_output_shapes,
        converter,
        overwrite=True,
    )


def register_histogram_trees() -> None:
    """Let skl2onnx convert HistGradientBoosting with a protobuf that takes no truths for numbers.

    skl2onnx 1.20 gives `nodes_missing_value_tracks_true` as truths, which protobuf 6 and later
    refuses; its converter is right otherwise.
    """
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    for cls in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        alias = f"Sklearn{cls.__name__}"
        update_registered_converter(
            cls,
            alias,
            get_shape_calculator(alias),
            _with_whole_numbers(get_converter(alias)),
            options=_FOREST_OPTIONS if cls is HistGradientBoostingClassifier else None,
            overwrite=True,
        )


def _with_whole_numbers(inner: Any) -> Any:
    # skl2onnx asks for these names of the parameters.
    def convert(scope: Any, operator: Any, container: Any) -> None:
        inner(scope, operator, _WholeNumbers(container))

    return convert


class _WholeNumbers:
    """A container of nodes that takes truths in an attribute for the numbers 0 and 1."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *arguments: Any, **attributes: Any) -> Any:
        """Add a node."""
        whole = {name: _whole(value) for name, value in attributes.items()}
        return self._container.add_node(*arguments, **whole)


def _whole(value: Any) -> Any:
    if isinstance(value, list | tuple) and any(isinstance(v, bool | np.bool_) for v in value):
        return [int(v) for v in value]
    if isinstance(value, np.ndarray) and value.dtype == np.bool_:
        return [int(v) for v in value]
    return value
