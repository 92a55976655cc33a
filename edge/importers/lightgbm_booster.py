"""A bare LightGBM booster with the attributes that its converter and scikit-learn's tools ask for.

Imported in the child alone: scikit-learn's classes exist only once it is imported.
"""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from edge.backends.protocol import Array


class _Booster(BaseEstimator):  # type: ignore[misc]  # scikit-learn is not installed everywhere.
    def __init__(self, booster: Any) -> None:
        self.booster = booster
        self.booster_ = booster
        self.n_features_in_ = int(booster.num_feature())
        # Trees that are averaged are a forest; it stands in the model's text alone.
        head = booster.model_to_string(num_iteration=1).split("Tree=", 1)[0]
        self.boosting_type = "rf" if "\naverage_output\n" in head else "gbdt"


class BoosterRegressor(RegressorMixin, _Booster):  # type: ignore[misc]
    """A booster that gives one value."""

    def predict(self, samples: Array) -> Array:
        """Return a value for each sample."""
        return np.asarray(self.booster_.predict(samples))


class BoosterClassifier(ClassifierMixin, _Booster):  # type: ignore[misc]
    """A booster of two or more classes, which are numbers from 0."""

    def __init__(self, booster: Any) -> None:
        """Give its classes numbers."""
        super().__init__(booster)
        count = int(booster.num_model_per_iteration())
        self.classes_ = np.arange(max(2, count))

    def predict_proba(self, samples: Array) -> Array:
        """Return a row of probabilities for each sample."""
        values = np.asarray(self.booster_.predict(samples))
        return np.stack([1.0 - values, values], axis=1) if values.ndim == 1 else values

    def predict(self, samples: Array) -> Array:
        """Return the most probable class of each sample."""
        return np.asarray(self.classes_[np.argmax(self.predict_proba(samples), axis=1)])
