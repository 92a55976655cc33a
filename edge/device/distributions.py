"""Which version of a distribution is installed here, without importing it. Device slice."""

import importlib.util
import os
import re
from typing import Optional


def installed_version(distribution: str, module: str) -> Optional[str]:
    """Return the version of the distribution that `module` is of; None if it is another's.

    The name of the folder with its metadata says it (PEP 376, PEP 427). Python's own way to ask,
    importlib.metadata, takes as long as importing a runtime does.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return None
    folder = os.path.dirname(os.path.dirname(os.path.abspath(spec.origin)))
    name = re.sub("[-_.]+", "[-_.]+", distribution)
    told = re.compile(name + r"-([^-]+)(-[^-]+)?\.(dist|egg)-info", re.IGNORECASE)
    try:
        found = [told.fullmatch(entry) for entry in os.listdir(folder)]
    except OSError:
        return None
    return next((match.group(1) for match in found if match is not None), None)
