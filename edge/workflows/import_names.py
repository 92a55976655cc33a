"""What the names in a pickle mean: which libraries it needs, and what no estimator is made of."""

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from edge.errors import HostError, ModelError, UsageError, printable
from edge.importers.kinds import FileKind

Name = tuple[str, str]

_LIBRARIES: Final = ("sklearn", "scipy", "numpy", "joblib", "xgboost", "lightgbm", "pandas")
_ESTIMATORS: Final = ("sklearn", "xgboost", "lightgbm")
# What Python itself brings to a saved estimator; none of it does anything by itself.
_PLAIN: Final = frozenset(
    (module, name)
    for module, names in {
        "builtins": "bool bytearray bytes complex dict float frozenset int list object range set"
        " slice str tuple",
        "collections": "Counter OrderedDict defaultdict deque",
        "copyreg": "_reconstructor",
        "_codecs": "encode",
        "functools": "partial",
    }.items()
    for name in names.split()
)
# Python 2's names, which protocols 0 to 2 still write.
_RENAMED: Final = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_NEEDED_BY_KIND: Final[dict[FileKind, tuple[str, ...]]] = {
    "pickle": ("joblib",),
    "skops": ("skops",),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
}
_BOOSTERS: Final = ("xgboost", "lightgbm")
# What brings a module that is not of the extra itself.
_PACKAGES: Final = {"xgboost": "xgboost-cpu", "lightgbm": "lightgbm", "sklearn": "scikit-learn"}
_EXTRA: Final = "edgekit-deploy[classical]"
_MOST_NAMED: Final = 4


def foreign_names(names: Iterable[Name]) -> list[str]:
    """Return those of a pickle's names that no estimator that converts is made of, sorted."""
    return sorted(
        f"{module}.{name}"
        for module, name in names
        if module.split(".")[0] not in _LIBRARIES
        and (_RENAMED.get(module, module), name) not in _PLAIN
    )


def refuse_untrusted(path: Path, names: Sequence[Name]) -> None:
    """Refuse to unpickle what the user did not say to trust, and say what would be run.

    Raises:
        UsageError: always.
    """
    foreign = foreign_names(names)
    estimators = [f"{m}.{n}" for m, n in names if m.split(".")[0] in _ESTIMATORS]
    found = foreign or sorted(estimators) or [f"{m}.{n}" for m, n in names]
    told = f"; this one would use {_listed(found)}" if found else ""
    raise UsageError(
        f"a pickle runs code of its writer's choice when it is read{told}",
        where=path,
        hint="--trusted, if you made it or know who did; otherwise ask for a file that is only"
        " data: XGBoost's .json or .ubj, LightGBM's .txt, or .skops",
    )


def refuse_foreign(path: Path, names: Iterable[Name]) -> None:
    """Refuse what has parts that cannot be converted, before any of it is run.

    Raises:
        ModelError: a name is of none of the libraries that edgekit converts.
    """
    foreign = foreign_names(names)
    if foreign:
        raise ModelError(
            f"it is made of {_listed(foreign)}, which edgekit does not convert; nothing was run",
            where=path,
            hint="scikit-learn's, XGBoost's and LightGBM's own estimators convert: save those alone",
        )


def require_libraries(path: Path, kind: FileKind, names: Iterable[Name]) -> None:
    """Make sure that what the file needs is installed; nothing is imported.

    Raises:
        HostError: it is not; the hint names the command that installs it.
    """
    roots = {module.split(".")[0] for module, _ in names} & set(_LIBRARIES)
    needed = {"sklearn", "skl2onnx", *_NEEDED_BY_KIND[kind], *roots}
    if needed & set(_BOOSTERS):
        needed.add("onnxmltools")
    missing = sorted(name for name in needed if importlib.util.find_spec(name) is None)
    if not missing:
        return
    of_extra = {"sklearn", "skl2onnx", "joblib", "scipy", "numpy"}
    wanted = [f"'{_EXTRA}'"] if set(missing) & of_extra else []
    wanted += [_PACKAGES.get(name, name) for name in missing if name not in of_extra]
    raise HostError(
        f"it needs {', '.join(_PACKAGES.get(name, name) for name in missing)},"
        f" which {'is' if len(missing) == 1 else 'are'} not installed",
        where=path,
        hint=f"pip install {' '.join(wanted)}",
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    shown = ", ".join(printable(name, 80) for name in names[:_MOST_NAMED])
    return shown + (f" and {more} more" if more > 0 else "")
