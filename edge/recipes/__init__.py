"""Recipes that make model files from what a registry has: one file a recipe, found by its name.

A name that begins with an underscore is no recipe.

A recipe has `REQUIRES`, the modules that it imports (only inside its functions), and the task
`convert(request)`, which runs in a limited child: it reads the verified files `request["raw"]`
(name to path), writes the card's files into `request["folder"]`, and returns
`{"evidence": [...]}`, what it found out about them.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from edge.errors import ConfigError


class Recipe(Protocol):
    """What a recipe's module has."""

    REQUIRES: tuple[str, ...]
    __file__: str

    @property
    def convert(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """The task for the limited child."""
        ...


def recipe_names() -> tuple[str, ...]:
    """Return the names of all recipes, sorted."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in names if not name.startswith("_")))


def load_recipe(name: str) -> Recipe:
    """Import a recipe (not what it requires).

    Raises:
        ConfigError: there is no such recipe.
    """
    if name not in recipe_names():
        known = ", ".join(recipe_names())
        raise ConfigError("no such recipe", where=name, hint=f"recipes: {known}")
    return cast("Recipe", importlib.import_module(f"{__name__}.{name}"))


def recipe_code(name: str) -> bytes:
    """Return the recipe's own source: another recipe makes other files."""
    return Path(load_recipe(name).__file__).read_bytes()


def missing_modules(recipe: Recipe) -> tuple[str, ...]:
    """Return which of the modules that the recipe imports are not installed here."""
    return tuple(name for name in recipe.REQUIRES if importlib.util.find_spec(name) is None)
