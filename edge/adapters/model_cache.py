"""The cache's folder of fetched models: one folder a model, there as a whole or not at all.

A model is staged beside its place under a lock and renamed into it; `fetched.json` in it says
which digests it has to have, and every use checks them again.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.adapters.files import host_error, read_json, write_json
from edge.adapters.registry import sha256_of
from edge.adapters.store import cache_folder
from edge.errors import ConfigError, ModelError
from edge.records.card import ModelCard
from edge.records.codec import from_dict, to_dict
from edge.records.fetched import FetchedFile, FetchedModel

_RECORD = "fetched.json"
_STAGED_SUFFIX = ".part"


def pins_of(card: ModelCard, recipe_code: bytes = b"") -> str:
    """Return the digest of all that decides which bytes a model's files have."""
    plain = to_dict(card)
    decisive = [
        plain["source"],
        [{**file, "accuracy": None} for file in plain["file"]],
        plain["asset"],
        plain["convert"],
        hashlib.sha256(recipe_code).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def cached_folder(name: str) -> Path:
    """Return where the model `name` lies once it is fetched."""
    return cache_folder("models") / name


def cached_model(name: str, pins: str) -> FetchedModel | None:
    """Return what the cache has of the model, or None if it is not there whole and unchanged."""
    fetched = recorded_model(name, pins)
    if fetched is None or not all(_is_whole(cached_folder(name), f) for f in fetched.files):
        return None
    return fetched


def recorded_model(name: str, pins: str) -> FetchedModel | None:
    """Return what was fetched of the model under the same pins, without reading the files."""
    folder = cached_folder(name)
    if not (folder / _RECORD).is_file():
        return None
    try:
        fetched = from_dict(FetchedModel, read_json(folder / _RECORD), folder / _RECORD)
    except ConfigError:
        return None  # Whatever wrote it, it is not ours: fetch again.
    return fetched if fetched.pins == pins else None


def _is_whole(folder: Path, file: FetchedFile) -> bool:
    path = folder / file.name
    try:
        whole = path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256
    except FileNotFoundError:
        return False
    except OSError as error:
        raise host_error(error, path) from error
    return whole


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the model's place in the cache: who comes second waits and finds it fetched.

    Raises:
        HostError: the cache cannot be written.
    """
    path = cache_folder("models") / f".{name}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise host_error(error, path) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def staging_folder(name: str) -> Iterator[Path]:
    """Give a folder beside the model's place that is gone afterwards; call it when `locked`.

    What a killed run left is cleared away first.

    Raises:
        HostError: the cache cannot be written.
    """
    models = cache_folder("models")
    for left in models.glob(f".{name}.*{_STAGED_SUFFIX}"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        staged = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=_STAGED_SUFFIX, dir=models))
    except OSError as error:
        raise host_error(error, models) from error
    try:
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def keep(card: ModelCard, pins: str, folder: Path, evidence: tuple[str, ...] = ()) -> FetchedModel:
    """Describe the staged model in `folder`, check it against its card, and move it into place.

    Raises:
        ModelError: a file is missing, or has another digest than the card says.
        HostError: the cache cannot be written.
    """
    pinned = {file.name: file.sha256 for file in card.file}
    pinned |= {asset.name: asset.sha256 for asset in card.asset}
    try:
        files = tuple(_described(folder, name, digest) for name, digest in pinned.items())
        fetched = FetchedModel(name=card.name, pins=pins, files=files, evidence=evidence)
        write_json(folder / _RECORD, to_dict(fetched))
        _sync(folder, *(folder / file.name for file in files))
        place = cached_folder(card.name)
        if place.exists():
            # Another card's files or a damaged copy; the staging folder's end removes it.
            place.replace(folder.parent / "replaced")
        folder.replace(place)
        _sync(place.parent)
    except OSError as error:
        raise host_error(error, folder) from error
    return fetched


def _described(folder: Path, name: str, digest: str | None) -> FetchedFile:
    path = folder / name
    if not path.is_file() or path.is_symlink():
        raise ModelError(f"{name} was not made")
    found = sha256_of(path)
    if digest is not None and found != digest:
        raise ModelError(f"{name} has the SHA-256 {found}, and the card says {digest}")
    return FetchedFile(name=name, sha256=found, size_bytes=path.stat().st_size)


def _sync(*paths: Path) -> None:
    """Have names and contents on the disk before anything relies on them."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
