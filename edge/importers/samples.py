"""Random samples in the range that an estimator was trained in, as far as it shows.

Trees show the range of their thresholds, scalers their statistics, neighbours and support vectors
the samples themselves. What nothing is known of lies between -3 and 3, as a scaled feature does.
"""

from typing import Any, Final

import numpy as np

from edge.backends.protocol import Array
from edge.importers.facts import walk

_UNKNOWN: Final = 3.0
# Three standard deviations have 99.7 % of a normal feature.
_DEVIATIONS: Final = 3.0
_PADDING: Final = 0.1
# Attributes that hold samples, or what lies among them, one a row.
_ROWS: Final = ("_fit_X", "support_vectors_", "cluster_centers_", "means_", "theta_", "centroids_")

# A feature, and its threshold or the categories that go one way.
Split = tuple[int, float | list[float]]


class Ranges:
    """What is known of each feature: its lowest and highest value, or the only ones it has."""

    def __init__(self, count: int) -> None:
        """Know nothing yet."""
        self.low: Array = np.full(count, np.nan)
        self.high: Array = np.full(count, np.nan)
        self.values: dict[int, Array] = {}

    def spread(self, columns: Any, low: Any, high: Any) -> None:
        """Widen the range of some columns."""
        self.low[columns] = np.fmin(self.low[columns], low)
        self.high[columns] = np.fmax(self.high[columns], high)

    def known(self) -> int:
        """Return of how many features something is known."""
        return sum(
            int(index in self.values or np.isfinite(low)) for index, low in enumerate(self.low)
        )


def made_samples(estimator: Any, features: int, count: int, seed: int) -> tuple[Array, int]:
    """Return random float64 samples, and of how many features a range was known."""
    ranges = Ranges(features)
    _learn(estimator, ranges, np.arange(features))
    low = np.where(np.isfinite(ranges.low), ranges.low, -_UNKNOWN)
    high = np.where(np.isfinite(ranges.high), ranges.high, _UNKNOWN)
    width = np.where(high > low, high - low, np.maximum(1.0, np.abs(low)))
    padding = np.where(np.isfinite(ranges.low), _PADDING * width, 0.0)
    generator = np.random.default_rng(seed)
    samples = generator.uniform(low - padding, high + padding, (count, features))
    for column, values in ranges.values.items():
        samples[:, column] = generator.choice(values, count)
    return samples, ranges.known()


def _learn(estimator: Any, ranges: Ranges, columns: Array) -> None:
    """Learn from an estimator that takes these columns of the samples."""
    for _, step in getattr(estimator, "steps", None) or ():
        if hasattr(step, "get_params"):
            _learn(step, ranges, columns)
            if ranges.known() or getattr(step, "n_features_in_", -1) != len(columns):
                return
    if hasattr(estimator, "transformers_"):
        for _, step, chosen in estimator.transformers_:
            if hasattr(step, "get_params"):
                _learn(step, ranges, columns[chosen])
        return
    _learn_statistics(estimator, ranges, columns)
    for one in walk(estimator):
        _learn_thresholds(one, ranges, columns)


def _learn_statistics(estimator: Any, ranges: Ranges, columns: Array) -> None:
    name = type(estimator).__name__
    if name == "StandardScaler" and estimator.mean_ is not None and estimator.var_ is not None:
        deviation = _DEVIATIONS * np.sqrt(estimator.var_)
        ranges.spread(columns, estimator.mean_ - deviation, estimator.mean_ + deviation)
    elif name == "MinMaxScaler":
        ranges.spread(columns, estimator.data_min_, estimator.data_max_)
    elif name == "MaxAbsScaler":
        ranges.spread(columns, -estimator.max_abs_, estimator.max_abs_)
    elif name in ("OneHotEncoder", "OrdinalEncoder"):
        for column, values in zip(columns, estimator.categories_, strict=True):
            ranges.values[int(column)] = np.asarray(values, np.float64)
    for attribute in _ROWS:
        rows = getattr(estimator, attribute, None)
        if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == len(columns):
            ranges.spread(columns, rows.min(axis=0), rows.max(axis=0))


def _learn_thresholds(estimator: Any, ranges: Ranges, columns: Array) -> None:
    for feature, threshold in _thresholds(estimator):
        if not 0 <= feature < len(columns):
            continue
        column = int(columns[feature])
        if isinstance(threshold, list):
            known = ranges.values.get(column, np.empty(0))
            ranges.values[column] = np.union1d(known, np.asarray(threshold, np.float64))
        elif np.isfinite(threshold):
            ranges.spread(column, threshold, threshold)


def _thresholds(estimator: Any) -> list[Split]:
    """Return the splits of one estimator's own trees."""
    tree = getattr(estimator, "tree_", None)
    if tree is not None and hasattr(tree, "threshold"):
        return list(zip(tree.feature.tolist(), tree.threshold.tolist(), strict=True))
    found: list[Split] = []
    for iteration in getattr(estimator, "_predictors", None) or ():
        for predictor in iteration:
            nodes = predictor.nodes[~predictor.nodes["is_leaf"].astype(bool)]
            splits = zip(nodes["feature_idx"], nodes["num_threshold"], strict=True)
            found.extend((int(feature), float(value)) for feature, value in splits)
    if hasattr(estimator, "get_booster"):
        found.extend(_xgboost_splits(estimator.get_booster()))
    elif hasattr(estimator, "booster_"):
        found.extend(_lightgbm_splits(estimator.booster_.dump_model()))
    return found


def _xgboost_splits(booster: Any) -> list[Split]:
    import json

    names = booster.feature_names
    places = {name: index for index, name in enumerate(names or ())}
    found: list[Split] = []
    waiting = [json.loads(tree) for tree in booster.get_dump(dump_format="json")]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.get("children", ()))
        name, value = str(node.get("split", "")), node.get("split_condition")
        if value is not None:
            place = places.get(name, int(name[1:]) if name[1:].isdigit() else -1)
            found.append((place, value))
    return found


def _lightgbm_splits(model: Any) -> list[Split]:
    found: list[Split] = []
    waiting = [tree["tree_structure"] for tree in model["tree_info"]]
    while waiting:
        node = waiting.pop()
        waiting.extend(node[side] for side in ("left_child", "right_child") if side in node)
        if "split_feature" not in node:
            continue
        threshold = node["threshold"]
        if node["decision_type"] == "==":
            # A set of categories is written 0||3||4.
            threshold = [float(value) for value in str(threshold).split("||")]
        found.append((int(node["split_feature"]), threshold))
    return found
