"""What a bundle says of itself. Part of the device slice: Python 3.8."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, Optional, Tuple

from edge.records.measurement import SessionConfig
from edge.records.tensor import TensorSpec

MANIFEST_PATH = "manifest.json"
LOCK_PATH = "pylock.toml"
SBOM_PATH = "sbom.cdx.json"
CARD_PATH = "model-card.md"
MODEL_FOLDER = "model/"
# One spelling for every file system and every shell: no odd characters, nothing hidden, no option.
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*")
_LONGEST_PATH = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")
# A 64-bit Arm kernel spells the same units in its own way, also to 32-bit programs.
_SAME_UNIT = {"asimd": ("neon", "vfpv3", "vfpv4"), "neon": ("vfpv3",), "vfpv4": ("vfpv3",)}


def lacking_features(required: Tuple[str, ...], present: Tuple[str, ...]) -> Tuple[str, ...]:
    """Return the required processor features that are neither present nor implied by another."""
    known = set(present)
    for feature in present:
        known.update(_SAME_UNIT.get(feature, ()))
    return tuple(feature for feature in required if feature not in known)


def is_member_path(path: str) -> bool:
    """Return whether a bundle may have a member of that name."""
    return len(path) <= _LONGEST_PATH and _PATH.fullmatch(path) is not None


@dataclass(frozen=True)
class BundleFile:
    """One member of the bundle; every member but the manifest is listed."""

    path: str
    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        """Refuse odd names, sizes and digests."""
        if not is_member_path(self.path):
            raise ValueError("not a plain path: {!r}".format(self.path))
        if self.size_bytes < 0 or not _DIGEST.fullmatch(self.sha256):
            raise ValueError("not a size and a SHA-256: {}".format(self.path))


@dataclass(frozen=True)
class BundleAccuracy:
    """How well the model did: `value` of `metric` on `dataset`, as `measured_with` found it."""

    metric: str
    value: float
    dataset: str
    measured_with: str


@dataclass(frozen=True)
class BundlePreprocessing:
    """How a picture's or a sound's values become the input: value * scale + offset.

    `sample_rate_hz` is of a model of sound. `postprocess` is what is done with the outputs: top1,
    boxes or none; None follows from their shapes.
    """

    scale: Optional[float] = None
    offset: Optional[float] = None
    sample_rate_hz: Optional[int] = None
    postprocess: Optional[str] = None


@dataclass(frozen=True)
class BundleModel:
    """The model inside the bundle: `path` is its file, its external data lies beside it.

    `inputs` and `outputs` have the shapes that the samples have; `sha256` is of the model file,
    `size_bytes` of it and its external data; `peak_activation_bytes` as in ModelInfo.
    `preprocessing` is None where nothing tells it.
    """

    name: str
    format: str
    precision: str
    path: str
    sha256: str
    size_bytes: int
    peak_activation_bytes: Optional[int]
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    licence: Optional[str]
    source: Optional[str]
    accuracy: Optional[BundleAccuracy]
    preprocessing: Optional[BundlePreprocessing] = None


@dataclass(frozen=True)
class BundleWheel:
    """A wheel: `filename` and `sha256` are the registry's, the member at `path` is what is left of it.

    `left_out_files` of it, `left_out_bytes` together, cannot be used at run time and are left out;
    `unpacked_bytes` is what the rest unpacks to.
    """

    name: str
    version: str
    filename: str
    sha256: str
    path: str
    unpacked_bytes: int
    left_out_files: int
    left_out_bytes: int

    def __post_init__(self) -> None:
        """Refuse sizes and counts that nothing has."""
        if min(self.unpacked_bytes, self.left_out_files, self.left_out_bytes) < 0:
            raise ValueError("{}: sizes and counts are not negative".format(self.filename))


@dataclass(frozen=True)
class BundleSamples:
    """Inputs with the outputs that this model gave on the machine that packaged it.

    The .npz at `path` holds `input.NAME` and `output.NAME`, each with one leading axis more than
    the tensor: the sample. Outputs agree when |got - expected| <= atol + rtol * |expected|, or,
    where `compare` is "top1", when the largest entry along the last axis is the same.
    """

    path: str
    count: int
    compare: Literal["close", "top1"]
    atol: float
    rtol: float
    reference: str

    def __post_init__(self) -> None:
        """Refuse samples that can show nothing."""
        if self.count < 1:
            raise ValueError("a bundle needs at least one sample")
        if not (0 <= self.atol < float("inf") and 0 <= self.rtol < float("inf")):
            raise ValueError("tolerances are finite and not negative")


@dataclass(frozen=True)
class Manifest:
    """Everything that a device needs to know to refuse or to run the bundle.

    `glibc` is the oldest C library that the wheels run with, `libstdcxx` the newest GLIBCXX symbol
    version that they ask for (None: they ask for none), `cpu_features` what they take for granted.
    Of two bundles of one name the one with the higher `sequence` is the newer.
    """

    SCHEMA_VERSION: ClassVar[str] = "2.1"

    name: str
    sequence: int
    edgekit_version: str
    target: str
    architecture: str
    python: str
    glibc: str
    libstdcxx: Optional[str]
    cpu_features: Tuple[str, ...]
    apt_packages: Tuple[str, ...]
    runtime: str
    runtime_version: str
    session: SessionConfig
    model: BundleModel
    wheels: Tuple[BundleWheel, ...]
    samples: BundleSamples
    files: Tuple[BundleFile, ...]

    def __post_init__(self) -> None:
        """Require that what the manifest speaks of is what it lists, and once."""
        listed = {file.path: file for file in self.files}
        folded = {path.lower() for path in listed} | {MANIFEST_PATH}
        if len(folded) != len(self.files) + 1:
            raise ValueError("files: a path is listed twice, or differs only in case")
        if self.sequence < 0:
            raise ValueError("sequence: is not negative")
        if self.model.path not in listed or listed[self.model.path].sha256 != self.model.sha256:
            raise ValueError("files: {} is not listed as it is".format(self.model.path))
        if not self.model.path.startswith(MODEL_FOLDER):
            raise ValueError("model.path: not in {}".format(MODEL_FOLDER))
        for path in (self.samples.path, *(wheel.path for wheel in self.wheels)):
            if path not in listed:
                raise ValueError("files: {} is not listed".format(path))
