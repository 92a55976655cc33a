"""Targets by name, alias or file: one TOML file a target, in the folder targets/."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from edge.adapters.data import data_folder
from edge.adapters.files import read_toml
from edge.backends import backend_names
from edge.errors import ConfigError
from edge.records.codec import from_dict
from edge.records.target import Target

_KIND_ORDER: Final = ("edge", "cloud-cpu", "cloud-gpu")


def load_target(name: str) -> Target:
    """Return the target of that name or alias; a path (with a `/`, or `.toml` at its end) is read.

    Raises:
        ConfigError: there is no such target, or a target file is wrong.
    """
    if "/" in name or name.endswith(".toml"):
        return load_target_file(Path(name))
    targets = load_targets()
    for target in targets:
        if name in (target.name, *target.aliases):
            return target
    raise _no_such_target(name, targets)


def load_targets(folder: Path | None = None) -> tuple[Target, ...]:
    """Return every target of the folder: edge, cloud CPU, cloud GPU, and by price within these.

    Raises:
        ConfigError: a file is wrong, or two files claim the same name; none is skipped.
    """
    place = data_folder("targets") if folder is None else folder
    files = sorted(place.glob("*.toml"))
    if not files:
        hint = "install edgekit again: its targets are missing"
        raise ConfigError("no target files", where=place, hint=hint)
    targets = [load_target_file(path) for path in files]
    _refuse_shared_names(targets, files)
    return tuple(sorted(targets, key=_order))


def load_target_file(path: Path) -> Target:
    """Read one target file, whose name has to be that of the target.

    Raises:
        ConfigError: there is no such file, or something in it is wrong; names file and key.
    """
    target = from_dict(Target, read_toml(path), path)
    if target.name != path.stem:
        what = f"name: is {target.name}, but the file is called {path.name}"
        raise ConfigError(what, where=path, hint=f"rename the file to {target.name}.toml")
    _refuse_unknown_backends(target, path)
    return target


def _refuse_unknown_backends(target: Target, path: Path) -> None:
    known = backend_names()
    for index, runtime in enumerate(target.runtimes):
        if runtime.backend not in known:
            what = f"runtimes[{index}].backend: no such backend: {runtime.backend}"
            close = difflib.get_close_matches(runtime.backend, known, 1)
            guess = f"did you mean {close[0]}?" if close else f"backends: {', '.join(known)}"
            raise ConfigError(what, where=path, hint=guess)


def _refuse_shared_names(targets: Iterable[Target], files: Iterable[Path]) -> None:
    owners: dict[str, Path] = {}
    for target, path in zip(targets, files, strict=True):
        # A file's name is its target's, so only an alias can be there twice.
        for key, name in [("name", target.name), *(("aliases", a) for a in target.aliases)]:
            if name in owners:
                what = f"{key}: {name} is already a name of {owners[name].name}"
                raise ConfigError(what, where=path, hint="one of the two needs another name")
            owners[name] = path


def _order(target: Target) -> tuple[int, float, str]:
    return _KIND_ORDER.index(target.kind), target.price.figure.value, target.name


def _no_such_target(name: str, targets: Iterable[Target]) -> ConfigError:
    known = [target.name for target in targets]
    every = [n for target in targets for n in (target.name, *target.aliases)]
    close = difflib.get_close_matches(name, every, 1)
    guess = f"did you mean {close[0]}? " if close else ""
    return ConfigError("no such target", where=name, hint=f"{guess}targets: {', '.join(known)}")
