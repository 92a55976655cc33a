"""Imports numpy without the parts that neither we nor a runtime use at once. Device slice.

numpy 2 does it by itself: numpy 1 loads random numbers, masked arrays, transforms and polynomials
at every start, a quarter of its time. Whoever uses one of them loads it by that.
"""

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, Optional

# Those of numpy 2's own list (numpy/__init__.py, __getattr__) that numpy 1 loads at once.
_PARTS = ("numpy.ctypeslib", "numpy.fft", "numpy.ma", "numpy.polynomial", "numpy.random")


class _Parts:
    """Finds the parts of numpy as modules that are loaded when something of them is used."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        if name not in _PARTS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def import_lazily(module: str) -> None:
    """Import a module; numpy comes with its parts unloaded.

    Raises:
        ImportError: it cannot be imported.
    """
    parts: Any = _Parts()
    sys.meta_path.insert(0, parts)
    try:
        importlib.import_module(module)
    finally:
        sys.meta_path.remove(parts)
