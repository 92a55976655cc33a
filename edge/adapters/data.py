"""Where the data folders lie: inside an installed wheel, or beside the package in a checkout."""

from pathlib import Path

import edge


def data_folder(name: str) -> Path:
    """Return the folder `targets` or `models`."""
    package = Path(edge.__file__).parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name
