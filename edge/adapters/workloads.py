"""Workload files: TOML, as docs/reference/workload.md describes them."""

from pathlib import Path

from edge.adapters.files import read_toml
from edge.records.codec import from_dict
from edge.records.workload import Workload


def load_workload(path: Path) -> Workload:
    """Read a workload file; without a `name` in it, it is called as the file is.

    Raises:
        ConfigError: there is no such file, or something in it is wrong; names file and key.
    """
    document = read_toml(path)
    return from_dict(Workload, {"name": path.stem, **document}, path)
