"""Result files: one record a file, its kind in the name (`x.measurement.json`)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from edge.adapters.files import host_error, read_json, write_json
from edge.errors import ConfigError
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import Measurement
from edge.records.model import ModelInfo
from edge.records.verdict import Verdict

R = TypeVar("R")
_SUFFIXES: Final = {
    ModelInfo: ".model.json",
    Measurement: ".measurement.json",
    Verdict: ".verdict.json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a results folder holds."""

    models: tuple[ModelInfo, ...]
    measurements: tuple[Measurement, ...]
    verdicts: tuple[Verdict, ...]


def save_result(record: ModelInfo | Measurement | Verdict, folder: Path, stem: str) -> Path:
    """Write a record into a results folder, which is made if need be, and return the file.

    Raises:
        HostError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise host_error(error, folder) from error
    path = folder / (stem + _SUFFIXES[type(record)])
    write_json(path, to_dict(record))
    return path


def load_result(cls: type[R], path: Path) -> R:
    """Read one result file.

    Raises:
        ConfigError: there is no such file, or it is no record of `cls`.
    """
    return from_dict(cls, read_json(path), path)


def load_results(place: Path) -> Results:
    """Read every result file of a folder (or one file), in the order of their names.

    Raises:
        ConfigError: there is nothing there, or a file is damaged.
    """
    files = [place] if place.is_file() else sorted(place.glob("*.json"))
    found: dict[type, list[object]] = {cls: [] for cls in _SUFFIXES}
    for path in files:
        for cls, suffix in _SUFFIXES.items():
            if path.name.endswith(suffix):
                found[cls].append(load_result(cls, path))
    if not any(found.values()):
        hint = "edgekit probe and edgekit advise write them with --output"
        raise ConfigError("no result files there", where=place, hint=hint)
    return Results(
        models=tuple(found[ModelInfo]),  # type: ignore[arg-type]
        measurements=tuple(found[Measurement]),  # type: ignore[arg-type]
        verdicts=tuple(found[Verdict]),  # type: ignore[arg-type]
    )
