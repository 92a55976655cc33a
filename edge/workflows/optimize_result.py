"""Writes the chosen variant beside its evidence; each file appears whole."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.adapters.files import host_error, write_json
from edge.records.codec import to_dict
from edge.records.optimization import Optimization
from edge.workflows.bundle_content import spelled_plainly
from edge.workflows.evidence import evidence_path


def write_result(
    found: Optimization, files: Sequence[tuple[Path, tuple[str, ...]] | None], folder: Path
) -> tuple[Optimization, Path]:
    """Write the chosen file with its external data, then the evidence; return both with the path.

    `files` are, variant by variant, the model file and the names of its external data.

    Raises:
        HostError: the folder cannot be written.
    """
    chosen = found.variants[found.chosen]
    made = files[found.chosen]
    if made is None:
        raise AssertionError("what was chosen has a file")
    path, external = made
    stem = spelled_plainly(Path(found.model.name).stem)
    name = f"{stem}-{spelled_plainly(chosen.name).lower()}{path.suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for other in external:
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            _copy(path.parent / other, folder / other)
        _copy(path, folder / name)
    except OSError as error:
        raise host_error(error, folder) from error
    variants = list(found.variants)
    variants[found.chosen] = replace(chosen, file=name)
    whole = replace(found, variants=tuple(variants))
    write_json(evidence_path(folder / name), to_dict(whole))
    return whole, folder / name


def _copy(source: Path, place: Path) -> None:
    part = place.with_name(f".{place.name}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
