"""A model card: where a model comes from, its digests, its licence, its inputs."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from edge.records.model import Format, Precision
from edge.records.pins import (
    CodePackage,
    ModelSource,
    PackageFile,
    require_digest,
    require_plain_name,
)
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
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")


def _fits(shape: tuple[int, ...], spec: TensorSpec) -> bool:
    sizes = spec.shape or ()
    return len(shape) == len(sizes) and all(
        size == known for size, known in zip(shape, sizes, strict=True) if isinstance(known, int)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleShape:
    """The size of one input in practice, for an input whose own shape leaves it free."""

    name: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Require sizes."""
        if min(self.shape, default=1) < 1:
            raise ValueError(f"a dimension of {self.name!r} is not positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFile:
    """A model file as it lies in the cache; see PackageFile for what finds it in a package.

    A file that a recipe makes has no digest and no size here: they are known once it is made.
    `example` is needed for every input that has a free dimension.
    """

    name: str
    format: Format
    precision: Precision
    sha256: str | None = None
    size_bytes: int | None = None
    input: tuple[TensorSpec, ...] = ()
    example: tuple[ExampleShape, ...] = ()
    member: str | None = None
    inner: str | None = None
    first_byte: int | None = None
    end_byte: int | None = None
    accuracy: float | None = None

    def __post_init__(self) -> None:
        """Require a plain name, a whole digest, and inputs."""
        require_plain_name(self.name)
        require_digest("sha256", self.sha256)
        if (self.sha256 is None) != (self.size_bytes is None):
            raise ValueError("needs both of sha256 and size_bytes, or neither")
        if not self.input:
            raise ValueError("needs its inputs")
        self._require_examples()

    def _require_examples(self) -> None:
        examples = {example.name: example.shape for example in self.example}
        if set(examples) - {spec.name for spec in self.input}:
            raise ValueError(f"{self.name}: an example of an input that it does not have")
        for spec in self.input:
            shape = examples.get(spec.name)
            if shape is None and not spec.is_static:
                raise ValueError(f"{self.name}: input {spec.name!r} needs an example")
            if shape is not None and not _fits(shape, spec):
                raise ValueError(f"{self.name}: the example of {spec.name!r} has another shape")

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
        require_plain_name(self.file)
        require_digest("sha256", self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAccuracy:
    """What the accuracies of the files mean."""

    metric: str
    dataset: str
    measured_with: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How raw data becomes the input tensor: value * scale + offset, in `layout`.

    `sample_rate_hz` is the rate at which a model of sound takes its samples.
    """

    description: str
    scale: float | None = None
    offset: float | None = None
    layout: str | None = None
    sample_rate_hz: int | None = None


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
        if not _MODEL_NAME.fullmatch(self.name):
            raise ValueError(f"a name has lower case letters, digits and hyphens: {self.name!r}")
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
