"""The cache folder: what was downloaded or made once and can be had again."""

import os
from pathlib import Path

from edge.adapters.files import host_error


def cache_folder(*parts: str) -> Path:
    """Return (and make) a folder of the cache: $EDGEKIT_CACHE, else the user's cache folder.

    Raises:
        HostError: it cannot be made.
    """
    chosen = os.environ.get("EDGEKIT_CACHE")
    user = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    folder = (Path(chosen) if chosen else Path(user) / "edgekit").joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise host_error(error, folder) from error
    return folder
