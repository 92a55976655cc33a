"""What the cache says of a model that lies in it."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedFile:
    """A file in the cache with the digest that it has to have whenever it is used."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedModel:
    """What lies in a model's folder of the cache, written last.

    `pins` is the digest of all that the card pins, so that another card's files are not taken
    for this one's. `evidence` is what a recipe found out about the files that it made.
    """

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    name: str
    pins: str
    files: tuple[FetchedFile, ...]
    evidence: tuple[str, ...] = ()
