"""What a bundle is made of: its parts, the licence of each, and what a wheel says of itself."""

from dataclasses import dataclass
from typing import Literal

PartKind = Literal["application", "data", "file", "library", "machine-learning-model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """A licence as an SPDX expression, else in the words of whoever gave it, else unknown.

    `concluded` is what we read out of a licence's text; anything else was declared. `note` says
    where it was read, and of an unknown one why it is not known.
    """

    expression: str | None = None
    name: str | None = None
    concluded: bool = False
    note: str | None = None

    def __post_init__(self) -> None:
        """Require one form, and a reason where there is none."""
        if self.expression is not None and self.name is not None:
            raise ValueError("a licence is an expression or a name")
        if self.expression is None and self.name is None and not self.note:
            raise ValueError("an unknown licence needs a reason")

    def __str__(self) -> str:
        """Return the expression or the name; what is not known is NOASSERTION, as in SPDX."""
        return self.expression or self.name or "NOASSERTION"


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelText:
    """A licence file of a wheel, by its path there."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelLibrary:
    """A shared library that a wheel brings along; `sha256` is RECORD's, None where it has none."""

    path: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSbom:
    """A bill of materials that a wheel carries (PEP 770), as it is."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFacts:
    """What a wheel says of itself: METADATA, licence files, what lies in its .libs and sboms.

    `top_folders` are the first parts of its files' paths; `compiled` says that it has machine code
    of its own, beside `libraries`.
    """

    name: str
    version: str
    licence_expression: str | None
    licence: str | None
    classifiers: tuple[str, ...]
    requires: tuple[str, ...]
    homepage: str | None
    texts: tuple[WheelText, ...]
    libraries: tuple[WheelLibrary, ...]
    sboms: tuple[EmbeddedSbom, ...]
    top_folders: frozenset[str]
    compiled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a bundle, with the parts inside it.

    `ref` is unique in the bundle; `needs` are the refs of what it cannot do without. `origin` is
    the package that it was taken from. `facts` are further names with values.
    """

    ref: str
    kind: PartKind
    name: str
    licence: Licence
    version: str | None = None
    sha256: str | None = None
    purl: str | None = None
    description: str | None = None
    website: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    parts: tuple["Part", ...] = ()
    needs: tuple[str, ...] = ()
    origin: "Part | None" = None
