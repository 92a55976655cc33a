"""XGBoost's and LightGBM's own files, as estimators that scikit-learn's tools understand."""

import json
from pathlib import Path
from typing import Any, Final

from edge.errors import ModelError

_XGBOOST_CLASSES: Final = ("binary:logistic", "multi:softprob", "multi:softmax")
# Regressions whose answer is the sum of the leaves, or the exponential of it.
_XGBOOST_VALUES: Final = (
    "reg:squarederror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "reg:quantileerror",
    "count:poisson",
    "reg:gamma",
    "reg:tweedie",
)
_LIGHTGBM_CLASSES: Final = ("binary", "multiclass", "multiclassova")
_LIGHTGBM_VALUES: Final = (
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "quantile",
    "mape",
    "poisson",
    "gamma",
    "tweedie",
)


def load_booster(path: Path, kind: str) -> Any:
    """Load a model file of XGBoost (kind "xgboost") or LightGBM; no pickle is involved.

    Raises:
        ModelError: the library cannot read it, or it is of a kind that does not convert.
    """
    if kind == "xgboost":
        import xgboost

        try:
            return as_estimator(xgboost.Booster(model_file=str(path)))
        except xgboost.core.XGBoostError as error:
            lines = [line for line in str(error).splitlines() if "Stack trace" not in line]
            raise ModelError(f"XGBoost cannot read it: {lines[0]}") from error
    import lightgbm

    try:
        return as_estimator(lightgbm.Booster(model_file=str(path)))
    except lightgbm.basic.LightGBMError as error:
        raise ModelError(f"LightGBM cannot read it: {error}") from error


def as_estimator(booster: Any) -> Any:
    """Return a bare booster as an estimator with predict, and predict_proba of classes.

    Raises:
        ModelError: its objective is no classification or regression.
    """
    if type(booster).__module__.startswith("xgboost"):
        return _xgboost_estimator(booster)
    return _lightgbm_estimator(booster)


def require_convertible(estimator: Any) -> None:
    """Refuse what the converter would take and get wrong.

    Raises:
        ModelError: boosted linear models and dropped-out trees of XGBoost.
    """
    if not type(estimator).__module__.startswith("xgboost"):
        return
    learner = json.loads(estimator.get_booster().save_config())["learner"]
    made_of = learner["learner_train_param"].get("booster", "gbtree")
    if made_of != "gbtree":
        what = f"XGBoost's booster {made_of} cannot be converted"
        raise ModelError(what, hint="train with booster='gbtree'")


def _xgboost_estimator(booster: Any) -> Any:
    import xgboost

    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    if objective in _XGBOOST_CLASSES:
        estimator: Any = xgboost.XGBClassifier()
    elif objective in _XGBOOST_VALUES:
        estimator = xgboost.XGBRegressor()
    else:
        raise _wrong_objective("XGBoost", objective)
    # As its own documentation has it: the bytes of save_raw are a model to load.
    estimator.load_model(booster.save_raw("ubj"))
    return estimator


def _lightgbm_estimator(booster: Any) -> Any:
    from edge.importers.lightgbm_booster import BoosterClassifier, BoosterRegressor

    objective = str(booster.dump_model(num_iteration=1).get("objective", "")).split(" ")[0]
    if objective in _LIGHTGBM_CLASSES:
        return BoosterClassifier(booster)
    if objective in _LIGHTGBM_VALUES:
        return BoosterRegressor(booster)
    raise _wrong_objective("LightGBM", objective or "of its own")


def _wrong_objective(library: str, objective: str) -> ModelError:
    return ModelError(
        f"{library}'s objective {objective} cannot be converted",
        hint="classifiers and regressors of one output can",
    )
