"""Remembers what `package` wrote, so that the same command again finds that it is done.

A build's key is the digest of all that is known without reading a model: the options, our own
code, targets and cards, what is installed, this machine. What else the build read, the model above
all, it remembers by path and digest, as build tools do with the headers of a source file.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from edge.adapters.bundle import WrittenBundle
from edge.adapters.files import read_json, write_json
from edge.adapters.fingerprint import (
    file_digest,
    installed_distributions,
    machine_facts,
    own_digest,
    unchanged_file,
)
from edge.adapters.store import cache_folder
from edge.errors import ConfigError
from edge.records.build import Build, OutputFile, SourceFile
from edge.records.codec import from_dict, to_dict

_HOST: Final = "host"
_FOLDER: Final = "builds"


def build_key(
    model: str | None, target: str, *, inputs: Path | None, options: Mapping[str, object]
) -> str:
    """Return the key of a build: MODEL and the target as they were given, and all other options.

    `options` are plain values that decide over the bundle's bytes (threads, shapes, the runtime,
    the id of the signing key); the name of the output is none of them.

    Raises:
        ModelError: `inputs` or a file in it is a link or no regular file.
    """
    places = {"inputs": inputs}
    if "/" in target or target.endswith(".toml"):
        places["target"] = Path(target)
    asked = {
        "model": _named(model),
        "target": target,
        "options": dict(options),
        "files": {key: _contents(path) for key, path in places.items() if path is not None},
        "edgekit": own_digest(),
        "installed": installed_distributions(),
        "machine": machine_facts(as_target=target == _HOST),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _named(model: str | None) -> str | None:
    """Return what a MODEL names: a file wherever one stands, else a card, which has no folder."""
    if model is None or not Path(model).is_file():
        return model
    return os.path.abspath(model)  # noqa: PTH100 - Path.resolve would follow links.


def _contents(path: Path) -> list[list[str]]:
    """Return name and digest of a file, or of every file that lies in a folder."""
    files = sorted(p for p in path.glob("*") if p.is_file()) if path.is_dir() else [path]
    return [[str(file.absolute()), file_digest(file) if file.exists() else ""] for file in files]


def read_sources(paths: Iterable[Path]) -> tuple[SourceFile, ...]:
    """Return the digests of the files that a build is about to read.

    Taken before the build and not after it: whoever changes a file meanwhile makes it build again.

    Raises:
        ModelError: one is missing, or it is a link or no regular file.
    """
    return tuple(SourceFile(path=str(p.absolute()), sha256=file_digest(p)) for p in paths)


def unchanged(key: str, path: Path | None) -> WrittenBundle | None:
    """Return the bundle at `path` if the build of that key wrote it and would write it again.

    None for `path` is the name that the build chose, in the current folder.
    """
    build = _remembered(key)
    if build is None:
        return None
    output = Path(build.output.name) if path is None else path
    written = [(output, build.output), *((output.parent / f.name, f) for f in build.others)]
    # The outputs first: a bundle that is not there is the usual case, and costs nothing.
    if not all(unchanged_file(place, f.sha256, f.size_bytes) for place, f in written):
        return None
    if not all(unchanged_file(Path(source.path), source.sha256) for source in build.sources):
        return None
    return WrittenBundle(
        path=output,
        manifest=build.manifest,
        digest=build.digest,
        size_bytes=build.output.size_bytes,
        key_id=build.key_id,
    )


def remember(
    key: str, written: WrittenBundle, sources: Iterable[SourceFile], others: Iterable[Path] = ()
) -> None:
    """Remember that the build of that key wrote this bundle, and `others` beside it, from `sources`.

    Raises:
        HostError: the cache cannot be written.
    """
    build = Build(
        digest=written.digest,
        key_id=written.key_id,
        manifest=written.manifest,
        output=_output(written.path),
        others=tuple(_output(path) for path in others),
        sources=tuple(sources),
    )
    write_json(_place(key), to_dict(build))


def _output(path: Path) -> OutputFile:
    return OutputFile(name=path.name, sha256=file_digest(path), size_bytes=path.stat().st_size)


def _remembered(key: str) -> Build | None:
    place = _place(key)
    if not place.is_file():
        return None
    try:
        return from_dict(Build, read_json(place), place)
    except ConfigError:
        # Damaged, or of another edgekit: it is built again, as if it were not there.
        return None


def _place(key: str) -> Path:
    return cache_folder(_FOLDER) / f"{key}.json"
