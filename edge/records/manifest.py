"""What a bundle says of itself. Part of the device slice: Python 3.8."""

from dataclasses import dataclass
from typing import ClassVar, Optional, Tuple

from edge.records.measurement import SessionConfig
from edge.records.tensor import TensorSpec


@dataclass(frozen=True)
class BundleFile:
    """One member of the bundle; every member but the manifest is listed."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class BundleModel:
    """The model inside the bundle; `files` are its file and its external data."""

    name: str
    format: str
    precision: str
    path: str
    sha256: str
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    licence: Optional[str]
    source: Optional[str]


@dataclass(frozen=True)
class BundleWheel:
    """A wheel inside the bundle, as the registry has it."""

    name: str
    version: str
    path: str
    sha256: str


@dataclass(frozen=True)
class BundleSamples:
    """Inputs with the outputs that this model gave on the machine that packaged it.

    The .npz at `path` holds `input.NAME` and `output.NAME`, each with one leading axis more than
    the tensor: the sample. Outputs agree when |got - expected| <= atol + rtol * |expected|, or,
    where `compare` is "top1", when the largest entry along the last axis is the same.
    """

    path: str
    count: int
    compare: str
    atol: float
    rtol: float
    reference: str


@dataclass(frozen=True)
class Manifest:
    """Everything that a device needs to know to refuse or to run the bundle."""

    SCHEMA_VERSION: ClassVar[str] = "1.0"

    name: str
    edgekit_version: str
    target: str
    architecture: str
    python: str
    glibc: str
    cpu_features: Tuple[str, ...]
    apt_packages: Tuple[str, ...]
    runtime: str
    runtime_version: str
    session: SessionConfig
    model: BundleModel
    wheels: Tuple[BundleWheel, ...]
    samples: BundleSamples
    files: Tuple[BundleFile, ...]
