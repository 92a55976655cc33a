"""What is put straight before a conversion: search wrappers taken off, columns by number."""

from typing import Any

from edge.errors import ModelError, printable
from edge.importers.boosters import as_estimator


def only_estimator(loaded: Any) -> Any:
    """Return the estimator of what a file held: a search's best one, a booster's own.

    Raises:
        ModelError: it holds several things, or something else.
    """
    if isinstance(loaded, dict | list | tuple):
        raise ModelError(
            f"the file holds a {type(loaded).__name__}, not one estimator",
            hint="save the estimator by itself",
        )
    root, name = type(loaded).__module__.split(".")[0], type(loaded).__name__
    if name == "Booster" and root in ("xgboost", "lightgbm"):
        return as_estimator(loaded)
    # GridSearchCV and its like predict with the one that they found best.
    return getattr(loaded, "best_estimator_", loaded)


def number_columns(estimator: Any) -> None:
    """Let a pipeline's first ColumnTransformer choose its columns by number, as a tensor has them.

    Raises:
        ModelError: a column's name is none of those that it was trained with.
    """
    first = estimator
    while getattr(first, "steps", None):
        first = first.steps[0][1]
    names = list(getattr(first, "feature_names_in_", ()))
    if not hasattr(first, "transformers_"):
        return
    numbered = []
    for name, transformer, columns in first.transformers_:
        wanted = [columns] if isinstance(columns, str) else columns
        if not isinstance(wanted, slice) and any(isinstance(c, str) for c in wanted):
            unknown = [c for c in wanted if c not in names]
            if unknown:
                raise ModelError(f"no column has the name {printable(unknown[0])}")
            wanted = [names.index(c) for c in wanted]
        numbered.append((name, transformer, wanted))
    first.transformers_ = numbered
