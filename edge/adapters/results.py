"""Result files: one record a file, its kind in the name (`x.measurement.json`)."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from edge.adapters.files import host_error, read_json, write_json
from edge.errors import ConfigError, printable
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import Measurement
from edge.records.model import ModelInfo
from edge.records.search import BatchCurve, LoadSearch
from edge.records.sweep import SweepResult
from edge.records.verdict import Verdict

R = TypeVar("R")
_SUFFIXES: Final = {
    ModelInfo: ".model.json",
    Measurement: ".measurement.json",
    Verdict: ".verdict.json",
}
# What else a probe writes: to be read by programs, and not by `advise`.
_OTHERS: Final = {
    BatchCurve: ".batch-curve.json",
    LoadSearch: ".load-search.json",
    SweepResult: ".sweep.json",
}
Record = ModelInfo | Measurement | Verdict | BatchCurve | LoadSearch | SweepResult
_LARGEST_INTEGER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a results folder holds."""

    models: tuple[ModelInfo, ...]
    measurements: tuple[Measurement, ...]
    verdicts: tuple[Verdict, ...]


def save_result(record: Record, folder: Path, stem: str) -> Path:
    """Write a record into a results folder, which is made if need be, and return the file.

    Raises:
        HostError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise host_error(error, folder) from error
    path = folder / (stem + {**_SUFFIXES, **_OTHERS}[type(record)])
    write_json(path, to_dict(record))
    return path


def load_result(cls: type[R], path: Path) -> R:
    """Read one result file.

    Raises:
        ConfigError: there is no such file, or it is no record of `cls`.
    """
    document = read_json(path)
    try:
        _refuse_boundless(document, path, "")
    except RecursionError as error:
        raise ConfigError("nested too deeply", where=path) from error
    return from_dict(cls, document, path)


def load_results(*places: Path) -> Results:
    """Read every result file of the folders and files, each file once.

    The order is that of the places, within a folder that of the files' names.

    Raises:
        ConfigError: there is nothing there, or a file is damaged.
    """
    files: dict[Path, Path] = {}
    for place in places:
        for path in _result_files(place):
            files.setdefault(path.absolute(), path)
    found: dict[type, list[object]] = {cls: [] for cls in _SUFFIXES}
    for path in files.values():
        cls = _kind(path)
        if cls is not None:
            found[cls].append(load_result(cls, path))
    return Results(
        models=tuple(found[ModelInfo]),  # type: ignore[arg-type]
        measurements=tuple(found[Measurement]),  # type: ignore[arg-type]
        verdicts=tuple(found[Verdict]),  # type: ignore[arg-type]
    )


def _kind(path: Path) -> type[ModelInfo | Measurement | Verdict] | None:
    return next((cls for cls, suffix in _SUFFIXES.items() if path.name.endswith(suffix)), None)


def _result_files(place: Path) -> list[Path]:
    if not place.exists():
        raise ConfigError("no such file or folder", where=place)
    if not place.is_dir():
        if _kind(place) is None:
            allowed = ", ".join(f"*{suffix}" for suffix in _SUFFIXES.values())
            raise ConfigError("not a result file", where=place, hint=f"result files are {allowed}")
        return [place]
    try:
        files = sorted(path for path in place.iterdir() if _kind(path) is not None)
    except OSError as error:
        raise ConfigError((error.strerror or str(error)).lower(), where=place) from error
    if not files:
        hint = "edgekit probe and edgekit advise write them with --output"
        raise ConfigError("no result files there", where=place, hint=hint)
    return files


def _refuse_boundless(value: object, where: Path, key: str) -> None:
    """Refuse NaN, infinity and integers beyond 64 bits: JSON lets them in, no clock gives them."""
    if isinstance(value, dict):
        for name, part in value.items():
            _refuse_boundless(part, where, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _refuse_boundless(part, where, f"{key}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{printable(key)}: not a finite number", where=where)
    elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise ConfigError(f"{printable(key)}: larger than 64 bits", where=where)
