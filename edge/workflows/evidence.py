"""The evidence of an optimisation, beside the file that it chose."""

from pathlib import Path
from typing import Final

from edge.adapters.registry import sha256_of
from edge.adapters.results import load_result
from edge.records.optimization import Optimization, OptimizedVariant

_SUFFIX: Final = ".optimization.json"


def evidence_path(model: Path) -> Path:
    """Return where the evidence of a model file lies."""
    return model.with_name(model.stem + _SUFFIX)


def evidence_of(model: Path) -> Optimization | None:
    """Return what was found when the file was made; None: nothing, or it is of another file.

    Raises:
        ConfigError: the evidence is damaged.
        HostError: the model cannot be read.
    """
    path = evidence_path(model)
    if not path.is_file():
        return None
    found = load_result(Optimization, path)
    chosen = chosen_variant(found)
    if chosen.model is None or chosen.model.sha256 != sha256_of(model):
        return None
    return found


def chosen_variant(found: Optimization) -> OptimizedVariant:
    """Return the variant that was chosen."""
    return found.variants[found.chosen]
