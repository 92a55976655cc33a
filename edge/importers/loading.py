"""Loads an estimator in this (limited child) process."""

import importlib
import sys
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from edge.errors import ModelError, UsageError, printable

# What a skops file may name beside what skops itself trusts: the arrays of trees, which their own
# code checks as it reads them, and boosters, which are read by their own libraries.
_TRUSTED_BY_SKOPS: Final = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)


def load_estimator(request: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return the estimator of a file, and what its libraries had to say about it.

    `request`: path, format (of edge.importers.kinds), names (those that a pickle may import; it is
    unpickled, so the user must have said that it can be trusted), wrote (its scikit-learn).

    Raises:
        ModelError: its libraries cannot read it.
        UsageError: a skops file has types that are not trusted.
    """
    path, kind = Path(request["path"]), request["format"]
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if kind == "pickle":
                estimator = _unpickled(path, {tuple(name) for name in request["names"]})
            elif kind == "skops":
                estimator = _from_skops(path)
            else:
                from edge.importers.boosters import load_booster

                estimator = load_booster(path, kind)
        except (ModelError, UsageError, MemoryError):
            raise
        except Exception as error:
            # A file of another version fails in any way that Python can.
            raise _unreadable(error, request.get("wrote") or ()) from error
    for warning in caught:
        if warning.category.__name__ == "InconsistentVersionWarning":
            notes.append(_versions(request.get("wrote") or ()))
            break
    return estimator, notes


def _unpickled(path: Path, names: Collection[tuple[str, ...]]) -> Any:
    """Unpickle, and refuse a name that was not listed before."""
    import joblib

    armed = [True]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "pickle.find_class" and armed and tuple(arguments[:2]) not in names:
            name = ".".join(map(str, arguments[:2]))
            raise ModelError(f"the pickle asks for {printable(name)}, which it did not show before")

    # It cannot be taken away again; this process does nothing else.
    sys.addaudithook(watch)
    try:
        return joblib.load(path)
    finally:
        armed.clear()


def _from_skops(path: Path) -> Any:
    skops = importlib.import_module("skops.io")
    named = skops.get_untrusted_types(file=path)
    unknown = [name for name in named if name not in _TRUSTED_BY_SKOPS]
    if unknown:
        raise UsageError(
            f"the skops file has types that edgekit does not trust: {', '.join(unknown[:5])}",
            hint="edgekit converts scikit-learn's, XGBoost's and LightGBM's own estimators",
        )
    return skops.load(path, trusted=list(_TRUSTED_BY_SKOPS))


def _versions(wrote: Collection[str]) -> str:
    here = importlib.import_module("sklearn").__version__
    there = ", ".join(wrote) or "another version"
    return (
        f"saved with scikit-learn {there} and read with {here}, which scikit-learn does not promise"
        " to be right: compare with what the estimator gave where it was trained"
    )


def _unreadable(error: Exception, wrote: Collection[str]) -> ModelError:
    reason = printable(str(error).strip().split("\n")[0] or type(error).__name__, 300)
    other = "".join(wrote) if len(wrote) == 1 else None
    here = getattr(sys.modules.get("sklearn"), "__version__", None)
    if other is None or other == here:
        return ModelError(f"cannot be loaded: {reason}")
    return ModelError(
        f"scikit-learn {here} cannot load what {other} saved: {reason}",
        hint=f"pip install scikit-learn=={other}, or save it anew with {here}",
    )
