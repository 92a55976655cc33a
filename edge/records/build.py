"""What the cache says of a build that is done: what it read and what it wrote."""

from dataclasses import dataclass

from edge.records.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that a build read, by its absolute path, with the digest that it had then."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """A file that a build wrote, with the digest of all of it; `name` has no folder."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build that need not be done again while every one of these files is as it was.

    `output` is what was asked for, whatever it is called; `others` lie beside it under their own
    names. `digest` is that of the bundle (below its head), which is not that of the file; `key_id`
    that of the key which signed it.
    """

    digest: str
    key_id: str | None
    manifest: Manifest
    output: OutputFile
    others: tuple[OutputFile, ...]
    sources: tuple[SourceFile, ...]
