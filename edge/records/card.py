"""A model card: where a model comes from, its digest, its licence, its inputs."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where the files come from: this project, or one pinned file of a registry.

    `package_sha256` is of the archive that the registry serves; `member` is the file inside it,
    `first_byte` to `end_byte` the part of that file if it is a container itself, `inner` a member
    of a zip inside the archive.
    """

    registry: Literal["project", "pypi", "npm"]
    folder: str | None = None
    package: str | None = None
    version: str | None = None
    filename: str | None = None
    package_sha256: str | None = None

    def __post_init__(self) -> None:
        """Require a pin for what is fetched."""
        pin = (self.package, self.version, self.filename, self.package_sha256)
        if self.registry == "project":
            if self.folder is None:
                raise ValueError("registry = project needs a folder")
        elif None in pin:
            raise ValueError("needs package, version, filename and package_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFile:
    """A model file as it lies in the cache, or the raw file that a conversion starts from."""

    name: str
    format: Format
    precision: Precision
    sha256: str | None
    size_bytes: int | None
    input: tuple[TensorSpec, ...] = ()
    member: str | None = None
    inner: str | None = None
    first_byte: int | None = None
    end_byte: int | None = None
    accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """A file of the package that a conversion needs, checked before it is read."""

    name: str
    member: str
    sha256: str
    inner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """How the model is made from what the registry has; `recipe` names our converter."""

    recipe: str
    extra: str
    description: str
    raw: tuple[RawFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFile:
    """Sample inputs with labels."""

    file: str
    sha256: str
    size_bytes: int


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
    """One file in models/."""

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
    samples: SampleFile | None = None
    accuracy: CardAccuracy | None = None
    preprocessing: Preprocessing | None = None
    notes: tuple[str, ...] = ()
