"""Reads what an earlier emulation showed, to hold a new one to it."""

from pathlib import Path

from edge.adapters.files import read_json
from edge.errors import ConfigError
from edge.records.codec import from_dict
from edge.records.emulation import Emulation, EmulationMatrix


def load_baseline(path: Path) -> Emulation | EmulationMatrix:
    """Read a file that `edgekit emulate -o` wrote.

    Raises:
        ConfigError: it cannot be read, or is something else.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        raise ConfigError("not a result of edgekit emulate", where=path)
    if "emulations" in document:
        return from_dict(EmulationMatrix, document, path)
    return from_dict(Emulation, document, path)


def baseline_for(baseline: EmulationMatrix, target: str) -> Emulation:
    """Return a matrix's emulation of a target.

    Raises:
        ConfigError: the matrix has no such row.
    """
    for emulation in baseline.emulations:
        if emulation.target == target:
            return emulation
    hint = "make the baseline anew with -o, over all targets of the matrix"
    raise ConfigError(f"the baseline has no emulation of {target}", hint=hint)
