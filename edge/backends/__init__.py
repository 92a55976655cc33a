"""Backends by name; a new file in this folder is found by itself. Part of the device slice."""

import importlib
from typing import TYPE_CHECKING, Tuple

from edge.errors import UsageError

if TYPE_CHECKING:  # It imports numpy, which whoever only asks for names can do without.
    from edge.backends.protocol import Backend


def backend_names() -> Tuple[str, ...]:
    """Return the names of all backends, sorted."""
    import pkgutil

    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in names if name != "protocol"))


def load_backend(name: str) -> "Backend":
    """Import the backend `name` (not yet its runtime).

    Raises:
        UsageError: there is no such backend.
    """
    if name.isidentifier() and name != "protocol":
        module = "edge.backends." + name
        try:
            backend: Backend = importlib.import_module(module).BACKEND
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
        else:
            return backend
    known = ", ".join(backend_names())
    raise UsageError("no such backend", where=name, hint="backends: {}".format(known))


def backend_for_format(model_format: str) -> "Backend":
    """Return the backend that runs model files of `model_format` ("onnx", "tflite").

    Raises:
        UsageError: no backend runs that format.
    """
    for name in backend_names():
        backend = load_backend(name)
        if backend.format == model_format:
            return backend
    raise UsageError("no backend runs this format", where=model_format)
