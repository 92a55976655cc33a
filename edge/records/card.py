"""A model card: where a model comes from, its digests, its licence, its inputs."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from edge.records.model import Format, Precision
from edge.records.tensor import TensorSpec

ModelKind = Literal[
    "image-classification",
    "detection",
    "segmentation",
    "pose",
    "ocr",
    "text",
    "audio",
    "classical",
    "bytes",
]
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A file of the cache: no folder, nothing hidden, nothing that a shell takes for an option.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")


def _require_digest(key: str, value: str | None) -> None:
    if value is not None and not _SHA256.fullmatch(value):
        raise ValueError(f"{key} must be 64 hexadecimal digits in lower case, got {value!r}")


def _require_plain_name(name: str) -> None:
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"not a plain file name: {name!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where the files come from: this project, one pinned archive of a registry, or a recipe alone.

    `package_sha256` is of the archive that the registry serves, `filename` its name there.
    """

    registry: Literal["project", "pypi", "npm", "recipe"]
    folder: str | None = None
    package: str | None = None
    version: str | None = None
    filename: str | None = None
    package_sha256: str | None = None

    def __post_init__(self) -> None:
        """Require a pin for what is fetched, and none for what is not."""
        pin = (self.package, self.version, self.filename, self.package_sha256)
        if (self.registry == "project") != (self.folder is not None):
            raise ValueError("a folder is for registry = project, which needs one")
        if self.registry in ("pypi", "npm"):
            if None in pin:
                raise ValueError("needs package, version, filename and package_sha256")
        elif pin != (None, None, None, None):
            raise ValueError(f"registry = {self.registry} has no package")
        _require_digest("package_sha256", self.package_sha256)
        if self.filename is not None:
            _require_plain_name(self.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """A file that is taken out of a package and checked before anything reads it.

    `member` is the file inside the archive, `inner` a member of it where it is a zip itself;
    `first_byte` to `end_byte` (exclusive) is the part of that file that is wanted. `sha256` and
    `size_bytes` are of what is taken.
    """

    name: str
    member: str
    sha256: str
    size_bytes: int
    inner: str | None = None
    first_byte: int | None = None
    end_byte: int | None = None
    purpose: str | None = None

    def __post_init__(self) -> None:
        """Reject names and bounds that nothing honest has."""
        _require_plain_name(self.name)
        _require_digest("sha256", self.sha256)
        if self.size_bytes < 1:
            raise ValueError(f"size_bytes must be positive, got {self.size_bytes}")
        if (self.first_byte is None) != (self.end_byte is None):
            raise ValueError("needs both of first_byte and end_byte, or neither")
        if self.first_byte is not None and self.end_byte is not None:
            if self.first_byte < 0 or self.end_byte - self.first_byte != self.size_bytes:
                raise ValueError("first_byte to end_byte must span size_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFile:
    """A model file as it lies in the cache; see PackageFile for what finds it in a package.

    A file that a recipe makes has no digest and no size here: they are known once it is made.
    """

    name: str
    format: Format
    precision: Precision
    sha256: str | None = None
    size_bytes: int | None = None
    input: tuple[TensorSpec, ...] = ()
    member: str | None = None
    inner: str | None = None
    first_byte: int | None = None
    end_byte: int | None = None
    accuracy: float | None = None

    def __post_init__(self) -> None:
        """Require a plain name, a whole digest, and inputs."""
        _require_plain_name(self.name)
        _require_digest("sha256", self.sha256)
        if (self.sha256 is None) != (self.size_bytes is None):
            raise ValueError("needs both of sha256 and size_bytes, or neither")
        if not self.input:
            raise ValueError("needs its inputs")

    @property
    def packaged(self) -> PackageFile | None:
        """What to take out of the package, or None where it does not come out of one."""
        if self.member is None or self.sha256 is None or self.size_bytes is None:
            return None
        return PackageFile(
            name=self.name,
            member=self.member,
            sha256=self.sha256,
            size_bytes=self.size_bytes,
            inner=self.inner,
            first_byte=self.first_byte,
            end_byte=self.end_byte,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePackage:
    """A pinned wheel whose code a recipe imports, instead of whatever is installed here."""

    package: str
    version: str
    filename: str
    package_sha256: str

    def __post_init__(self) -> None:
        """Require something that Python imports from as it is."""
        _require_plain_name(self.filename)
        _require_digest("package_sha256", self.package_sha256)
        if not self.filename.endswith("-none-any.whl"):
            raise ValueError(f"must be a pure Python wheel: {self.filename!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """How the model is made from what the registry has.

    `recipe` is a file of edge/recipes/, `extra` the extra of edgekit that has what it imports.
    """

    recipe: str
    extra: str
    description: str
    raw: tuple[PackageFile, ...] = ()
    package: tuple[CodePackage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFile:
    """Sample inputs with labels."""

    file: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        """Require a plain name and a whole digest."""
        _require_plain_name(self.file)
        _require_digest("sha256", self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAccuracy:
    """What the accuracies of the files mean."""

    metric: str
    dataset: str
    measured_with: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How raw data becomes the input tensor: value * scale + offset, in `layout`."""

    description: str
    scale: float | None = None
    offset: float | None = None
    layout: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One file in models/. `asset` are files that lie beside the model: labels, a tokenizer."""

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    name: str
    title: str
    kind: ModelKind
    licence: str
    description: str
    source: ModelSource
    file: tuple[CardFile, ...]
    default: bool = False
    convert: Conversion | None = None
    asset: tuple[PackageFile, ...] = ()
    samples: SampleFile | None = None
    accuracy: CardAccuracy | None = None
    preprocessing: Preprocessing | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Require that every file is either pinned or made by the recipe."""
        _require_plain_name(self.name)
        names = [f.name for f in self.file] + [a.name for a in self.asset]
        if not self.file:
            raise ValueError("needs at least one file")
        if len(set(names)) != len(names):
            raise ValueError("two files have the same name")
        if self.source.registry == "recipe" and self.convert is None:
            raise ValueError("registry = recipe needs [convert]")
        if self.source.registry == "project" and self.convert is not None:
            raise ValueError("a file of this project is not converted")
        for file in self.file:
            self._require_origin(file)

    def _require_origin(self, file: CardFile) -> None:
        if self.convert is not None and file.sha256 is not None:
            raise ValueError(f"{file.name}: the recipe makes it, so it cannot have a digest here")
        if self.convert is None and file.sha256 is None:
            raise ValueError(f"{file.name}: needs sha256 and size_bytes")
        registered = self.source.registry in ("pypi", "npm") and self.convert is None
        if registered != (file.member is not None):
            raise ValueError(f"{file.name}: a member is for what comes out of a package as it is")


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
