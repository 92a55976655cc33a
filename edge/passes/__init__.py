"""Passes make a variant of a model: one file a pass, found by its name.

A name that begins with an underscore is no pass.

A pass has `REQUIRES`, the modules beyond edgekit's own dependencies that it imports (only inside
its functions), `EXTRA`, the extra that brings them (None: nothing), and the task `apply(request)`,
which runs in a limited child. `request`:

- model: the file to read, which may have external data beside it; it is never changed
- folder: an empty folder for what is written
- options: the pass's own, by name (JSON)
- calibration: an .npz with `input.NAME` for each input, its first axis the sample, or None
- shapes: the sizes of inputs that are free, by the input's name
- threads: how many to use

The answer is {"file": the name of the model in the folder, "notes": what is worth telling, a list
of sentences}. What does not apply to the model is a ModelError whose text says why; then there is
no such variant.
"""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from edge.errors import ConfigError


class Pass(Protocol):
    """What a pass's module has."""

    REQUIRES: tuple[str, ...]
    EXTRA: str | None

    @property
    def apply(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """The task for the limited child."""
        ...


def pass_names() -> tuple[str, ...]:
    """Return the names of all passes, sorted."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in names if not name.startswith("_")))


def load_pass(name: str) -> Pass:
    """Import a pass (not what it requires).

    Raises:
        ConfigError: there is no such pass.
    """
    if name not in pass_names():
        known = ", ".join(pass_names())
        raise ConfigError("no such pass", where=name, hint=f"passes: {known}")
    return cast("Pass", importlib.import_module(f"{__name__}.{name}"))


def missing_modules(loaded: Pass) -> tuple[str, ...]:
    """Return which of the modules that the pass imports are not installed here."""
    return tuple(name for name in loaded.REQUIRES if importlib.util.find_spec(name) is None)
