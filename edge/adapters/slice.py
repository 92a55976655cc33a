"""The device slice: which of our own files a bundle carries, and the project's licence."""

from importlib import metadata
from pathlib import Path
from typing import Final

import edge
from edge.errors import HostError

# The one list; tests/test_layers.py holds these files to Python 3.8 and to each other.
_FILES: Final = (
    "__init__.py",
    "errors.py",
    "units.py",
    "records/__init__.py",
    "records/codec.py",
    "records/tensor.py",
    "records/host.py",
    "records/measurement.py",
    "records/scenario.py",
    "records/search.py",
    "records/manifest.py",
    "reasoning/__init__.py",
    "reasoning/ed25519.py",
    "reasoning/stats.py",
    "reasoning/pareto.py",
    "records/sweep.py",
    "reasoning/load_search.py",
)
_FOLDERS: Final = ("backends", "device")
_DISTRIBUTION: Final = "edgekit-deploy"


def slice_files() -> dict[str, Path]:
    """Return the files of the device slice by their path in a bundle."""
    package = Path(edge.__file__).parent
    files = [package / name for name in _FILES]
    for folder in _FOLDERS:
        files += sorted((package / folder).glob("*.py"))
    return {f"edge/{path.relative_to(package).as_posix()}": path for path in files}


def main_file() -> Path:
    """Return the file that becomes a bundle's __main__.py."""
    return Path(edge.__file__).parent / "device" / "entry.py"


def licence_text() -> bytes:
    """Return the licence of this project, under which the device slice stands.

    Raises:
        HostError: the installation lacks it.
    """
    checkout = Path(edge.__file__).parent.parent / "LICENSE"
    if checkout.is_file():
        return checkout.read_bytes()
    try:
        text = metadata.distribution(_DISTRIBUTION).read_text("licenses/LICENSE")
    except metadata.PackageNotFoundError:
        text = None
    if text is None:
        raise HostError("edgekit's own LICENSE is missing", hint="install edgekit again")
    return text.encode("utf-8")
